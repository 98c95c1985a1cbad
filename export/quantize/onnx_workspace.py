"""The folder in which onnxruntime's quantizers work on one ONNX model."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pocketvae.export.quantize.onnx_weights import store_integer_weights
from pocketvae.export.quantize.onnx_wide import keep_wide_products
from pocketvae.formats.onnx.model import array, initializers, load_model, sort_nodes

# A product reads its input, weights and bias.
_WITH_BIAS = 3


class Workspace:
    """A temporary folder: onnxruntime's quantizers read and write files.

    Attributes:
        source: The model to quantize.
        target: The quantized one.
        cache: The ranges of tensors.
    """

    def __init__(self, float32: bytes) -> None:
        self._content = float32

    def __enter__(self) -> Workspace:
        self._folder = tempfile.TemporaryDirectory(prefix="pocketvae-")
        self.source = Path(self._folder.name) / "float32.onnx"
        self.target = Path(self._folder.name) / "quantized.onnx"
        self.cache = Path(self._folder.name) / "ranges.json"
        self.source.write_bytes(self._content)
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    def prepare(self) -> None:
        """Infers shapes and removes what is constant, as the quantizers want it."""
        from onnxruntime.quantization.shape_inference import quant_pre_process

        logging.getLogger().setLevel(logging.ERROR)
        raw = Path(self._folder.name) / "raw.onnx"
        raw.write_bytes(self._content)
        quant_pre_process(str(raw), str(self.source), skip_symbolic_shape=True)
        model = load_model(self.source.read_bytes())
        if widen_biases(model.graph):
            self.source.write_bytes(model.SerializeToString())

    def result(self, weights_only: Sequence[str] = (), *, wide: bool = False) -> bytes:
        """Returns the quantized model, with 8-bit weights in these of its float layers.

        Args:
            weights_only: The layers.
            wide: Whether its activations have 16 bits.
        """
        import onnx

        from pocketvae.export.convert.onnx import serialize

        model = load_model(self.target.read_bytes())
        store_integer_weights(model, weights_only)
        if wide:
            keep_wide_products(model)
        sort_nodes(model.graph)
        onnx.checker.check_model(model, full_check=True)
        return serialize(model)

    def known_ranges(self) -> dict[str, tuple[float, float]]:
        """Returns the smallest and largest value of tensors, as calibration has left them in the cache."""
        from onnxruntime.quantization import load_tensors_data

        found = load_tensors_data(self.cache).data
        return {name: (float(data.lowest.min()), float(data.highest.max())) for name, data in found.items()}


def widen_biases(graph: Any) -> bool:
    """Gives each channel of a product its own bias where one number is for all, and returns whether there was one.

    The standard lets it be broadcast, and onnxruntime 1.32.0's quantizer fails on it ("cannot reshape array").
    """
    from onnx import numpy_helper

    known, is_changed = initializers(graph), False
    for node in graph.node:
        if node.op_type != "Gemm" or len(node.input) < _WITH_BIAS or not {*node.input[1:]} <= known.keys():
            continue
        weights, bias = array(known[node.input[1]]), array(known[node.input[2]])
        width = weights.shape[0 if any(item.name == "transB" and item.i for item in node.attribute) else 1]
        if bias.size == 1 < width:
            name = f"{node.output[0]}_bias"
            graph.initializer.append(numpy_helper.from_array(np.full(width, bias.reshape(-1)[0], bias.dtype), name))
            node.input[2], is_changed = name, True
    return is_changed
