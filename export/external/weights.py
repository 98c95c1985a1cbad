"""Weights without an architecture: a Python function, which the user names, builds the model that they belong to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pocketvae.errors import ExportError
from pocketvae.keras.checkpoints import checkpoint_prefix
from pocketvae.keras.custom_code import CustomCode
from pocketvae.keras.io import import_flavour
from pocketvae.keras.model_form import Flavour
from pocketvae.parsing import sentences

_EXAMPLE = "name the function that builds the model, for example --code model.py:build_decoder"


def built_model(weights: Path, code: str) -> tuple[Any, Flavour]:
    """Builds a model with the user's code and loads weights into it.

    Args:
        weights: A `.weights.h5` file, an HDF5 file of weights, or the prefix of a TensorFlow checkpoint, one of its
            files or their folder.
        code: `FILE.py:FUNCTION`; the file is run and the function called without arguments.

    Returns:
        The model, and the Keras that it is of.

    Raises:
        ExportError: the code fails, does not return a functional model, or the weights do not fit.
    """
    file, separator, name = code.rpartition(":")
    if not separator or not name.isidentifier():
        raise ExportError(f"--code must be FILE.py:FUNCTION, got {code!r}: {_EXAMPLE}")
    build = CustomCode(allowed=True, file=file).objects().get(name)
    if build is None:
        raise ExportError(f"{file} does not define {name!r}: {_EXAMPLE}")
    # Code that imports Keras 3 gets it on TensorFlow.
    import_flavour(Flavour.KERAS3)
    try:
        model = build()
    except Exception as e:  # The code may raise anything.
        raise ExportError(f"{name} in {file} failed: {type(e).__name__}: {sentences(e)}") from e
    kinds = (Flavour.KERAS2, Flavour.KERAS3)
    flavour = next((kind for kind in kinds if isinstance(model, import_flavour(kind).Model)), None)
    if flavour is None:
        raise ExportError(f"{name} in {file} must return a Keras model, got {type(model).__name__}")
    try:
        status = model.load_weights(str(checkpoint_prefix(weights) or weights))
        if hasattr(status, "assert_existing_objects_matched"):
            status.assert_existing_objects_matched()
    except Exception as e:  # Keras raises whatever its HDF5 or checkpoint reader ran into
        reason = sentences(str(e).strip() or type(e).__name__)
        raise ExportError(f"the weights {weights} do not fit the model of {name} in {file}: {reason}") from e
    return model, flavour
