#!/usr/bin/env bash
# tract 0.23.9 multiplies Celu by the wrong factor; tract and OpenCV 5.0.0 ignore the alpha of Swish.
#
# Guess: Celu is max(0, x) + min(0, alpha (exp(x / alpha) - 1)), and Swish of opset 24 is x sigmoid(alpha x); who reads the
# operators reads their one attribute.
# Seen: tract's Celu has exp(x / alpha) - 1 without alpha in front; right only for alpha = 1. Both runtimes compute
# x sigmoid(x) whatever alpha. Elu, Selu, HardSigmoid and ThresholdedRelu are right in both.
# Consequence: such networks are silently others there; docs/edge-targets.md names it.
#
# Output seen (onnx 1.23.2, CPython 3.11, x86-64): largest error for x from -4 to 4
#   Celu, alpha 0.5: onnxruntime 0.00, tract 0.50, OpenCV 0.00
#   Celu, alpha 1: onnxruntime 0.00, tract 0.00, OpenCV 0.00
#   Swish, alpha 1.5: onnxruntime 0.00, tract 0.14, OpenCV 0.14
#   Swish, alpha 1: onnxruntime 0.00, tract 0.00, OpenCV 0.00
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 tract==0.23.9 opencv-python-headless==5.0.0.93
cat >"$folder/alpha.py" <<'PYTHON'
import sys
import tempfile

import cv2
import numpy as np
import onnxruntime
import tract
from onnx import TensorProto, helper

x = np.linspace(-4, 4, 64, dtype=np.float32)[None]


def made(operator, opset, alpha):
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, x.shape) for name in "xy"]
    graph = helper.make_graph([helper.make_node(operator, ["x"], ["y"], alpha=alpha)], "one", ends[:1], ends[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10).SerializeToString()


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


def celu(alpha):
    return np.maximum(0, x) + np.minimum(0, alpha * (np.exp(x / alpha) - 1))


def swish(alpha):
    return x / (1 + np.exp(-alpha * x))


RUNTIMES = {"onnxruntime": of_onnxruntime, "tract": of_tract, "OpenCV": of_opencv}
CASES = (("Celu", 12, celu, 0.5), ("Celu", 12, celu, 1.0), ("Swish", 24, swish, 1.5), ("Swish", 24, swish, 1.0))
found = []
for operator, opset, exact, alpha in CASES:
    model = made(operator, opset, alpha)
    errors = [round(float(np.abs(run(model, x) - exact(alpha)).max()), 2) for run in RUNTIMES.values()]
    told = ", ".join(f"{name} {error:.2f}" for name, error in zip(RUNTIMES, errors))
    print(f"{operator}, alpha {alpha:g}: {told}")
    found.append(errors)
sys.exit(found != [[0, 0.5, 0], [0, 0, 0], [0, 0.14, 0.14], [0, 0, 0]])
PYTHON
"$folder/venv/bin/python" "$folder/alpha.py"
