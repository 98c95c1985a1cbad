#!/usr/bin/env bash
# onnxruntime 1.32.0 takes out the coarser of two quantizations in a row.
#
# Guess: a value that is rounded to a step of 0.1 and then to one of 0.3 is a multiple of 0.3; default optimizations do not change
# what a file of QuantizeLinear and DequantizeLinear returns.
# Seen: of two pairs in a row one is left, that of the finer step, whichever came first: the output is a multiple of 0.1. Without
# optimization both are computed.
# Consequence: a quantized file returns values finer than its last scale can represent, and so differs from a device that requantizes
# by up to half a step of the coarser scale. pocketvae's goldens of integer files are compared on the target itself (docs/edge-targets.md).
#
# Output seen (onnx 1.23.2, CPython 3.11, x86-64): of 0.14, 0.26 and 0.41
#   steps of 0.1, then 0.3, default optimizations: 0.1 0.3 0.4
#   steps of 0.1, then 0.3, no optimization: 0.0 0.3 0.3
#   steps of 0.3, then 0.1, default optimizations: 0.1 0.3 0.4
#   steps of 0.3, then 0.1, no optimization: 0.0 0.3 0.3
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0
cat >"$folder/pairs.py" <<'PYTHON'
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

x = np.array([0.14, 0.26, 0.41], np.float32)
LEVELS = onnxruntime.GraphOptimizationLevel


def run(steps, level):
    nodes, constants, last = [], [numpy_helper.from_array(np.uint8(100), "zero")], "x"
    for number, step in enumerate(steps):
        scale, codes, values = f"scale_{number}", f"codes_{number}", f"values_{number}"
        constants.append(numpy_helper.from_array(np.float32(step), scale))
        nodes.append(helper.make_node("QuantizeLinear", [last, scale, "zero"], [codes]))
        nodes.append(helper.make_node("DequantizeLinear", [codes, scale, "zero"], [values]))
        last = values
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, x.shape) for name in ("x", last)]
    graph = helper.make_graph(nodes, "pairs", ends[:1], ends[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = level
    found = onnxruntime.InferenceSession(model.SerializeToString(), options).run(None, {"x": x})[0]
    return " ".join(f"{abs(value):.1f}" for value in found)


found = []
for steps in ((0.1, 0.3), (0.3, 0.1)):
    for name, level in (("default optimizations", LEVELS.ORT_ENABLE_ALL), ("no optimization", LEVELS.ORT_DISABLE_ALL)):
        found.append(run(steps, level))
        print(f"steps of {steps[0]}, then {steps[1]}, {name}: {found[-1]}")
sys.exit(found != ["0.1 0.3 0.4", "0.0 0.3 0.3"] * 2)
PYTHON
"$folder/venv/bin/python" "$folder/pairs.py"
