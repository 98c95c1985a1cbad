#!/usr/bin/env bash
# onnxruntime 1.32.0's transformers optimizer makes a LayerNormalization of the last axis of a normalization over any axis.
#
# Guess: ReduceMean, Sub, Pow, ReduceMean, Add, Sqrt, Div, Mul and Add are a LayerNormalization where the axes that are
# averaged are the last ones; with other axes they stay as they are. That is what the session's own optimizer does.
# Seen: onnxruntime.transformers.optimizer does not look at `axes`. A signal [batch, time, channels] that is normalized over
# time, with a factor for each channel, is normalized over its channels then: of the right shape, without a message, for
# model_type "vae" as for "bert". For "sam2" it looks at `axes`, takes a normalization over the channels of an image right,
# and then writes the weights in place of the bias (fusion_layernorm.py fills `bias_nhwc` with `weight`).
# Where it matters: to those who pass an encoder of sensors or sound through it, or a network of ConvNeXt blocks. The last
# axis is right, and so is the graph without this optimizer: ORT_ENABLE_ALL keeps both.
#
# Output seen (onnx 1.23.2, CPython 3.11, x86-64): largest difference to the file as it was
#   [1, 6, 4], axis 2: bert 0.00, ORT_ENABLE_ALL 0.00
#   [1, 6, 4], axis 1: bert 2.23, ORT_ENABLE_ALL 0.00
#   [1, 6, 4], axis 1: vae 2.23, ORT_ENABLE_ALL 0.00
#   [1, 4, 3, 3], axis 1: sam2 4.00, ORT_ENABLE_ALL 0.00; bias 5 6 7 8, written 1 2 3 4
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 sympy==1.14.0
cat >"$folder/norm.py" <<'PYTHON'
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.transformers.optimizer import optimize_model

node = helper.make_node
LEVELS = onnxruntime.GraphOptimizationLevel


def made(shape, axis, weight, bias):
    nodes = [
        node("ReduceMean", ["x"], ["mean"], axes=[axis]),
        node("Sub", ["x", "mean"], ["rest"]),
        node("Pow", ["rest", "two"], ["squares"]),
        node("ReduceMean", ["squares"], ["variance"], axes=[axis]),
        node("Add", ["variance", "epsilon"], ["above"]),
        node("Sqrt", ["above"], ["deviation"]),
        node("Div", ["rest", "deviation"], ["normal"]),
        node("Mul", ["normal", "weight"], ["scaled"]),
        node("Add", ["scaled", "bias"], ["y"]),
    ]
    values = {"two": np.float32(2), "epsilon": np.float32(1e-5), "weight": weight, "bias": bias}
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "xy"]
    constants = [numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()]
    graph = helper.make_graph(nodes, "norm", ends[:1], ends[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


def output(model, x, level):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = level
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    return session.run(None, {"x": x})[0]


found = []
ones, twos = np.arange(1, 5, dtype=np.float32), np.arange(5, 9, dtype=np.float32)
CASES = ("bert", (1, 6, 4), 2), ("bert", (1, 6, 4), 1), ("vae", (1, 6, 4), 1), ("sam2", (1, 4, 3, 3), 1)
for kind, shape, axis in CASES:
    form = (4,) if len(shape) == 3 else (4, 1, 1)
    weight, bias = (ones / 4, twos) if len(shape) == 3 else (ones, twos)
    model = made(shape, axis, weight.reshape(form), bias.reshape(form))
    path = f"{sys.argv[1]}/model.onnx"
    onnx.save(model, path)
    fused = optimize_model(path, model_type=kind, opt_level=0).model
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    exact = output(model, x, LEVELS.ORT_DISABLE_ALL)
    errors = [
        float(np.abs(exact - other).max())
        for other in (output(fused, x, LEVELS.ORT_DISABLE_ALL), output(model, x, LEVELS.ORT_ENABLE_ALL))
    ]
    line = f"{list(shape)}, axis {axis}: {kind} {errors[0]:.2f}, ORT_ENABLE_ALL {errors[1]:.2f}"
    if kind == "sam2":
        (layer,) = (n for n in fused.graph.node if n.op_type == "LayerNormalization")
        written = {c.name: numpy_helper.to_array(c) for c in fused.graph.initializer}[layer.input[2]]
        line += "; bias " + " ".join(f"{v:g}" for v in bias) + ", written " + " ".join(f"{v:g}" for v in written)
        found.append(written.tolist())
    print(line)
    found.append([round(error, 2) for error in errors])
last, bert, vae, written, image = found
sys.exit(
    not (
        last == [0, 0]
        and bert == vae
        and min(bert[0], image[0]) > 1
        and bert[1] == image[1] == 0
        and written == ones.tolist()
    )
)
PYTHON
"$folder/venv/bin/python" "$folder/norm.py" "$folder" 2>"$folder/log" || { cat "$folder/log" >&2; exit 1; }
