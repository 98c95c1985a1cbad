#!/usr/bin/env bash
# OpenVINO 2026.4.1 reads ReduceLogSumExp, ReduceLogSum and ReduceL1 of opset 13 to 17 as reductions over all axes.
#
# Guess: `axes` is an attribute up to opset 17 and an input from 18 on, for all reductions but ReduceSum (an input from 13 on),
# so that a reader of one of them reads all of them.
# Seen: these three ignore the attribute from opset 13 on and reduce every axis, without a word; kept dimensions broadcast
# afterwards, so that no shape gives it away. The other seven, and opset 11 and 18, are right.
# Consequence: the log-likelihood of a mixture (a log-sum-exp over components) becomes one number for the whole batch.
# `pocketvae export` writes ReduceMax, Exp, ReduceSum and Log instead (export/from_onnx/lowering.py).
#
# Output seen (onnx 1.23.2, CPython 3.11, x86-64): shape that OpenVINO returns of [2, 3, 4] reduced over axis 1
#   opset 11: all (2, 1, 4)
#   opset 13: ReduceLogSumExp, ReduceLogSum, ReduceL1 (1, 1, 1), 7 others (2, 1, 4)
#   opset 17: ReduceLogSumExp, ReduceLogSum, ReduceL1 (1, 1, 1), 7 others (2, 1, 4)
#   opset 18: all (2, 1, 4)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  numpy==2.4.6 onnx==1.23.2 openvino==2026.4.1
cat >"$folder/reduce.py" <<'PYTHON'
import sys

import numpy as np
import openvino
from onnx import TensorProto, helper, numpy_helper

REDUCTIONS = ("LogSumExp", "LogSum", "L1", "L2", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare")
x = np.random.default_rng(0).uniform(0.5, 2, (2, 3, 4)).astype(np.float32)


def shape_of(reduction, opset):
    """Returns the shape of what OpenVINO returns of a reduction over axis 1."""
    as_input = opset >= (13 if reduction == "Sum" else 18)
    stored = [numpy_helper.from_array(np.array([1], np.int64), "axes")] if as_input else []
    node = helper.make_node(
        f"Reduce{reduction}", ["x", "axes"] if as_input else ["x"], ["y"], **({} if as_input else {"axes": [1]})
    )
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("x", x.shape), ("y", (2, 1, 4)))
    ]
    graph = helper.make_graph([node], "reduction", ends[:1], ends[1:], stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    core = openvino.Core()
    return core.compile_model(core.read_model(model.SerializeToString()), "CPU")({"x": x})[0].shape


as_seen = True
for opset in (11, 13, 17, 18):
    wrong = [name for name in REDUCTIONS if shape_of(name, opset) != (2, 1, 4)]
    as_seen &= wrong == (["LogSumExp", "LogSum", "L1"] if opset in (13, 17) else [])
    names = ", ".join(f"Reduce{name}" for name in wrong)
    told = f"{names} {shape_of(wrong[0], opset)}, {10 - len(wrong)} others (2, 1, 4)" if wrong else "all (2, 1, 4)"
    print(f"opset {opset}: {told}")
sys.exit(not as_seen)
PYTHON
"$folder/venv/bin/python" "$folder/reduce.py"
