#!/usr/bin/env bash
# OpenVINO 2026.4.1 (CPU) divides integers in single precision.
#
# Guess: Div, Mod and BitShift of 32-bit integers are exact, as the ONNX standard defines them for integers.
# Seen: int32, int64 and uint32 alike are wrong from 2^24 on, where a float32 no longer holds every integer: operands are
# rounded to float32 first (2147483647 / 2 gives 1073741824, 16777219 / 2 gives 8388610), remainders of odd numbers by 2
# are 0, and a logical right shift is such a division too (2147483647 >> 2 gives 536870912). Products and sums are exact.
# onnxruntime 1.32.0 returns the exact integers. No error and no warning is raised.
# Consequence: counter-based random generators (Philox, Threefry) exported as ONNX graphs give other noise in OpenVINO; rewriting
# uint32 shifts as int32 divisions does not help, words have to be kept in halves of 16 bits.
#
# Output seen (openvino 2026.4.1, onnxruntime 1.32.0, onnx 1.23.2, numpy 2.4.6, CPython 3.11, x86-64):
#   int32 Div: 16777219/2 -> 8388610 (exact 8388609), 2147483647/2 -> 1073741824 (exact 1073741823)
#   int32 Mod: 16777219/2 -> 0 (exact 1), 2147483647/2 -> 0 (exact 1)
#   int64 Div: 16777219/2 -> 8388610 (exact 8388609), 2147483647/2 -> 1073741824 (exact 1073741823)
#   uint32 BitShift: 16777219>>2 -> 4194305 (exact 4194304), 2147483647>>2 -> 536870912 (exact 536870911)
#   int32 Mul: 16777219*2 -> 33554438 (exact 33554438)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 openvino==2026.4.1
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import onnx
import onnxruntime
import openvino
from onnx import helper

CASES = [
    ("int32", "Div", "/", 2, [16777219, 2147483647], [8388610, 1073741824]),
    ("int32", "Mod", "/", 2, [16777219, 2147483647], [0, 0]),
    ("int64", "Div", "/", 2, [16777219, 2147483647], [8388610, 1073741824]),
    ("uint32", "BitShift", ">>", 2, [16777219, 2147483647], [4194305, 536870912]),
    ("int32", "Mul", "*", 2, [16777219], [33554438]),
]
changed = False
for dtype, operator, sign, right, lefts, known in CASES:
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    values = [helper.make_tensor_value_info(name, kind, [len(lefts)]) for name in ("a", "b", "y")]
    attributes = {"direction": "RIGHT"} if operator == "BitShift" else {}
    node = helper.make_node(operator, ["a", "b"], ["y"], **attributes)
    graph = helper.make_graph([node], "g", values[:2], values[2:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    content = model.SerializeToString()
    feed = {"a": np.array(lefts, dtype), "b": np.full(len(lefts), right, dtype)}
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    exact = session.run(None, feed)[0].tolist()
    core = openvino.Core()
    found = core.compile_model(core.read_model(content, b""), "CPU")(feed)[0].tolist()
    rows = zip(lefts, found, exact, strict=True)
    print(f"{dtype} {operator}: " + ", ".join(f"{a}{sign}{right} -> {b} (exact {c})" for a, b, c in rows))
    changed |= found != known
sys.exit(changed)
PYTHON
