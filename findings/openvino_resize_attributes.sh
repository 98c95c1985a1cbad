#!/usr/bin/env bash
# OpenVINO 2026.4.1 and OpenCV 5.0.0 read Resize of opset 18 and ignore attributes that it does not implement.
#
# Guess: a reader that does not know an attribute's value refuses the file; OpenVINO refuses half_pixel_symmetric, a value
# that opset 19 brought, by name.
# Seen: OpenVINO ignores antialias, exclude_outside and keep_aspect_ratio_policy, and OpenCV antialias; pixels, in one case the
# size, are others, without a warning. onnxruntime 1.32.0 has all three.
# Consequence: an encoder file that scales photos down inside its graph, as PyTorch writes antialias=True, sees other
# images there. docs/edge-targets.md names it.
#
# Output seen (onnx 1.23.2, CPython 3.11, x86-64): beside onnxruntime
#   linear, half size: OpenVINO alike, OpenCV alike
#   linear, half size, antialias: OpenVINO off by 0.1 or more, OpenCV off by 0.1 or more
#   cubic, exclude_outside: OpenVINO off by 0.03 or more, OpenCV alike
#   keep_aspect_ratio_policy not_larger: OpenVINO of another size, OpenCV refused
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 openvino==2026.4.1 \
  opencv-python-headless==5.0.0.93
cat >"$folder/resize.py" <<'PYTHON'
import sys

import cv2
import numpy as np
import onnxruntime
import openvino
from onnx import TensorProto, helper, numpy_helper

x = np.random.default_rng(0).uniform(size=(1, 2, 8, 8)).astype(np.float32)


def made(shape, *, scales=None, sizes=None, **attributes):
    scale = None if scales is None else numpy_helper.from_array(np.array(scales, np.float32), "scales")
    size = None if sizes is None else numpy_helper.from_array(np.array(sizes, np.int64), "sizes")
    inputs = ["x", "", "scales"] if scales is not None else ["x", "", "", "sizes"]
    ends = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, shape),
    ]
    node = helper.make_node("Resize", inputs, ["y"], **attributes)
    graph = helper.make_graph([node], "one", ends[:1], ends[1:], [item for item in (scale, size) if item is not None])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8).SerializeToString()


def of_onnxruntime(model):
    return onnxruntime.InferenceSession(model).run(None, {"x": x})[0]


def of_openvino(model):
    core = openvino.Core()
    return core.compile_model(core.read_model(model), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})({"x": x})[0]


def of_opencv(model):
    net = cv2.dnn.readNetFromONNX(np.frombuffer(model, np.uint8))
    net.setInput(x, "x")
    return net.forward()


def told(run, model, exact, off):
    try:
        value = run(model)
    except cv2.error:
        return "refused"
    if value.shape != exact.shape:
        return "of another size"
    error = float(np.abs(value - exact).max())
    return "alike" if error < 1e-4 else f"off by {off} or more" if error >= off else f"off by {error:.2g}"


half, double = (1, 1, 0.5, 0.5), (1, 1, 2, 2)
CASES = (
    ("linear, half size", 0.1, made((1, 2, 4, 4), scales=half, mode="linear")),
    ("linear, half size, antialias", 0.1, made((1, 2, 4, 4), scales=half, mode="linear", antialias=1)),
    ("cubic, exclude_outside", 0.03, made((1, 2, 16, 16), scales=double, mode="cubic", exclude_outside=1)),
    (
        "keep_aspect_ratio_policy not_larger",
        0.3,
        made((1, 2, 12, 12), sizes=(12, 16), mode="linear", axes=[2, 3], keep_aspect_ratio_policy="not_larger"),
    ),
)
EXPECTED = [
    ["alike", "alike"],
    ["off by 0.1 or more", "off by 0.1 or more"],
    ["off by 0.03 or more", "alike"],
    ["of another size", "refused"],
]
found = []
for name, off, model in CASES:
    exact = of_onnxruntime(model)
    found.append([told(run, model, exact, off) for run in (of_openvino, of_opencv)])
    print(f"{name}: OpenVINO {found[-1][0]}, OpenCV {found[-1][1]}")
sys.exit(found != EXPECTED)
PYTHON
"$folder/venv/bin/python" "$folder/resize.py"
