#!/usr/bin/env bash
# OpenVINO 2026.4.1 and OpenCV 5.0.0 count cells beyond the padding in an AveragePool with ceil_mode and count_include_pad.
#
# Guess: with count_include_pad=1 a window is divided by its cells in the padded map. With ceil_mode=1 the last window may
# reach beyond the padding; what lies there is neither map nor padding, and does not count.
# Seen: both divide by all cells of the kernel, so that the last row and column are too small, by a third for a kernel of 3.
# OpenVINO does so only where there is padding, OpenCV always. onnxruntime, onnx's reference and tract do not count them,
# and neither does PyTorch, whose AvgPool2d has count_include_pad as its default.
# Consequence: an encoder with AvgPool2d(3, 2, 1, ceil_mode=True) sees darker edges there, by a figure that looks like one of
# precision. docs/edge-targets.md names it.
#
# Output seen (onnx 1.23.2, onnxruntime 1.32.0, CPython 3.11, x86-64): a mean in the last row, ones
#   padding 0, count_include_pad 1: onnxruntime 1, onnx 1, tract 1, OpenVINO 1, OpenCV 0.667
#   padding 1, count_include_pad 0: onnxruntime 1, onnx 1, tract 1, OpenVINO 1, OpenCV 1
#   padding 1, count_include_pad 1: onnxruntime 0.5, onnx 0.5, tract 0.5, OpenVINO 0.333, OpenCV 0.333
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 openvino==2026.4.1 tract==0.23.9 opencv-python-headless==5.0.0.93
cat >"$folder/pool.py" <<'PYTHON'
import sys
import tempfile

import cv2
import numpy as np
import onnx
import onnxruntime
import openvino
import tract
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

x = np.ones((1, 1, 6, 6), np.float32)


def made(pad, include):
    size = 4 if pad else 3
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 1, s, s]) for n, s in (("x", 6), ("y", size))]
    attributes = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [pad] * 4, "ceil_mode": 1}
    node = helper.make_node("AveragePool", ["x"], ["y"], count_include_pad=include, **attributes)
    graph = helper.make_graph([node], "pool", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return model


def of_onnxruntime(model):
    return onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})[0]


def of_onnx(model):
    return ReferenceEvaluator(model).run(None, {"x": x})[0]


def of_tract(model):
    with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
        file.write(model.SerializeToString())
        file.flush()
        return tract.onnx().load(file.name).into_model().into_runnable().run([x])[0].to_numpy()


def of_openvino(model):
    core = openvino.Core()
    return core.compile_model(core.read_model(model.SerializeToString()), "CPU")({"x": x})[0]


def of_opencv(model):
    net = cv2.dnn.readNetFromONNX(np.frombuffer(model.SerializeToString(), np.uint8))
    net.setInput(x, "x")
    return net.forward()


RUNTIMES = {
    "onnxruntime": of_onnxruntime,
    "onnx": of_onnx,
    "tract": of_tract,
    "OpenVINO": of_openvino,
    "OpenCV": of_opencv,
}
found = {}
for pad, include in ((0, 1), (1, 0), (1, 1)):
    corners = [round(float(run(made(pad, include))[0, 0, -1, 1]), 3) for run in RUNTIMES.values()]
    found[pad, include] = corners
    text = ", ".join(f"{name} {value:g}" for name, value in zip(RUNTIMES, corners))
    print(f"padding {pad}, count_include_pad {include}: {text}")
sys.exit(found != {(0, 1): [1, 1, 1, 1, 0.667], (1, 0): [1] * 5, (1, 1): [0.5, 0.5, 0.5, 0.333, 0.333]})
PYTHON
"$folder/venv/bin/python" "$folder/pool.py"
