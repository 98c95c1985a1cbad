#!/usr/bin/env bash
# OpenCV 5.0.0, tract 0.23.9 and OpenVINO 2026.4.1: ConvTranspose with auto_pad or output_shape.
#
# Guess: with auto_pad SAME_UPPER the output is the input's size times the stride; output_shape says it outright, and the
# padding follows. These are valid in every opset since 1, so that a runtime that reads the operator reads them.
# Seen, without a warning: OpenCV ignores auto_pad, and for 5 x 5 pixels, kernel 3 and stride 2 returns the same 9 x 9 as
# without; for output_shape [10, 10] 12 x 12. tract returns 10 x 10 for output_shape, of other values. OpenVINO, given both,
# pads the other side. onnxruntime is right in all three.
# Consequence: a decoder draws other images of another size there; explicit pads are read alike by all four
# (docs/edge-targets.md).
#
# Output seen (onnx 1.23.2, CPython 3.11, x86-64): size and largest error
#   explicit pads: OpenCV 9 right, tract 9 right, OpenVINO 9 right
#   SAME_UPPER: OpenCV 9 (not 10), tract 10 right, OpenVINO 10 right
#   output_shape: OpenCV 12 (not 10), tract 10 wrong, OpenVINO 10 right
#   output_shape, SAME_UPPER: OpenVINO 10 wrong
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 openvino==2026.4.1 tract==0.23.9 \
  opencv-python-headless==5.0.0.93
cat >"$folder/transpose.py" <<'PYTHON'
import sys
import tempfile

import cv2
import numpy as np
import onnxruntime
import openvino
import tract
from onnx import TensorProto, helper, numpy_helper

rng = np.random.default_rng(0)
x, weights = rng.normal(size=(1, 4, 5, 5)).astype(np.float32), rng.normal(size=(4, 3, 3, 3)).astype(np.float32)


def made(size, **attributes):
    ends = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 3, size, size)),
    ]
    node = helper.make_node("ConvTranspose", ["x", "weights"], ["y"], strides=[2, 2], **attributes)
    graph = helper.make_graph([node], "one", ends[:1], ends[1:], [numpy_helper.from_array(weights, "weights")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8).SerializeToString()


def of_onnxruntime(model, x):
    return onnxruntime.InferenceSession(model).run(None, {"x": x})[0]


def of_tract(model, x):
    with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
        file.write(model)
        file.flush()
        return tract.onnx().load(file.name).into_model().into_runnable().run([x])[0].to_numpy()


def of_openvino(model, x):
    core = openvino.Core()
    return core.compile_model(core.read_model(model), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})({"x": x})[0]


def of_opencv(model, x):
    net = cv2.dnn.readNetFromONNX(np.frombuffer(model, np.uint8))
    net.setInput(x, "x")
    return net.forward()


def verdict(run, model, exact):
    value = run(model, x)
    if value.shape != exact.shape:
        return f"{value.shape[2]} (not {exact.shape[2]})"
    return f"{value.shape[2]} {'right' if np.abs(value - exact).max() < 1e-4 else 'wrong'}"


ALL = {"OpenCV": of_opencv, "tract": of_tract, "OpenVINO": of_openvino}
CASES = (
    ("explicit pads", ALL, made(9, pads=[1, 1, 1, 1])),
    ("SAME_UPPER", ALL, made(10, auto_pad="SAME_UPPER")),
    ("output_shape", ALL, made(10, output_shape=[10, 10])),
    (
        "output_shape, SAME_UPPER",
        {"OpenVINO": of_openvino},
        made(10, output_shape=[10, 10], auto_pad="SAME_UPPER"),
    ),
)
EXPECTED = [
    ["9 right", "9 right", "9 right"],
    ["9 (not 10)", "10 right", "10 right"],
    ["12 (not 10)", "10 wrong", "10 right"],
    ["10 wrong"],
]
found = []
for name, runtimes, model in CASES:
    exact = of_onnxruntime(model, x)
    found.append([verdict(run, model, exact) for run in runtimes.values()])
    print(f"{name}: " + ", ".join(f"{runtime} {told}" for runtime, told in zip(runtimes, found[-1])))
sys.exit(found != EXPECTED)
PYTHON
"$folder/venv/bin/python" "$folder/transpose.py"
