"""Models that Keras itself quantized, as float32 models with the weights that the integers stand for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pocketvae.errors import ExportError
from pocketvae.keras.io import import_keras3, load_model
from pocketvae.keras.model_form import Flavour

_ADVICE = "export the model from before quantize(): export makes integer files by itself"


def load_dequantized(path: Path, config: Mapping[str, Any]) -> Any:
    """Loads a model after Keras 3's `quantize()` and returns it in float32.

    Args:
        path: The file.
        config: Its architecture with float32 in place of the quantized types.

    Raises:
        ExportError: it cannot be loaded, or has quantized layers of other kinds than Dense and Embedding.
        TargetError: TensorFlow or Keras 3 is not installed.
    """
    keras = import_keras3()
    quantized = load_model(path, Flavour.KERAS3)
    plain = keras.saving.deserialize_keras_object(dict(config), safe_mode=True)
    for old, new in zip(_leaves(quantized), _leaves(plain), strict=True):
        mode = getattr(old, "quantization_mode", None)
        new.set_weights(old.get_weights() if mode is None else _weights(keras, path, old, str(mode)))
    return plain


def _leaves(model: Any) -> list[Any]:
    layers = list(model._flatten_layers(include_self=False))
    return [layer for layer in layers if not list(layer._flatten_layers(include_self=False))]


def _weights(keras: Any, path: Path, layer: Any, mode: str) -> list[Any]:
    kind = type(layer).__name__
    if kind == "Dense":
        bias = [] if layer.bias is None else [np.asarray(layer.bias)]
        kernel = np.asarray(layer.kernel) if mode == "float8" else _kernel(keras, layer)
        return [kernel, *bias]
    if kind == "Embedding":
        return [np.asarray(layer(np.arange(layer.input_dim)))]
    raise ExportError(f"{path} holds a {kind} layer that Keras quantized ({mode}): {_ADVICE}")


def _kernel(keras: Any, layer: Any) -> Any:
    """Returns what a quantized layer multiplies by: what it makes of the rows of the identity, without the rest."""
    activation, bias = layer.activation, layer.bias
    # A row of the identity is quantized exactly, since its largest value is its only one.
    rows = np.eye(int(layer.input_spec.axes[-1]), dtype=np.float32)
    try:
        layer.activation, layer.bias = keras.activations.linear, None
        return np.asarray(layer(rows))
    finally:
        layer.activation, layer.bias = activation, bias
