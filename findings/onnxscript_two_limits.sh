#!/usr/bin/env bash
# onnxscript 0.7.2: a tensor that is limited twice makes a file that cannot be loaded; limits in a row are joined wrongly.
#
# Guess: Min(Max(x, -1), 1) becomes Clip(x, -1, 1), as its rules say, and the same beside it with other limits another
# Clip. A Clip to 0 to 1 and a Clip to 2 to 3 behind it return 2 for every x, as one node or as two.
# Seen: the limits are named after the tensor, x_min and x_max, so that the second pair takes the names of the first. What
# is written has one pair of constants, and the first Clip reads two names that nothing defines. The optimizer does not
# check what it returns; onnx's checker and onnxruntime refuse it. Of different tensors it is right. Two limits in a row
# become the larger minimum and the smaller maximum, a Clip to 2 to 1, which by ONNX's rule for min above max returns 1.
# PyTorch's exporter, which was not run here, calls this optimizer too (`ONNXProgram.optimize`).
# Where it matters: to those with a narrow and a wide limit of one head, a log-variance of a prior and one of a score:
# the file is known to be bad only where it is first loaded. Clip in the file in place of Min and Max keeps both pairs.
#
# Output seen (onnx 1.23.2, onnxruntime 1.32.0, CPython 3.11, x86-64), for x of -9, 0.5 and 9
#   one pair: -1 0.5 1; optimized -1 0.5 1
#   pairs of two tensors: -1 0.5 1 5 -0.5 -5; optimized -1 0.5 1 5 -0.5 -5
#   two pairs of one tensor: -1 0.5 1 -5 0.5 5; optimized: refused, x_min_1 is not defined
#   Clip twice of one tensor: -1 0.5 1 -5 0.5 5; optimized -1 0.5 1 -5 0.5 5
#   Clip to 0 to 1, to 2 to 3: 2 2 2; optimized 1 1 1
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 onnxscript==0.7.2
cat >"$folder/limits.py" <<'PYTHON'
import re
import sys

import numpy as np
import onnx
import onnxruntime
import onnxscript.optimizer
from onnx import TensorProto, helper, numpy_helper

node = helper.make_node
onnxruntime.set_default_logger_severity(4)


def made(nodes, outputs):
    values = {f"{value:g}": np.float32(value) for value in (-5, -1, 0, 1, 2, 3, 5)}
    read = {name for one in nodes for name in one.input}
    constants = [numpy_helper.from_array(np.asarray(value), name) for name, value in values.items() if name in read]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [3]) for name in ("x", *outputs)]
    graph = helper.make_graph(nodes, "limits", ends[:1], ends[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


def numbers(model):
    session = onnxruntime.InferenceSession(model.SerializeToString())
    values = np.concatenate(session.run(None, {"x": np.array([-9, 0.5, 9], np.float32)}))
    return " ".join(f"{value:g}" for value in values)


def optimized(model):
    result = onnxscript.optimizer.optimize(model)
    try:
        return " " + numbers(result)
    except Exception as error:
        (name,) = re.findall(r"Node input '(\w+)' is not a graph input, initializer, or output", str(error))
        return f": refused, {name} is not defined"


def pair(tensor, low, high, output):
    return [node("Max", [tensor, low], [f"{output}_above"]), node("Min", [f"{output}_above", high], [output])]


def clip(tensor, low, high, output):
    return [node("Clip", [tensor, low, high], [output])]


CASES = {
    "one pair": (pair("x", "-1", "1", "y"), "y", "-1 0.5 1", " -1 0.5 1"),
    "pairs of two tensors": (
        [
            *pair("x", "-1", "1", "y"),
            node("Neg", ["x"], ["less"]),
            *pair("less", "-5", "5", "z"),
        ],
        "yz",
        None,
        None,
    ),
    "two pairs of one tensor": (
        pair("x", "-1", "1", "y") + pair("x", "-5", "5", "z"),
        "yz",
        "-1 0.5 1 -5 0.5 5",
        ": refused, x_min_1 is not defined",
    ),
    "Clip twice of one tensor": (
        clip("x", "-1", "1", "y") + clip("x", "-5", "5", "z"),
        "yz",
        "-1 0.5 1 -5 0.5 5",
        " -1 0.5 1 -5 0.5 5",
    ),
    "Clip to 0 to 1, to 2 to 3": (clip("x", "0", "1", "t") + clip("t", "2", "3", "y"), "y", "2 2 2", " 1 1 1"),
}
as_seen = True
for name, (nodes, outputs, before, after) in CASES.items():
    model = made(nodes, outputs)
    found = numbers(model), optimized(model)
    print(f"{name}: {found[0]}; optimized{found[1]}")
    as_seen &= found == (before, after) if before else found[1] == " " + found[0]
sys.exit(not as_seen)
PYTHON
"$folder/venv/bin/python" "$folder/limits.py"
