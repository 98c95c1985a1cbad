#!/usr/bin/env bash
# OpenCV 5.0.0 puts the padding of auto_pad on the wrong side in Conv, MaxPool and AveragePool.
#
# Guess: where SAME needs an odd number of rows in all, SAME_UPPER puts the odd one at the end and SAME_LOWER at the beginning,
# as ONNX says; a reader that does not know one of them refuses it.
# Seen: (kernel - 1) / 2 rows are put at the beginning, rounded down, whichever is asked for. So a kernel of 3 with stride 2
# on an even size, with SAME_UPPER, sees the map moved by one pixel: the size is right, all values are others. No warning.
# onnxruntime, OpenVINO and tract agree. Explicit pads are read right.
# Consequence: the usual encoder of TensorFlow, padding="same" and strides of 2 on 28, 14, 64 or 32 pixels, is another
# function there if its file has auto_pad, as tf2onnx writes for sizes that it does not know. pocketvae's files have
# explicit pads (docs/edge-targets.md).
#
# Output seen (onnx 1.23.2, onnxruntime 1.32.0, CPython 3.11, x86-64): beside onnxruntime
#   size 6, kernel 3, stride 2, SAME_UPPER: OpenVINO right; tract right; OpenCV other values
#   size 6, kernel 3, stride 2, SAME_LOWER: OpenVINO right; tract right; OpenCV right
#   size 6, kernel 3, stride 2, pads 0 0 1 1: OpenVINO right; tract right; OpenCV right
#   size 5, kernel 3, stride 2, SAME_UPPER: OpenVINO right; tract right; OpenCV right
#   size 5, kernel 4, stride 2, SAME_UPPER: OpenVINO right; tract right; OpenCV right
#   size 5, kernel 4, stride 2, SAME_LOWER: OpenVINO right; tract right; OpenCV other values
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 openvino==2026.4.1 tract==0.23.9 opencv-python-headless==5.0.0.93
cat >"$folder/padding.py" <<'PYTHON'
import sys
import tempfile

import cv2
import numpy as np
import onnx
import onnxruntime
import openvino
import tract
from onnx import TensorProto, helper, numpy_helper

OPERATORS = ("Conv", "MaxPool", "AveragePool")
rng = np.random.default_rng(0)


def made(operator, size, kernel, padding):
    x = rng.normal(size=(1, 3, size, size)).astype(np.float32)
    constants = []
    if operator == "Conv":
        constants = [numpy_helper.from_array(rng.normal(size=(2, 3, kernel, kernel)).astype(np.float32), "w")]
    node = helper.make_node(
        operator, ["x"] + [c.name for c in constants], ["y"], kernel_shape=[kernel] * 2, strides=[2, 2], **padding
    )
    out = [1, 2 if constants else 3, (size + 1) // 2, (size + 1) // 2]
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("x", x.shape), ("y", out))]
    graph = helper.make_graph([node], "padded", ends[:1], ends[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(), x


def of_onnxruntime(model, x):
    return onnxruntime.InferenceSession(model).run(None, {"x": x})[0]


def of_openvino(model, x):
    core = openvino.Core()
    return core.compile_model(core.read_model(model), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})({"x": x})[0]


def of_tract(model, x):
    with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
        file.write(model)
        file.flush()
        return tract.onnx().load(file.name).into_model().into_runnable().run([x])[0].to_numpy()


def of_opencv(model, x):
    net = cv2.dnn.readNetFromONNX(np.frombuffer(model, np.uint8))
    net.setInput(x, "x")
    return net.forward()


def verdict(run, model, x):
    y, right = run(model, x), of_onnxruntime(model, x)
    return "right" if y.shape == right.shape and abs(y - right).max() < 1e-4 else "other values"


RUNTIMES = {"OpenVINO": of_openvino, "tract": of_tract, "OpenCV": of_opencv}
CASES = {
    (6, 3, "SAME_UPPER"): {"auto_pad": "SAME_UPPER"},
    (6, 3, "SAME_LOWER"): {"auto_pad": "SAME_LOWER"},
    (6, 3, "pads 0 0 1 1"): {"pads": [0, 0, 1, 1]},
    (5, 3, "SAME_UPPER"): {"auto_pad": "SAME_UPPER"},
    (5, 4, "SAME_UPPER"): {"auto_pad": "SAME_UPPER"},
    (5, 4, "SAME_LOWER"): {"auto_pad": "SAME_LOWER"},
}
wrong = set()
for (size, kernel, name), padding in CASES.items():
    seen = {}
    for runtime, run in RUNTIMES.items():
        verdicts = {operator: verdict(run, *made(operator, size, kernel, padding)) for operator in OPERATORS}
        wrong |= {(size, kernel, name, runtime, o) for o, v in verdicts.items() if v != "right"}
        seen[runtime] = "right" if set(verdicts.values()) == {"right"} else ", ".join(sorted(set(verdicts.values())))
    print(f"size {size}, kernel {kernel}, stride 2, {name}: " + "; ".join(f"{r} {v}" for r, v in seen.items()))
expected = {(6, 3, "SAME_UPPER"), (5, 4, "SAME_LOWER")}
sys.exit(wrong != {(*case, "OpenCV", operator) for case in expected for operator in OPERATORS})
PYTHON
"$folder/venv/bin/python" "$folder/padding.py"
