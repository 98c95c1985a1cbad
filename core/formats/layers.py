"""The precision of each layer of a file, read from the file itself."""

from __future__ import annotations

from pocketvae.layer_precision import LayerPrecision
from pocketvae.spec import Format


def read_layers(format: Format, content: bytes) -> tuple[LayerPrecision, ...]:
    """Returns the layers with weights of a TFLite or ONNX file, in graph order.

    Raises:
        ManifestError: the file is damaged.
        TargetError: the package that reads the format is missing.
    """
    if format is Format.TFLITE:
        from pocketvae.formats.tflite.layers import read_tflite_layers

        return read_tflite_layers(content)
    from pocketvae.formats.onnx.layers import read_onnx_layers

    return read_onnx_layers(content)


def summarize_layers(layers: tuple[LayerPrecision, ...]) -> str:
    """Returns a line such as `3 x int8 weights per channel, int8 activations; 1 x float32 weights, ...`."""
    kinds: dict[str, int] = {}
    for layer in layers:
        scales = "" if layer.granularity == "none" else f" {layer.granularity.replace('_', ' ')}"
        kind = f"{layer.weights} weights{scales}, {layer.activations} activations"
        kinds[kind] = kinds.get(kind, 0) + 1
    return "; ".join(f"{count} x {kind}" for kind, count in kinds.items()) or "no layers with weights"
