#!/usr/bin/env bash
# tract 0.23.9 and OpenCV 5.0.0: Softplus, LogSoftmax and ReduceLogSumExp overflow where their results are small numbers.
#
# Guess: all three are computed around their largest element, as in onnxruntime and OpenVINO, so that softplus(89) is 89.
# Seen: both exponentiate first. From 89 on, softplus and log-sum-exp are infinite; LogSoftmax is minus infinity from a
# difference of 104 on, where the logarithm of a probability is -104.
# Consequence: an encoder with sigma = softplus(...) returns infinity for unusual items, just those that anomaly detection is
# for. docs/edge-targets.md names it; `verify --targets tract` shows it only where a golden reaches such a value.
#
# Output seen (onnx 1.23.2, CPython 3.11, x86-64):
#   onnxruntime: softplus(89) 89, log-sum-exp(89, 88) 89.3, log-softmax(-100, 50) -150
#   tract: softplus(89) inf, log-sum-exp(89, 88) inf, log-softmax(-100, 50) -inf
#   OpenCV: softplus(89) inf, log-sum-exp(89, 88) inf, log-softmax(-100, 50) -inf
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 tract==0.23.9 opencv-python-headless==5.0.0.93
cat >"$folder/overflow.py" <<'PYTHON'
import sys
import tempfile

import cv2
import numpy as np
import onnxruntime
import tract
from onnx import TensorProto, helper


def made(operator, shapes, **attributes):
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in zip("xy", shapes)]
    graph = helper.make_graph([helper.make_node(operator, ["x"], ["y"], **attributes)], "one", ends[:1], ends[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8).SerializeToString()


def of_onnxruntime(model, x):
    return onnxruntime.InferenceSession(model).run(None, {"x": x})[0]


def of_tract(model, x):
    with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
        file.write(model)
        file.flush()
        return tract.onnx().load(file.name).into_model().into_runnable().run([x])[0].to_numpy()


def of_opencv(model, x):
    net = cv2.dnn.readNetFromONNX(np.frombuffer(model, np.uint8))
    net.setInput(x, "x")
    return net.forward()


softplus = made("Softplus", [(1, 1), (1, 1)])
log_sum_exp = made("ReduceLogSumExp", [(1, 2), (1, 1)], axes=[1])
log_softmax = made("LogSoftmax", [(1, 2), (1, 2)], axis=1)
as_seen = True
for name, run in (("onnxruntime", of_onnxruntime), ("tract", of_tract), ("OpenCV", of_opencv)):
    values = (
        float(run(softplus, np.array([[89]], np.float32)).ravel()[0]),
        float(run(log_sum_exp, np.array([[89, 88]], np.float32)).ravel()[0]),
        float(run(log_softmax, np.array([[-100, 50]], np.float32)).ravel()[0]),
    )
    print("{}: softplus(89) {:.3g}, log-sum-exp(89, 88) {:.3g}, log-softmax(-100, 50) {:.3g}".format(name, *values))
    right = np.allclose(values, (89, 89.3133, -150), atol=1e-3)
    as_seen &= right if name == "onnxruntime" else values == (np.inf, np.inf, -np.inf)
sys.exit(not as_seen)
PYTHON
"$folder/venv/bin/python" "$folder/overflow.py"
