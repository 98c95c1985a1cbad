#!/usr/bin/env bash
# onnxslim 0.1.98 writes one draw of random operators into the file as a constant.
#
# Guess: a simplifier folds what is computed from constants alone, but not RandomNormal and its like, which draw anew in every
# run; onnxsim and onnxruntime's optimizer leave them.
# Seen: RandomNormal, RandomNormalLike, RandomUniformLike, Bernoulli and Multinomial of constants, and Dropout in training mode,
# become initializers with what they drew while the file was simplified. A RandomNormalLike of an input stays.
# Consequence: a generator whose noise comes from RandomNormal draws the same image in every run and on every device, without a
# word. pocketvae's generators compute noise from a seed with integers, and stay as they are (docs/edge-targets.md).
#
# Output seen (onnx 1.23.2, onnxruntime 1.32.0, CPython 3.11, x86-64): two sessions of the simplified file
#   RandomNormal: as it was draws anew, onnxsim draws anew, onnxslim is constant
#   RandomNormalLike: as it was draws anew, onnxsim draws anew, onnxslim is constant
#   RandomUniformLike: as it was draws anew, onnxsim draws anew, onnxslim is constant
#   Bernoulli: as it was draws anew, onnxsim draws anew, onnxslim is constant
#   Multinomial: as it was draws anew, onnxsim draws anew, onnxslim is constant
#   Dropout: as it was draws anew, onnxsim draws anew, onnxslim is constant
#   RandomNormalLike of an input: as it was draws anew, onnxsim draws anew, onnxslim draws anew
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 onnxsim==0.8.1 onnxslim==0.1.98
cat >"$folder/noise.py" <<'PYTHON'
import sys

import numpy as np
import onnxruntime
import onnxsim
import onnxslim
from onnx import TensorProto, helper, numpy_helper

COUNT = 64
HALVES = numpy_helper.from_array(np.full((1, COUNT), 0.5, np.float32), "halves")
RATIO = numpy_helper.from_array(np.float32(0.5), "ratio")
TRAINING = numpy_helper.from_array(np.array(True), "training")
CASES = {
    "RandomNormal": ([], {"shape": [1, COUNT]}),
    "RandomNormalLike": (["halves"], {}),
    "RandomUniformLike": (["halves"], {}),
    "Bernoulli": (["halves"], {}),
    "Multinomial": (["halves"], {"sample_size": COUNT, "dtype": TensorProto.INT32}),
    "Dropout": (["halves", "ratio", "training"], {}),
    "RandomNormalLike of an input": (["x"], {}),
}


def model(operator, inputs, attributes):
    """Returns a model that adds what the operator draws to its input."""
    nodes = [
        helper.make_node(operator, inputs, ["drawn"], **attributes),
        helper.make_node("Cast", ["drawn"], ["noise"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["x", "noise"], ["y"]),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, COUNT)) for name in "xy"]
    named = {constant.name: constant for constant in (HALVES, RATIO, TRAINING)}
    graph = helper.make_graph(nodes, "noise", ends[:1], ends[1:], [named[name] for name in inputs if name in named])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def draws_anew(content):
    session = onnxruntime.InferenceSession(content.SerializeToString())
    feed = {"x": np.zeros((1, COUNT), np.float32)}
    first, second = (session.run(None, feed)[0] for _ in range(2))
    return not np.array_equal(first, second)


ways = {
    "as it was": lambda given: given,
    "onnxsim": lambda given: onnxsim.simplify(given)[0],
    "onnxslim": onnxslim.slim,
}
found = {}
for name, (inputs, attributes) in CASES.items():
    anew = {way: draws_anew(of(model(name.split()[0], inputs, attributes))) for way, of in ways.items()}
    print(f"{name}: " + ", ".join(f"{way} {'draws anew' if new else 'is constant'}" for way, new in anew.items()))
    found[name] = list(anew.values())
expected = {name: [True, True, name.endswith("input")] for name in CASES}
sys.exit(found != expected)
PYTHON
"$folder/venv/bin/python" "$folder/noise.py" 2>/dev/null
