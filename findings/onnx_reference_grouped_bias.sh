#!/usr/bin/env bash
# onnx's own ReferenceEvaluator 1.23.2: the bias of a grouped ConvTranspose, clip of an LSTM, a norm with p 1.
#
# Guess: what onnx calls its reference computes what its specification says; who tests a runtime, compares with it.
# Seen: with one group for each channel (an enlargement by fixed weights) it adds the first bias to all channels.
# Without a bias it is right. An LSTM with `clip` is not clipped, and its `activations` are ignored. LpNormalization
# with p 1 divides by the sum of the values, not of their sizes. onnxruntime agrees with the specification in all of
# them.
# Where it matters: to those whose tests or constant folding rely on it: a right runtime is called wrong, or a wrong
# constant gets into the file. Without a bias in the node, and an Add behind it, it is right.
#
# Output seen (onnxruntime 1.32.0, CPython 3.11, x86-64): largest difference of the two
#   ConvTranspose, 4 groups: 0.00
#   ConvTranspose, 4 groups, bias 1, 2, 3 and 4: 0.00, 1.00, 2.00 and 3.00 in the channels
#   LSTM: 0.00
#   LSTM with clip 0.1: 0.71
#   LSTM with activations HardSigmoid, Relu, Tanh: 0.77
#   LpNormalization with p 2: 0.00
#   LpNormalization with p 1, of -1, 2 and 3: -0.25 0.50 0.75, not -0.17 0.33 0.50
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0
cat >"$folder/reference.py" <<'PYTHON'
import sys

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

rng = np.random.default_rng(0)


def random(*shape):
    return rng.normal(size=shape).astype(np.float32)


def both(operator, x, *values, **attributes):
    names = ["x", *"abc"[: len(values)]]
    ends = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, None),
    ]
    constants = [numpy_helper.from_array(value, name) for name, value in zip(names[1:], values)]
    node = helper.make_node(operator, names, ["y"], **attributes)
    graph = helper.make_graph([node], "one", ends[:1], ends[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return ReferenceEvaluator(model).run(None, {"x": x})[0], session.run(None, {"x": x})[0]


found = []


def tell(name, *numbers, words="{:.2f}"):
    found.append([round(float(number), 2) for number in numbers])
    print(f"{name}: " + words.format(*numbers))


image, weights, bias = random(1, 4, 5, 5), random(4, 1, 2, 2), np.array([1, 2, 3, 4], np.float32)
value, exact = both("ConvTranspose", image, weights, strides=[2, 2], group=4)
tell("ConvTranspose, 4 groups", np.abs(value - exact).max())
value, exact = both("ConvTranspose", image, weights, bias, strides=[2, 2], group=4)
errors = np.abs(value - exact).max((0, 2, 3))
tell(
    "ConvTranspose, 4 groups, bias 1, 2, 3 and 4",
    *errors,
    words="{:.2f}, {:.2f}, {:.2f} and {:.2f} in the channels",
)
sequence, cells = random(4, 2, 3), (random(1, 20, 3), random(1, 20, 5), random(1, 40))
for name, attributes in (
    ("LSTM", {}),
    ("LSTM with clip 0.1", {"clip": 0.1}),
    ("LSTM with activations HardSigmoid, Relu, Tanh", {"activations": ["HardSigmoid", "Relu", "Tanh"]}),
):
    value, exact = both("LSTM", sequence, *cells, hidden_size=5, **attributes)
    tell(name, np.abs(value - exact).max())
row = np.array([[-1, 2, 3]], np.float32)
value, exact = both("LpNormalization", row, p=2)
tell("LpNormalization with p 2", np.abs(value - exact).max())
value, exact = both("LpNormalization", row, p=1)
numbers = "{:.2f} {:.2f} {:.2f}"
tell("LpNormalization with p 1, of -1, 2 and 3", *value[0], *exact[0], words=f"{numbers}, not {numbers}")
right, bias_errors, lstm, clipped, activations, two, one = found
sys.exit(
    [right, bias_errors, lstm, two, one] != [[0], [0, 1, 2, 3], [0], [0], [-0.25, 0.5, 0.75, -0.17, 0.33, 0.5]]
    or min(clipped + activations) < 0.1
)
PYTHON
"$folder/venv/bin/python" "$folder/reference.py"
