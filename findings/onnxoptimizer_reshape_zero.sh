#!/usr/bin/env bash
# onnxoptimizer 0.4.2 joins two Reshape nodes whose second copies a dimension, and copies another one.
#
# Guess: the 0 in the shape of a second Reshape stands for a dimension of what the first returns; an optimizer that joins both
# puts the number there, or leaves them.
# Seen: it keeps the second shape as it is, in which 0 now stands for a dimension of what the first was given. Where the number
# of elements still fits, the output has another shape, without an error.
# Consequence: a decoder that goes from a vector to a map in two steps, written for any batch, returns another layout once it was
# optimized. pocketvae writes shapes without 0 and compares every file with its original (docs/edge-targets.md).
#
# Output seen (onnx 1.23.2, onnxruntime 1.32.0, CPython 3.11, x86-64): shapes of a 3x4 input
#   to 4x3, then 0 and -1: (4, 3), optimized (3, 4)
#   to 2x6, then 0, 2 and 3: (2, 2, 3), optimized is refused
#   to 2x6, then 2, 2 and 3: (2, 2, 3), optimized (2, 2, 3)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 onnxoptimizer==0.4.2
cat >"$folder/reshape.py" <<'PYTHON'
import sys

import numpy as np
import onnx
import onnxoptimizer
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

x = np.arange(12, dtype=np.float32).reshape(3, 4)


def model(first, second, shape):
    nodes = [helper.make_node("Reshape", ["x", "a"], ["m"]), helper.make_node("Reshape", ["m", "b"], ["y"])]
    constants = [numpy_helper.from_array(np.array(sizes), name) for sizes, name in ((first, "a"), (second, "b"))]
    ends = [helper.make_tensor_value_info(*end) for end in (("x", TensorProto.FLOAT, (3, 4)), ("y", 1, shape))]
    graph = helper.make_graph(nodes, "reshape", ends[:1], ends[1:], constants)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(made, full_check=True)
    return made


def shape_of(content):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(content.SerializeToString(), options).run(None, {"x": x})[0].shape
    except onnxruntime.capi.onnxruntime_pybind11_state.Fail:
        return None


found = []
for first, second, shape in (([4, 3], [0, -1], (4, 3)), ([2, 6], [0, 2, 3], (2, 2, 3)), ([2, 6], [2, 2, 3], (2, 2, 3))):
    made = model(first, second, shape)
    before, after = shape_of(made), shape_of(onnxoptimizer.optimize(made))
    last = f"{', '.join(map(str, second[:-1]))} and {second[-1]}"
    print(f"to {'x'.join(map(str, first))}, then {last}: {before}, optimized {after or 'is refused'}")
    found.append((before, after))
sys.exit(found != [((4, 3), (3, 4)), ((2, 2, 3), None), ((2, 2, 3), (2, 2, 3))])
PYTHON
"$folder/venv/bin/python" "$folder/reshape.py"
