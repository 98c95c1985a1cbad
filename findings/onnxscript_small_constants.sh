#!/usr/bin/env bash
# onnxscript 0.7.2's optimizer takes out the addition of 1e-8 and less, and factors that are 1 but for 1e-5.
#
# Guess: an addition of 0 and a product with 1 go, by the optimizer's rules "x + 0" and "x * 1"; every other constant stays.
# Seen: its rules compare constants as "close", with 1e-8 and, as a part of the value, 1e-5. So x + 1e-9, which keeps
# a logarithm or a division finite, becomes x: log(x + 1e-9) of 0 is minus infinity, and x / (x + 1e-9) is NaN. A factor of
# 1.000009 goes too. 2e-8 and 1.00002 stay. ONNX's Add and Mul have no such tolerance, and no message says so. PyTorch's
# exporter, which was not run here, calls this optimizer too (`ONNXProgram.optimize`).
# Where it matters: to those whose loss or score has log(p + 1e-10), or whose norm is divided by itself plus 1e-12: the
# file returns infinity or NaN for a black image or a vector of zeros, and for nothing else. A Max in place
# of the sum stays.
#
# Output seen (onnx 1.23.2, onnxruntime 1.32.0, CPython 3.11, x86-64): as it was, and optimized
#   log(x + 2e-08) of 0: -17.728 and -17.728
#   log(x + 1e-09) of 0: -20.723 and -inf
#   x / (x + 1e-09) of 0: 0.000 and nan
#   log(max(x, 1e-09)) of 0: -20.723 and -20.723
#   1.00002 x of 1000: 1000.020 and 1000.020
#   1.000009 x of 1000: 1000.009 and 1000.000
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 onnxscript==0.7.2
cat >"$folder/constants.py" <<'PYTHON'
import sys

import numpy as np
import onnx
import onnxruntime
import onnxscript.optimizer
from onnx import TensorProto, helper, numpy_helper

node = helper.make_node


def made(nodes, constant):
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    constants = [numpy_helper.from_array(np.float32(constant), "constant")]
    graph = helper.make_graph(nodes, "one", ends[:1], ends[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


def value(model, x):
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return float(session.run(None, {"x": np.array([x], np.float32)})[0][0])


added = node("Add", ["x", "constant"], ["sum"])
CASES = {
    "log(x + 2e-08) of 0": ([added, node("Log", ["sum"], ["y"])], 2e-8, 0),
    "log(x + 1e-09) of 0": ([added, node("Log", ["sum"], ["y"])], 1e-9, 0),
    "x / (x + 1e-09) of 0": ([added, node("Div", ["x", "sum"], ["y"])], 1e-9, 0),
    "log(max(x, 1e-09)) of 0": ([node("Max", ["x", "constant"], ["sum"]), node("Log", ["sum"], ["y"])], 1e-9, 0),
    "1.00002 x of 1000": ([node("Mul", ["x", "constant"], ["y"])], 1.00002, 1000),
    "1.000009 x of 1000": ([node("Mul", ["x", "constant"], ["y"])], 1.000009, 1000),
}
found = []
for name, (nodes, constant, x) in CASES.items():
    model = made(nodes, constant)
    pair = value(model, x), value(onnxscript.optimizer.optimize(model), x)
    print(f"{name}: {pair[0]:.3f} and {pair[1]:.3f}")
    found.append(tuple(f"{number:.3f}" for number in pair))
same, logarithm, quotient, largest, far, near = found
sys.exit(
    not (
        all(before == after for before, after in (same, largest, far))
        and logarithm == ("-20.723", "-inf")
        and quotient == ("0.000", "nan")
        and near == ("1000.009", "1000.000")
    )
)
PYTHON
"$folder/venv/bin/python" "$folder/constants.py"
