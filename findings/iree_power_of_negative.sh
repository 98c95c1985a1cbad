#!/usr/bin/env bash
# IREE 3.13.0: the square of a negative number is NaN, unless the exponent is one constant number.
#
# Guess: ONNX's Pow(x, y) is x to the power of y for every element; of a negative x and a whole y that is a number, in C's
# powf, in numpy and in every runtime, wherever the exponent comes from.
# Seen: with one constant exponent, as x ** 2 is written, IREE is right. With a constant of several exponents, and with an
# exponent that is an input, all powers of negative numbers are NaN, squares too, as if it computed the exponential of y
# times the logarithm of x; exponents of type int32, which can be nothing but whole, change nothing. No message.
# Where it matters: features that are powers 1 to 3 of a signal, as one Pow with [1, 2, 3], and a contrast that an app
# passes. NaN goes through all layers behind it. In pocketvae's own files no Pow has such an exponent.
#
# Output seen (onnx 1.23.2, onnxruntime 1.32.0, CPython 3.11, x86-64): powers of -3
#   constant 2: onnxruntime 9, IREE 9
#   constants 1, 2, 3: onnxruntime -3 9 -27, IREE nan nan nan
#   int32 constants 1, 2, 3: onnxruntime -3 9 -27, IREE nan nan nan
#   input 2: onnxruntime 9, IREE nan
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 iree-base-compiler==3.13.0 iree-base-runtime==3.13.0
cat >"$folder/power.py" <<'PYTHON'
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

TOOLS = Path(sys.executable).parent
x = np.array([[-3]], np.float32)


def made(exponents, constant):
    kind = helper.np_dtype_to_tensor_dtype(exponents.dtype)
    ends = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape),
        helper.make_tensor_value_info("y", kind, exponents.shape),
        helper.make_tensor_value_info("z", TensorProto.FLOAT, (1, max(1, exponents.size))),
    ]
    node = helper.make_node("Pow", ["x", "y"], ["z"])
    constants = [numpy_helper.from_array(exponents, "y")] if constant else []
    graph = helper.make_graph([node], "power", ends[: 1 if constant else 2], ends[2:], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def of_iree(model, inputs):
    Path("model.onnx").write_bytes(model.SerializeToString())
    target = ["--iree-hal-target-backends=llvm-cpu", "--iree-llvmcpu-target-cpu=generic"]
    steps = [
        ["iree-import-onnx", "model.onnx", "-o", "model.mlir"],
        ["iree-compile", "model.mlir", *target, "-o", "model.vmfb"],
        ["iree-run-module", "--device=local-sync", "--module=model.vmfb", "--function=power"],
    ]
    for index, value in enumerate(inputs):
        np.save(f"{index}.npy", value)
        steps[2].append(f"--input=@{index}.npy")
    steps[2].append("--output=@result.npy")
    for tool, *arguments in steps:
        subprocess.run([TOOLS / tool, *arguments], check=True, capture_output=True)
    return np.load("result.npy")


cases = {
    "constant 2": (np.float32(2), True),
    "constants 1, 2, 3": (np.array([[1, 2, 3]], np.float32), True),
    "int32 constants 1, 2, 3": (np.array([[1, 2, 3]], np.int32), True),
    "input 2": (np.array([[2]], np.float32), False),
}
found = []
for name, (exponents, constant) in cases.items():
    model = made(np.asarray(exponents), constant)
    inputs = [x] if constant else [x, exponents]
    exact = onnxruntime.InferenceSession(model.SerializeToString()).run(None, dict(zip("xy", inputs)))[0]
    value = of_iree(model, inputs)
    texts = [" ".join(f"{number:g}" for number in values.ravel()) for values in (exact, value)]
    print(f"{name}: onnxruntime {texts[0]}, IREE {texts[1]}")
    found.append("right" if np.allclose(value, exact) else "NaN" if np.isnan(value).all() else "wrong")
sys.exit(found != ["right", "NaN", "NaN", "NaN"])
PYTHON
cd "$folder"
"$folder/venv/bin/python" power.py 2>"$folder/log" || { cat "$folder/log" >&2; exit 1; }
