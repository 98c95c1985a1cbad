#!/usr/bin/env bash
# onnxslim 0.1.98 takes factors of the columns of a convolution's output for those of its channels.
#
# Guess: a Mul behind a Conv is put into its weights where the factor is one number or has the shape [C, 1, 1]; a factor of shape
# [W] is broadcast along the last axis, the width, and stays.
# Seen: where width and channels are as many, a factor of shape [W] is multiplied into the channels of the weights and the bias, so
# that every column has the wrong factor, without a word. Of another width, or expanded over the channels, it stays.
# Consequence: windows over a feature map, or position weights, are lost where a map is as wide as it has channels, as 8x8x8 and
# 4x4x4 latents are. pocketvae compares every file with its original (docs/edge-targets.md).
#
# Output seen (onnx 1.23.2, onnxruntime 1.32.0, CPython 3.11, x86-64): largest difference of the simplified file
#   4 channels, width 4, factor [4, 1, 1]: 0.0 (Conv)
#   4 channels, width 4, factor [4]: 3.0 (Conv)
#   4 channels, width 4, factor [1, 1, 1, 4]: 3.0 (Conv)
#   4 channels, width 4, factor [1, 4, 1, 4]: 0.0 (Conv Mul)
#   4 channels, width 5, factor [5]: 0.0 (Conv Mul)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 onnxslim==0.1.98
cat >"$folder/factors.py" <<'PYTHON'
import sys

import numpy as np
import onnx
import onnxruntime
import onnxslim
from onnx import TensorProto, helper, numpy_helper

CHANNELS = 4


def model(width, factor):
    """Returns a model of a Conv that copies its input to all channels, and a Mul."""
    nodes = [helper.make_node("Conv", ["x", "w", "b"], ["m"]), helper.make_node("Mul", ["m", "factor"], ["y"])]
    weight = np.ones((CHANNELS, 1, 1, 1), np.float32)
    constants = [
        numpy_helper.from_array(values, name)
        for values, name in ((weight, "w"), (np.zeros(CHANNELS, np.float32), "b"), (factor, "factor"))
    ]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, channels, 2, width))
        for name, channels in (("x", 1), ("y", CHANNELS))
    ]
    graph = helper.make_graph(nodes, "factors", ends[:1], ends[1:], constants)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(made, full_check=True)
    return made


def run(content, width):
    x = np.ones((1, 1, 2, width), np.float32)
    return onnxruntime.InferenceSession(content.SerializeToString()).run(None, {"x": x})[0]


found = []
for width, shape in ((4, (4, 1, 1)), (4, (4,)), (4, (1, 1, 1, 4)), (4, (1, 4, 1, 4)), (5, (5,))):
    values = np.arange(1, max(shape) + 1, dtype=np.float32)
    before = model(width, np.broadcast_to(values, shape) if shape[-1] > 1 else values.reshape(shape))
    expected = run(before, width)
    after = onnxslim.slim(before)
    difference = float(np.abs(run(after, width) - expected).max())
    kept = " ".join(node.op_type for node in after.graph.node)
    print(f"{CHANNELS} channels, width {width}, factor {list(shape)}: {difference} ({kept})")
    found.append(difference)
sys.exit(found != [0.0, 3.0, 3.0, 0.0, 0.0])
PYTHON
"$folder/venv/bin/python" "$folder/factors.py" 2>/dev/null
