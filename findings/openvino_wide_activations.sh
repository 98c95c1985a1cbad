#!/usr/bin/env bash
# OpenVINO 2026.4.1 leaves out 16-bit QuantizeLinear and DequantizeLinear, and with them what they clip.
#
# Guess: a QuantizeLinear to uint16 saturates, so that with a zero point of 0 it is a ReLU, as for uint8; onnxruntime's own
# quantizer removes a Relu in front of it for that reason.
# Seen: the values behind such a pair are those in front of it: negative ones stay. Pairs of uint8 clip. A graph that is
# nothing but a pair of 16 bits is refused ("FQ stripping failed").
# Consequence: files with 16-bit activations keep their Relu and Clip (export/quantize/onnx.py); without them an image was
# off by 1.0 of 1.
#
# Output seen (onnx 1.23.2, CPython 3.11, x86-64): smallest value behind the pair, which is at least 0
#   uint8, zero point 0: 0.00
#   uint16, zero point 0: below -1
#   uint16, zero point 0, Relu in front: 0.00
#   nothing but a pair of uint16: refused
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  numpy==2.4.6 onnx==1.23.2 openvino==2026.4.1
cat >"$folder/clip.py" <<'PYTHON'
import sys

import numpy as np
import openvino
from onnx import TensorProto, helper, numpy_helper

SHAPE = (1, 64)
x = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)


def smallest(dtype, *, relu=False, alone=False):
    """Returns the smallest value behind a pair with a zero point of 0."""
    last = np.iinfo(dtype).max
    constants = {"step": np.float32(4 / last), "zero": dtype(0), "identity": np.eye(SHAPE[1], dtype=np.float32)}
    nodes = [
        *([helper.make_node("Relu", ["x"], ["r"])] if relu else []),
        helper.make_node("QuantizeLinear", ["r" if relu else "x", "step", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "step", "zero"], ["y" if alone else "d"]),
        *([] if alone else [helper.make_node("MatMul", ["d", "identity"], ["y"])]),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, SHAPE) for name in "xy"]
    stored = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "pair", ends[:1], ends[1:], stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    core = openvino.Core()
    read = core.read_model(model.SerializeToString())
    compiled = core.compile_model(read, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return float(compiled({"x": x})[0].min())


narrow, wide, clipped = smallest(np.uint8), smallest(np.uint16), smallest(np.uint16, relu=True)
print(f"uint8, zero point 0: {narrow:.2f}")
print(f"uint16, zero point 0: {'below -1' if wide < -1 else f'{wide:.2f}'}")
print(f"uint16, zero point 0, Relu in front: {clipped:.2f}")
try:
    alone = f"{smallest(np.uint16, alone=True):.2f}"
except RuntimeError:
    alone = "refused"
print(f"nothing but a pair of uint16: {alone}")
sys.exit(not (abs(narrow) < 1e-6 and wide < -1 and abs(clipped) < 1e-6 and alone == "refused"))
PYTHON
"$folder/venv/bin/python" "$folder/clip.py"
