#!/usr/bin/env bash
# MNN 3.6.1 gives the scales of a transposed convolution's output channels to its input channels.
#
# Guess: mnnconvert reads int8 weights behind a DequantizeLinear as it reads the same numbers in float32, along the
# axis that the node names.
# Seen: so it does for Conv, whose output channels are axis 0. The weights of ConvTranspose are [in, out, h, w], and a
# scale for each output channel stands on axis 1: MNN takes the scales along axis 0 all the same, without a warning.
# What it returns is, to the last digits, the file with axis 0. Equal scales hide it; float weights are read right.
# Where it matters: to those who ship an int8 decoder with a scale per channel, as onnxruntime's quantizer can write
# it, to MNN: the image is another one, of the right size. Convolutions in place of transposed ones, or the float32
# file and mnnconvert's own --weightQuantBits, do not have it.
#
# Output seen (onnx 1.23.2, onnxruntime 1.32.0, CPython 3.11, x86-64)
#   Conv, axis 0, scales 0.01 0.02 0.03 0.1: right
#   ConvTranspose, float weights: right
#   ConvTranspose, axis 1, scales 0.01 0.01 0.01 0.01: right
#   ConvTranspose, axis 1, scales 0.01 0.02 0.03 0.1: wrong by 60.91, equal to axis 0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 MNN==3.6.1
cat >"$folder/scales.py" <<'PYTHON'
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
integers = rng.integers(-127, 128, (4, 4, 3, 3), dtype=np.int8)
CONVERT = "import MNN, _tools, sys; _tools.mnnconvert(sys.argv)"  # the package's own command installs others


def made(operator, scales, axis):
    scales = np.array(scales, np.float32)
    values = {"integers": integers, "scales": scales, "zeros": np.zeros(scales.shape, np.int8)}
    nodes = [helper.make_node("DequantizeLinear", list(values), ["weights"], axis=axis)]
    if axis is None:
        values, nodes = {"weights": integers.astype(np.float32) / 100}, []
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


def verdict(operator, scales, axis):
    model = made(operator, scales, axis)
    exact, value = of_onnxruntime(model), of_mnn(model)
    error = np.abs(value - exact).max()
    if error < 1e-3:
        return "right"
    other = of_onnxruntime(made(operator, scales, 0))
    return f"wrong by {error:.2f}" + (", equal to axis 0" if np.abs(value - other).max() < 1e-3 else "")


EQUAL, DIFFERENT = [0.01, 0.01, 0.01, 0.01], [0.01, 0.02, 0.03, 0.1]
CASES = (
    ("Conv", DIFFERENT, 0),
    ("ConvTranspose", EQUAL, None),
    ("ConvTranspose", EQUAL, 1),
    ("ConvTranspose", DIFFERENT, 1),
)
found = []
for operator, scales, axis in CASES:
    found.append(verdict(operator, scales, axis))
    form = "float weights" if axis is None else f"axis {axis}, scales " + " ".join(map(str, scales))
    print(f"{operator}, {form}: {found[-1]}")
sys.exit(found[:3] != ["right"] * 3 or not found[3].endswith(", equal to axis 0"))
PYTHON
"$folder/venv/bin/python" "$folder/scales.py"
