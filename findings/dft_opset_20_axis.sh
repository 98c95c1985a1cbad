#!/usr/bin/env bash
# OpenVINO 2026.4.1 and OpenCV 5.0.0 take the DFT of opset 20 over axis 1, whatever axis the file names.
#
# Guess: `axis` is an attribute in opset 17 (1 if absent) and an input from opset 20 on (-2, the last of real numbers, if absent),
# and a reader of opset 20 reads the input.
# Seen: both read opset 17 right, and of opset 20 transform axis 1. The shape is that of the right answer, the values are
# not, without a warning. With onesided=1 OpenVINO keeps the input's last axis besides, in both opsets: five axes in place
# of four. onnxruntime, onnx's reference and tract are right in opset 20.
# Consequence: an encoder of sound that makes its spectra inside the file, as exporters from PyTorch write them, hears
# something else where windows or channels come before samples. docs/edge-targets.md names it.
#
# Output seen (onnx 1.23.2, onnxruntime 1.32.0, tract 0.23.9, CPython 3.11, x86-64): of [2, 3, 8, 1]
#   opset 17, axis 2: onnxruntime axis asked for (2x3x8x2), tract axis asked for (2x3x8x2), OpenVINO axis
#     asked for (2x3x8x2), OpenCV axis asked for (2x3x8x2)
#   opset 20, axis 2: onnxruntime axis asked for (2x3x8x2), tract axis asked for (2x3x8x2), OpenVINO axis 1
#     (2x3x8x2), OpenCV axis 1 (2x3x8x2)
#   opset 20, axis 2, onesided: onnxruntime axis asked for (2x3x5x2), tract axis asked for (2x3x5x2), OpenVINO
#     axis 1 (2x2x8x1x2), OpenCV axis 1 (2x2x8x2)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 openvino==2026.4.1 tract==0.23.9 opencv-python-headless==5.0.0.93
cat >"$folder/dft.py" <<'PYTHON'
import sys
import tempfile

import cv2
import numpy as np
import onnx
import onnxruntime
import openvino
import tract
from onnx import TensorProto, helper, numpy_helper

x = np.random.default_rng(0).normal(size=(2, 3, 8, 1)).astype(np.float32)


def spectrum(axis, onesided):
    y = (np.fft.rfft if onesided else np.fft.fft)(x[..., 0], axis=axis)
    return np.stack([y.real, y.imag], axis=-1)


def made(opset, axis, onesided):
    ends = [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)]
    ends.append(helper.make_tensor_value_info("y", TensorProto.FLOAT, spectrum(axis, onesided).shape))
    if opset == 17:
        node, constants = helper.make_node("DFT", ["x"], ["y"], axis=axis, onesided=onesided), []
    else:
        node = helper.make_node("DFT", ["x", "", "axis"], ["y"], onesided=onesided)
        constants = [numpy_helper.from_array(np.array(axis), "axis")]
    graph = helper.make_graph([node], "dft", ends[:1], ends[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def of_onnxruntime(model):
    return onnxruntime.InferenceSession(model).run(None, {"x": x})[0]


def of_tract(model):
    with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
        file.write(model)
        file.flush()
        return tract.onnx().load(file.name).into_model().into_runnable().run([x])[0].to_numpy()


def of_openvino(model):
    core = openvino.Core()
    return core.compile_model(core.read_model(model), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})({"x": x})[0]


def of_opencv(model):
    net = cv2.dnn.readNetFromONNX(np.frombuffer(model, np.uint8))
    net.setInput(x, "x")
    return net.forward()


def verdict(y, axis, onesided):
    """Compares values whatever the shape: [2, 2, 8, 1, 2] are the values of [2, 2, 8, 2]."""
    shape = "x".join(map(str, y.shape))
    for name, asked in (("axis asked for", axis), ("axis 1", 1)):
        right = spectrum(asked, onesided)
        if y.size == right.size and abs(y.reshape(right.shape) - right).max() < 1e-4:
            return f"{name} ({shape})"
    return f"other values ({shape})"


RUNTIMES = {"onnxruntime": of_onnxruntime, "tract": of_tract, "OpenVINO": of_openvino, "OpenCV": of_opencv}
found = {}
for opset, onesided in ((17, 0), (20, 0), (20, 1)):
    seen = [verdict(run(made(opset, 2, onesided)), 2, onesided) for run in RUNTIMES.values()]
    found[opset, onesided] = seen
    text = ", ".join(f"{name} {what}" for name, what in zip(RUNTIMES, seen))
    print(f"opset {opset}, axis 2{', onesided' * onesided}: {text}")
right, half = "axis asked for (2x3x8x2)", "axis asked for (2x3x5x2)"
sys.exit(
    found
    != {
        (17, 0): [right] * 4,
        (20, 0): [right, right, "axis 1 (2x3x8x2)", "axis 1 (2x3x8x2)"],
        (20, 1): [half, half, "axis 1 (2x2x8x1x2)", "axis 1 (2x2x8x2)"],
    }
)
PYTHON
"$folder/venv/bin/python" "$folder/dft.py"
