"""Loading and saving Keras models; core's only TensorFlow import.

TensorFlow takes seconds to import and speaks on stderr while it does, so it is imported here, once, quietly.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pocketvae.errors import ExportError, missing_package
from pocketvae.quiet import quiet_stderr


def import_tensorflow() -> Any:
    """Imports TensorFlow with its start-up messages held back and returns the module.

    oneDNN's custom operations are switched off unless the caller's environment says otherwise: they reorder sums, so
    the same model would give other figures on another CPU.

    Raises:
        TargetError: TensorFlow is not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    try:
        with quiet_stderr():
            import tensorflow

            # On a machine without a GPU the first look for one prints an error, so it happens here.
            tensorflow.config.list_physical_devices()
    except ImportError as e:
        raise missing_package("tensorflow", "train") from e
    return tensorflow


def import_keras() -> Any:
    """Imports Keras 2 (`tf_keras`) quietly and returns the module.

    Raises:
        TargetError: TensorFlow or tf-keras is not installed.
    """
    import_tensorflow()
    try:
        with quiet_stderr():
            import tf_keras
    except ImportError as e:
        raise missing_package("tf-keras", "train") from e
    return tf_keras


def load_model(path: Path) -> Any:
    """Loads a Keras 2 model without its optimizer and without any custom object.

    Raises:
        ExportError: the file is missing, damaged or needs custom objects.
        TargetError: TensorFlow or tf-keras is not installed.
    """
    if not path.is_file():
        raise ExportError(f"{path} does not exist")
    keras = import_keras()
    try:
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as e:  # Keras raises whatever its zip, HDF5 or JSON reader met
        reason = (str(e).strip() or type(e).__name__).splitlines()[0]
        raise ExportError(f"{path} cannot be loaded as a Keras model: {reason[:200]}") from e


def save_model(model: Any, path: Path) -> None:
    """Saves a Keras 2 model, architecture and weights, in the `.keras` format."""
    model.save(path, save_format="keras")
