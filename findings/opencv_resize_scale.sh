#!/usr/bin/env bash
# OpenCV 5.0.0 resizes by the ratio of sizes where the file gives a scale.
#
# Guess: Resize with `scales` takes the place of each pixel from the scale, as ONNX says, and the size is rounded down: 5 pixels
# by 1.5 are 7, at distances of 1 / 1.5.
# Seen: OpenCV takes distances of 5 / 7, in all modes, as if the file had `sizes`. Where the scale gives a whole number of pixels
# both are the same. onnxruntime and onnx's reference take the scale, and so do OpenVINO 2026.4.1 and tract 0.23.9.
# Consequence: a file from PyTorch, whose interpolate takes the scale itself too and writes it, draws other pixels there wherever
# a size is odd and a factor 0.5 or 1.5; the error is up to that of a neighbouring pixel. docs/edge-targets.md names it.
#
# Output seen (onnx 1.23.2, onnxruntime 1.32.0, CPython 3.11, x86-64): what OpenCV's 5 x 5 pixels, resized, agree with
#   nearest: 0.5 sizes, 1.5 sizes, 2 scale and sizes
#   linear: 0.5 sizes, 1.5 sizes, 2 scale and sizes
#   cubic: 0.5 sizes, 1.5 sizes, 2 scale and sizes
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 opencv-python-headless==5.0.0.93
cat >"$folder/resize.py" <<'PYTHON'
import sys

import cv2
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

x = np.random.default_rng(0).normal(size=(1, 1, 5, 5)).astype(np.float32)


def made(scale, mode, by_sizes=False):
    size = int(5 * scale)
    if by_sizes:
        inputs, constant = ["x", "", "", "sizes"], numpy_helper.from_array(np.array([1, 1, size, size]), "sizes")
    else:
        values = np.array([1, 1, scale, scale], np.float32)
        inputs, constant = ["x", "", "scales"], numpy_helper.from_array(values, "scales")
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 1, s, s]) for n, s in (("x", 5), ("y", size))]
    graph = helper.make_graph(
        [helper.make_node("Resize", inputs, ["y"], mode=mode)], "resize", ends[:1], ends[1:], [constant]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


def of_onnxruntime(model):
    return onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})[0]


def of_opencv(model):
    net = cv2.dnn.readNetFromONNX(np.frombuffer(model.SerializeToString(), np.uint8))
    net.setInput(x, "x")
    return net.forward()


found = {}
for mode in ("nearest", "linear", "cubic"):
    for scale in (0.5, 1.5, 2):
        y, model = of_opencv(made(scale, mode)), made(scale, mode)
        assert abs(ReferenceEvaluator(model).run(None, {"x": x})[0] - of_onnxruntime(model)).max() < 1e-4
        answers = {"scale": of_onnxruntime(model), "sizes": of_onnxruntime(made(scale, mode, by_sizes=True))}
        found[mode, scale] = " and ".join(name for name, right in answers.items() if abs(y - right).max() < 1e-4)
    print(f"{mode}: " + ", ".join(f"{scale:g} {found[mode, scale]}" for scale in (0.5, 1.5, 2)))
sys.exit(any(what != ("scale and sizes" if scale == 2 else "sizes") for (_, scale), what in found.items()))
PYTHON
"$folder/venv/bin/python" "$folder/resize.py"
