#!/usr/bin/env bash
# MNN 3.6.1 takes the inputs of a transposed convolution with int8 weights for its outputs.
#
# Guess: mnnconvert reads a weight behind DequantizeLinear as it reads the same numbers in float32.
# Seen: so it does for Conv. For ConvTranspose, whose weights are [in, out, h, w], it takes them for [out, in, h, w], without
# a warning: with 4 channels in and 3 out it returns 4, and with 4 and 4 other values. One scale or one for each channel, it
# is the same. Float weights are read right.
# Where it matters: to those who ship an int8 decoder with DequantizeLinear, as onnxruntime's quantizer writes, to MNN. Where
# the channels are as many in as out, nothing shows that it draws something else. Float weights, quantized by mnnconvert
# itself, or convolutions in place of transposed ones are read right.
#
# Output seen (onnx 1.23.2, onnxruntime 1.32.0, CPython 3.11, x86-64): channels of the output and largest error
#   Conv, 4 to 4, int8 weights: 4 channels, right
#   ConvTranspose, 4 to 4, float weights: 4 channels, right
#   ConvTranspose, 4 to 4, int8 weights: 4 channels, wrong, as if [out, in]
#   ConvTranspose, 4 to 4, int8 weights, a scale for each: 4 channels, wrong
#   ConvTranspose, 4 to 3, int8 weights: 4 channels (not 3)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 MNN==3.6.1
cat >"$folder/transposed.py" <<'PYTHON'
import subprocess
import sys
import tempfile
from pathlib import Path

import MNN.expr
import MNN.nn
import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

rng = np.random.default_rng(0)
x = rng.normal(size=(1, 4, 6, 6)).astype(np.float32)
SCALES = np.array([0.01, 0.02, 0.03, 0.1], np.float32)
CONVERT = "import MNN, _tools, sys; _tools.mnnconvert(sys.argv)"  # the package's own command installs others


def made(operator, weights, scale=None, axis=0):
    values, nodes = {"weights": weights}, []
    if scale is not None:
        values = {"integers": weights, "scale": scale, "zero": np.zeros(scale.shape, np.int8)}
        nodes = [helper.make_node("DequantizeLinear", list(values), ["weights"], axis=axis)]
    nodes.append(helper.make_node(operator, ["x", "weights"], ["y"]))
    ends = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, None),
    ]
    constants = [numpy_helper.from_array(value, name) for name, value in values.items()]
    graph = helper.make_graph(nodes, "one", ends[:1], ends[1:], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8).SerializeToString()


def of_onnxruntime(model):
    return onnxruntime.InferenceSession(model).run(None, {"x": x})[0]


def of_mnn(model):
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "model.onnx"), Path(folder, "model.mnn")
        source.write_bytes(model)
        arguments = ["-f", "ONNX", "--modelFile", source, "--MNNModel", target, "--bizCode", "x"]
        subprocess.run([sys.executable, "-c", CONVERT, *arguments], check=True, capture_output=True)
        network = MNN.nn.load_module_from_file(str(target), ["x"], ["y"])
        value = network.forward([MNN.expr.const(x, list(x.shape), MNN.expr.NCHW)])[0]
        value = MNN.expr.convert(value, MNN.expr.NCHW)
        return np.array(value.read()).reshape(value.shape)


def verdict(operator, weights, scale=None, axis=0):
    model = made(operator, weights, scale, axis)
    exact, value = of_onnxruntime(model), of_mnn(model)
    told = f"{value.shape[1]} channels"
    if value.shape != exact.shape:
        return f"{told} (not {exact.shape[1]})"
    if np.abs(value - exact).max() < 1e-3:
        return f"{told}, right"
    if scale.ndim:
        return f"{told}, wrong"
    exchanged = of_onnxruntime(made(operator, np.ascontiguousarray(weights.swapaxes(0, 1)), scale, axis))
    return f"{told}, wrong" + (", as if [out, in]" if np.abs(value - exchanged).max() < 1e-3 else "")


square, narrow = (rng.integers(-127, 128, (4, count, 3, 3), dtype=np.int8) for count in (4, 3))
CASES = (
    ("Conv, 4 to 4, int8 weights", ("Conv", square, SCALES), "4 channels, right"),
    ("ConvTranspose, 4 to 4, float weights", ("ConvTranspose", square.astype(np.float32) / 100), "4 channels, right"),
    (
        "ConvTranspose, 4 to 4, int8 weights",
        ("ConvTranspose", square, SCALES[0]),
        "4 channels, wrong, as if [out, in]",
    ),
    (
        "ConvTranspose, 4 to 4, int8 weights, a scale for each",
        ("ConvTranspose", square, SCALES, 1),
        "4 channels, wrong",
    ),
    ("ConvTranspose, 4 to 3, int8 weights", ("ConvTranspose", narrow, SCALES[0]), "4 channels (not 3)"),
)
found = []
for name, arguments, _ in CASES:
    found.append(verdict(*(np.asarray(a) if isinstance(a, np.float32) else a for a in arguments)))
    print(f"{name}: {found[-1]}")
sys.exit(found != [expected for _, _, expected in CASES])
PYTHON
"$folder/venv/bin/python" "$folder/transposed.py"
