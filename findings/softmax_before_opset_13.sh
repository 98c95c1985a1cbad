#!/usr/bin/env bash
# OpenVINO 2026.4.1, OpenCV 5.0.0 and onnx's own ReferenceEvaluator 1.23.2 read Softmax of opset 11 as that of opset 13.
#
# Guess: up to opset 12, Softmax with axis k flattens its input to a matrix at k and normalizes its rows, so that with the
# default, axis 1, all values behind the batch sum to 1; every runtime that takes such files keeps to it.
# Seen: onnxruntime 1.32.0 and tract 0.23.9 do. The three others normalize axis 1 alone, without a word.
# Consequence: spatial attention or a categorical output of an older file is another function there. onnx's version
# converter makes the same function of opset 13 of it, as `pocketvae export` does (docs/edge-targets.md).
#
# Output seen (CPython 3.11, x86-64): sum of a Softmax over [1, 4, 2, 2], axis 1
#   opset 11: onnxruntime 1, tract 1, OpenVINO 4, OpenCV 4, onnx 4
#   opset 13: onnxruntime 4, tract 4, OpenVINO 4, OpenCV 4, onnx 4
#   opset 11, converted to 13: onnxruntime 1
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 openvino==2026.4.1 tract==0.23.9 \
  opencv-python-headless==5.0.0.93
cat >"$folder/softmax.py" <<'PYTHON'
import sys
import tempfile

import cv2
import numpy as np
import onnxruntime
import openvino
import tract
from onnx import TensorProto, helper, version_converter
from onnx.reference import ReferenceEvaluator

x = np.random.default_rng(0).normal(size=(1, 4, 2, 2)).astype(np.float32)


def made(opset):
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, x.shape) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Softmax", ["x"], ["y"], axis=1)], "softmax", ends[:1], ends[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def of_onnxruntime(model):
    return onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})[0]


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


def of_onnx(model):
    return ReferenceEvaluator(model).run(None, {"x": x})[0]


RUNTIMES = {
    "onnxruntime": of_onnxruntime,
    "tract": of_tract,
    "OpenVINO": of_openvino,
    "OpenCV": of_opencv,
    "onnx": of_onnx,
}
found = {}
for opset in (11, 13):
    found[opset] = [round(float(run(made(opset)).sum()), 3) for run in RUNTIMES.values()]
    print(f"opset {opset}: " + ", ".join(f"{name} {total:g}" for name, total in zip(RUNTIMES, found[opset])))
converted = round(float(of_onnxruntime(version_converter.convert_version(made(11), 13)).sum()), 3)
print(f"opset 11, converted to 13: onnxruntime {converted:g}")
sys.exit(found != {11: [1, 1, 4, 4, 4], 13: [4, 4, 4, 4, 4]} or converted != 1)
PYTHON
"$folder/venv/bin/python" "$folder/softmax.py"
