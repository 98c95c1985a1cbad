#!/usr/bin/env bash
# onnxruntime 1.32.0: the usability checker for phones refuses a model whose operators all read its inputs.
#
# Guess: onnxruntime.tools.mobile_helpers.usability_checker counts the operators of a model that NNAPI or CoreML supports,
# once onnx.shape_inference.infer_shapes has run. An encoder of two heads on its input, Relu and Sigmoid, has two.
# Seen: shape inference notes the shapes of what lies between operators. Here nothing does, since both results are outputs,
# and the checker takes the empty list for a model on which inference has not run: it raises an error that says to run it.
# One head alone is counted, and so are two with an Identity in front, and two when an output is noted among the values
# between, where it changes nothing.
# Where it matters: to those who ask, for each part of a model, what a phone supports: an encoder of dense layers alone,
# whose mean and log-variance both read the data, is the smallest VAE's, and looks broken.
#
# Output seen (onnx 1.23.2, onnxruntime 1.32.0, CPython 3.11, x86-64)
#   one head: 1 of 1 operators
#   two heads: refused, says to run onnx.shape_inference.infer_shapes
#   two heads behind an Identity: 3 of 3 operators
#   two heads, an output noted: 2 of 2 operators
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0
cat >"$folder/checker.py" <<'PYTHON'
import sys

import onnx
from onnx import TensorProto, helper
from onnxruntime.tools.mobile_helpers import usability_checker

node = helper.make_node
HEADS = [node("Relu", ["x"], ["mean"]), node("Sigmoid", ["x"], ["log_var"])]
BEHIND = [node("Identity", ["x"], ["y"]), node("Relu", ["y"], ["mean"]), node("Sigmoid", ["y"], ["log_var"])]


def made(nodes):
    returned = [name for one in nodes for name in one.output if name != "y"]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in ("x", *returned)]
    graph = helper.make_graph(nodes, "encoder", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return onnx.shape_inference.infer_shapes(model)


def noted(nodes):
    model = made(nodes)
    model.graph.value_info.add().CopyFrom(model.graph.output[0])
    return model


def counted(model):
    try:
        found = usability_checker.check_nnapi_partitions(model, True)
    except ValueError as error:
        return f"refused, says to run {'onnx.shape_inference.infer_shapes' if 'infer_shapes' in str(error) else error}"
    taken = sum(len(group) for group in found.supported_groups)
    return f"{taken} of {found.num_nodes} operators"


CASES = {
    "one head": (made(HEADS[:1]), "1 of 1 operators"),
    "two heads": (made(HEADS), "refused, says to run onnx.shape_inference.infer_shapes"),
    "two heads behind an Identity": (made(BEHIND), "3 of 3 operators"),
    "two heads, an output noted": (noted(HEADS), "2 of 2 operators"),
}
changed = False
for name, (model, expected) in CASES.items():
    line = counted(model)
    print(f"{name}: {line}")
    changed |= line != expected
sys.exit("the behaviour has changed" if changed else 0)
PYTHON
"$folder/venv/bin/python" "$folder/checker.py"
