#!/usr/bin/env bash
# onnxoptimizer 0.4.2 moves a border of zeros into a MaxPool, where the border does not count.
#
# Guess: Pad with zeros and MaxPool stay two nodes, because the border of a MaxPool never wins: it is minus infinity, not 0.
# Seen: one MaxPool with pads remains. Wherever all values under a window at the border are negative, it returns the largest of
# them, where the two nodes return 0. A border of 1e-30 stays.
# Consequence: an encoder that pads with zeros and takes maxima, as models ported from Caffe and Darknet do, changes at the borders
# of feature maps, unless it takes them behind a ReLU. pocketvae compares every file with its original (docs/edge-targets.md).
#
# Output seen (onnx 1.23.2, onnxruntime 1.32.0, CPython 3.11, x86-64): the upper rows of a 4x4 map of -1, windows of 2
#   border of 0: 0 0 0 0 0, 0 -1 -1 -1 0, optimized -1 -1 -1 -1 -1, -1 -1 -1 -1 -1 (MaxPool)
#   border of 1e-30: 0 0 0 0 0, 0 -1 -1 -1 0, optimized 0 0 0 0 0, 0 -1 -1 -1 0 (Pad MaxPool)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 onnxoptimizer==0.4.2
cat >"$folder/pool.py" <<'PYTHON'
import sys

import numpy as np
import onnx
import onnxoptimizer
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

x = np.full((1, 1, 4, 4), -1, np.float32)


def model(border):
    """Returns a model of a border of one value on every side, and a MaxPool."""
    nodes = [
        helper.make_node("Pad", ["x", "pads", "border"], ["padded"]),
        helper.make_node("MaxPool", ["padded"], ["y"], kernel_shape=[2, 2]),
    ]
    constants = [
        numpy_helper.from_array(np.array([0, 0, 1, 1, 0, 0, 1, 1]), "pads"),
        numpy_helper.from_array(np.float32(border), "border"),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 1, s, s)) for name, s in (("x", 4), ("y", 5))]
    graph = helper.make_graph(nodes, "pool", ends[:1], ends[1:], constants)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(made, full_check=True)
    return made


def upper_rows(content):
    session = onnxruntime.InferenceSession(content.SerializeToString())
    return ", ".join(" ".join(f"{value:.0f}" for value in row) for row in session.run(None, {"x": x})[0][0, 0, :2])


found = []
for border in (0, 1e-30):
    before = model(border)
    after = onnxoptimizer.optimize(before)
    rows = upper_rows(before), upper_rows(after)
    kept = " ".join(node.op_type for node in after.graph.node)
    print(f"border of {border:g}: {rows[0]}, optimized {rows[1]} ({kept})")
    found.append(rows)
right, moved = "0 0 0 0 0, 0 -1 -1 -1 0", "-1 -1 -1 -1 -1, -1 -1 -1 -1 -1"
sys.exit(found != [(right, moved), (right, right)])
PYTHON
"$folder/venv/bin/python" "$folder/pool.py"
