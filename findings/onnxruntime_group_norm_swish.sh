#!/usr/bin/env bash
# onnxruntime 1.32.0's transformers optimizer drops a convolution between a GroupNorm and a SiLU, and a gate.
#
# Guess: group normalization, written as Reshape, InstanceNormalization, Reshape, Mul and Add, becomes one GroupNorm with a
# SiLU (activation 1) where its own output is multiplied by the sigmoid of its own output; where anything is between
# them, or the sigmoid is of something else, it becomes a GroupNorm without.
# Seen: onnxruntime.transformers.optimizer, with model_type "vae" and "unet", looks for the first product anywhere behind the
# norm and for any Sigmoid in front of that, and does not look at what either reads. The fused node then writes the
# product's output. Of norm, convolution, SiLU nothing is left but the norm and a SiLU: the convolution is not in the
# file any more. A gate, norm(x) sigmoid(g), goes with all that led to it; here the file has one input less. No message.
# com.microsoft.GroupNorm runs on graphics cards alone, so that what is left is listed here, not computed.
# Where it matters: to those who pass a decoder through it that normalizes before it convolves, or has gated residual
# blocks. FusionOptions with enable_group_norm False keeps all.
#
# Output seen (onnx 1.23.2, CPython 3.11, x86-64): convolutions in the file, its inputs, activation of its GroupNorm
#   norm: 0, x, 0
#   norm, SiLU: 0, x, 1
#   norm, convolution: 1, x, 0
#   norm, convolution, SiLU: 0, x, 1
#   norm times the sigmoid of a gate: 0, x, 1
#   norm, convolution, SiLU, enable_group_norm False: 1, x, none
#   norm times the sigmoid of a gate, enable_group_norm False: 0, x gate, none
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 sympy==1.14.0
cat >"$folder/swish.py" <<'PYTHON'
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.transformers.fusion_options import FusionOptions
from onnxruntime.transformers.optimizer import optimize_model

node = helper.make_node
SHAPE = (1, 4, 3, 3)


def made(behind):
    """A file of a group normalization and the nodes behind it; the last of them writes y."""
    nodes = [
        node("Shape", ["x"], ["shape"]),
        node("Reshape", ["x", "groups"], ["grouped"]),
        node("InstanceNormalization", ["grouped", "ones", "zeros"], ["normal"]),
        node("Reshape", ["normal", "shape"], ["image"]),
        node("Mul", ["image", "weight"], ["scaled"]),
        node("Add", ["scaled", "bias"], ["norm" if behind else "y"]),
        *behind,
    ]
    values = {
        "groups": np.array([0, 2, -1]),
        "ones": np.ones(2, np.float32),
        "zeros": np.zeros(2, np.float32),
        "weight": np.arange(1, 5, dtype=np.float32).reshape(4, 1, 1),
        "bias": np.arange(5, 9, dtype=np.float32).reshape(4, 1, 1),
        "kernel": np.ones((4, 4, 3, 3), np.float32),
    }
    read = {name for one in nodes for name in one.input}
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, SHAPE) for name in ("x", "gate") if name in read]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, SHAPE)]
    constants = [numpy_helper.from_array(value, name) for name, value in values.items() if name in read]
    graph = helper.make_graph(nodes, "norm", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


def seen(behind, kind, group_norm):
    options = FusionOptions(kind)
    options.enable_group_norm = group_norm
    path = f"{sys.argv[1]}/model.onnx"
    onnx.save(made(behind), path)
    graph = optimize_model(path, model_type=kind, opt_level=0, optimization_options=options).model.graph
    convolutions = sum(one.op_type.endswith("Conv") for one in graph.node)
    activations = [
        str(helper.get_attribute_value(attribute))
        for norm in graph.node
        if norm.op_type == "GroupNorm"
        for attribute in norm.attribute
        if attribute.name == "activation"
    ]
    return f"{convolutions}, {' '.join(value.name for value in graph.input)}, {' '.join(activations) or 'none'}"


def convolution(output):
    return node("Conv", ["norm", "kernel"], [output], pads=[1, 1, 1, 1])


def product(value, sigmoid_of):
    return [node("Sigmoid", [sigmoid_of], ["factor"]), node("Mul", [value, "factor"], ["y"])]


CASES = {
    "norm": ([], True, "0, x, 0"),
    "norm, SiLU": (product("norm", "norm"), True, "0, x, 1"),
    "norm, convolution": ([convolution("y")], True, "1, x, 0"),
    "norm, convolution, SiLU": ([convolution("c"), *product("c", "c")], True, "0, x, 1"),
    "norm times the sigmoid of a gate": (product("norm", "gate"), True, "0, x, 1"),
    "norm, convolution, SiLU, enable_group_norm False": ([convolution("c"), *product("c", "c")], False, "1, x, none"),
    "norm times the sigmoid of a gate, enable_group_norm False": (product("norm", "gate"), False, "0, x gate, none"),
}
as_seen = True
for name, (behind, group_norm, expected) in CASES.items():
    found = {seen(behind, kind, group_norm) for kind in ("vae", "unet")}
    print(f"{name}: " + " or ".join(sorted(found)))
    as_seen &= found == {expected}
sys.exit(not as_seen)
PYTHON
"$folder/venv/bin/python" "$folder/swish.py" "$folder" 2>"$folder/log" || { cat "$folder/log" >&2; exit 1; }
