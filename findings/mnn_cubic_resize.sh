#!/usr/bin/env bash
# MNN 3.6.1 enlarges the first rows and columns of a cubic Resize wrongly; MNN and ncnn ignore cubic_coeff_a.
#
# Guess: a cubic Resize by 2 is read by all who have the operator, as the linear one is; cubic_coeff_a -0.5 in place
# of -0.75 is one number in a formula.
# Seen: with the usual half_pixel coordinates the first row and the first column of what MNN returns are not those of
# the image: they are off by 3.5 where the values have a deviation of 1. The rest is right. With align_corners or
# asymmetric coordinates all is right. MNN and ncnn (by pnnx) compute with -0.75 whatever the file says. Linear is
# right in both.
# Where it matters: to those who enlarge a decoder's image or its features by cubic interpolation and run it in MNN: a
# bright or dark seam at the upper and left edge. Pillow and TensorFlow have -0.5: their form is another one in both
# runtimes.
#
# Output seen (onnx 1.23.2, onnxruntime 1.32.0, CPython 3.11, x86-64): error in the first row and column, and elsewhere
#   linear: MNN 0.00 and 0.00, ncnn 0.00 and 0.00
#   cubic: MNN 3.49 and 0.00, ncnn 0.00 and 0.00
#   cubic, align_corners: MNN 0.00 and 0.00, ncnn 0.00 and 0.00
#   cubic, cubic_coeff_a -0.5: MNN 3.25 and 0.19, ncnn 0.24 and 0.19
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 MNN==3.6.1 ncnn==1.0.20261020 pnnx==20261020
cat >"$folder/cubic.py" <<'PYTHON'
import subprocess
import sys
import tempfile
from pathlib import Path

import MNN.expr
import MNN.nn
import ncnn
import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

x = np.random.default_rng(0).normal(size=(1, 4, 6, 6)).astype(np.float32)
CONVERT = "import MNN, _tools, sys; _tools.mnnconvert(sys.argv)"  # the package's own command installs others


def made(**attributes):
    ends = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 4, 12, 12)),
    ]
    # A convolution that changes nothing tells pnnx which axis is the batch.
    nodes = [
        helper.make_node("Conv", ["x", "weights"], ["same"]),
        helper.make_node("Resize", ["same", "", "scales"], ["y"], **attributes),
    ]
    values = {"weights": np.eye(4, dtype=np.float32)[:, :, None, None], "scales": np.array([1, 1, 2, 2], np.float32)}
    constants = [numpy_helper.from_array(value, name) for name, value in values.items()]
    graph = helper.make_graph(nodes, "resize", ends[:1], ends[1:], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8).SerializeToString()


def of_mnn(folder):
    source, target = folder / "model.onnx", folder / "model.mnn"
    arguments = ["-f", "ONNX", "--modelFile", source, "--MNNModel", target, "--bizCode", "x"]
    subprocess.run([sys.executable, "-c", CONVERT, *arguments], check=True, capture_output=True)
    network = MNN.nn.load_module_from_file(str(target), ["x"], ["y"])
    value = network.forward([MNN.expr.const(x, list(x.shape), MNN.expr.NCHW)])[0]
    value = MNN.expr.convert(value, MNN.expr.NCHW)
    return np.array(value.read()).reshape(value.shape)


def of_ncnn(folder):
    pnnx = Path(sys.executable).with_name("pnnx")
    subprocess.run([pnnx, "model.onnx", "fp16=0"], cwd=folder, check=True, capture_output=True)
    network = ncnn.Net()
    network.load_param(str(folder / "model.ncnn.param"))
    network.load_model(str(folder / "model.ncnn.bin"))
    extractor = network.create_extractor()
    extractor.input("in0", ncnn.Mat(x[0]).clone())
    return np.array(extractor.extract("out0")[1])[None]


CASES = {
    "linear": {"mode": "linear"},
    "cubic": {"mode": "cubic"},
    "cubic, align_corners": {"mode": "cubic", "coordinate_transformation_mode": "align_corners"},
    "cubic, cubic_coeff_a -0.5": {"mode": "cubic", "cubic_coeff_a": -0.5},
}
found = {}
for name, attributes in CASES.items():
    model = made(**attributes)
    exact = onnxruntime.InferenceSession(model).run(None, {"x": x})[0]
    with tempfile.TemporaryDirectory() as path:
        folder = Path(path)
        (folder / "model.onnx").write_bytes(model)
        errors = [np.abs(run(folder) - exact).max((0, 1)) for run in (of_mnn, of_ncnn)]
    found[name] = [round(float(v), 2) for e in errors for v in (max(e[0].max(), e[:, 0].max()), e[1:, 1:].max())]
    mnn, mnn_rest, other, other_rest = found[name]
    print(f"{name}: MNN {mnn:.2f} and {mnn_rest:.2f}, ncnn {other:.2f} and {other_rest:.2f}")
mnn, mnn_rest, other, other_rest = found["cubic, cubic_coeff_a -0.5"]
sys.exit(
    not (
        found["linear"] == found["cubic, align_corners"] == [0, 0, 0, 0]
        and found["cubic"][0] > 1
        and found["cubic"][1:] == [0, 0, 0]
        and mnn > 1
        and min(mnn_rest, other, other_rest) > 0.1
    )
)
PYTHON
"$folder/venv/bin/python" "$folder/cubic.py"
