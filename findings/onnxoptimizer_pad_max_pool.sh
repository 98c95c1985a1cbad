#!/usr/bin/env bash
# onnxoptimizer 0.4.2 moves a border of zeros into a MaxPool, where the border does not count.
#
# Guess: Pad with zeros and MaxPool stay two nodes, because the border of a MaxPool never wins: it is minus infinity, not 0.
# Seen: one MaxPool with pads remains. Wherever all values under a window at the border are negative, it returns the largest of
# them, where the two nodes return 0.
# Consequence: an encoder that pads with zeros and takes maxima, as models ported from Caffe and Darknet do, changes at the borders
# of feature maps; behind a ReLU nothing changes. pocketvae compares every file with its original (docs/edge-targets.md).
#
# Output seen (onnx 1.23.2, onnxruntime 1.32.0, CPython 3.11, x86-64): the first row of a 4x4 map of -1, windows of 2
#   Pad and MaxPool: 0 0 0 0 0, optimized -1 -1 -1 -1 -1 (MaxPool)
#   Pad, Relu and MaxPool: 0 0 0 0 0, optimized 0 0 0 0 0 (Pad Relu MaxPool)
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


def model(middle):
    """Returns a model of a border of one zero on every side, what is in the middle, and a MaxPool."""
    nodes, last = [helper.make_node("Pad", ["x", "pads", "zero"], ["padded"])], "padded"
    for operator in middle:
        nodes.append(helper.make_node(operator, [last], [operator]))
        last = operator
    nodes.append(helper.make_node("MaxPool", [last], ["y"], kernel_shape=[2, 2]))
    constants = [
        numpy_helper.from_array(np.array([0, 0, 1, 1, 0, 0, 1, 1]), "pads"),
        numpy_helper.from_array(np.float32(0), "zero"),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 1, s, s)) for name, s in (("x", 4), ("y", 5))]
    graph = helper.make_graph(nodes, "pool", ends[:1], ends[1:], constants)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(made, full_check=True)
    return made


def first_row(content):
    session = onnxruntime.InferenceSession(content.SerializeToString())
    return [int(value) for value in session.run(None, {"x": x})[0][0, 0, 0]]


found = []
for name, middle in (("Pad and MaxPool", []), ("Pad, Relu and MaxPool", ["Relu"])):
    before = model(middle)
    after = onnxoptimizer.optimize(before)
    rows = first_row(before), first_row(after)
    kept = " ".join(node.op_type for node in after.graph.node)
    print(f"{name}: {' '.join(map(str, rows[0]))}, optimized {' '.join(map(str, rows[1]))} ({kept})")
    found.append(rows)
sys.exit(found != [([0] * 5, [-1] * 5), ([0] * 5, [0] * 5)])
PYTHON
"$folder/venv/bin/python" "$folder/pool.py"
