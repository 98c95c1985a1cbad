#!/usr/bin/env bash
# onnxruntime 1.32.0 rounds the 16-bit activations of a quantized MatMul with 8-bit weights to 8 bits; 1.26.0 does not.
#
# Guess: a MatMul between DequantizeLinear of 16-bit activations and of 8-bit weights gives the same values at every
# optimization level, up to rounding in float32.
# Seen: at the level "extended", 1.32.0 turns the product into MatMulNBits with an accuracy_level of 4, which quantizes its
# input to 8 bits by itself. Errors are 10,000 times those of float32; "basic" has none, and neither has the session option
# session.qdq_matmulnbits_accuracy_level=0. No message says so.
# Consequence: weights are stored so that the pattern is not recognized (export/quantize/onnx_wide.py).
#
# Output seen (onnx 1.23.2, CPython 3.11, x86-64): largest difference from no optimization, outputs up to about 4
#   1.26.0 extended: below 0.0001
#   1.32.0 extended: above 0.001
#   1.32.0 extended, accuracy level 0: below 0.0001
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
cat >"$folder/compare.py" <<'PYTHON'
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

SIZE = 256
rng = np.random.default_rng(0)
weights = rng.normal(size=(SIZE, SIZE)) / np.sqrt(SIZE)
step = np.float32(np.abs(weights).max() / 127)
constants = {
    "activation_step": np.float32(8 / 65535),
    "activation_zero": np.uint16(32768),
    "weights": np.rint(weights / step).astype(np.int8),
    "weight_step": step,
    "weight_zero": np.int8(0),
}
nodes = [
    helper.make_node("QuantizeLinear", ["x", "activation_step", "activation_zero"], ["q"]),
    helper.make_node("DequantizeLinear", ["q", "activation_step", "activation_zero"], ["a"]),
    helper.make_node("DequantizeLinear", ["weights", "weight_step", "weight_zero"], ["w"]),
    helper.make_node("MatMul", ["a", "w"], ["y"]),
]
graph = helper.make_graph(
    nodes,
    "network",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, SIZE])],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, SIZE])],
    [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
onnx.checker.check_model(model)
x = rng.uniform(-4, 4, (1, SIZE)).astype(np.float32)


def run(level, **entries):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level, options.log_severity_level = level, 4
    for key, value in entries.items():
        options.add_session_config_entry(f"session.{key}", value)
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


levels = onnxruntime.GraphOptimizationLevel
exact = run(levels.ORT_DISABLE_ALL)
found = []
for title, entries in (("", {}), (", accuracy level 0", {"qdq_matmulnbits_accuracy_level": "0"})):
    worst = float(np.abs(run(levels.ORT_ENABLE_EXTENDED, **entries) - exact).max())
    kind = "above 0.001" if worst > 1e-3 else "below 0.0001" if worst < 1e-4 else "in between"
    print(f"{onnxruntime.__version__} extended{title}: {kind} ({worst:.1e})")
    found.append(kind.split()[0])
sys.exit(",".join(found) != sys.argv[1])
PYTHON
for expected in 1.26.0=below,below 1.32.0=above,below; do
  "$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    numpy==2.4.6 onnx==1.23.2 "onnxruntime==${expected%%=*}" 2>"$folder/log" || { cat "$folder/log" >&2; exit 1; }
  "$folder/venv/bin/python" "$folder/compare.py" "${expected#*=}" 2>"$folder/log" || { cat "$folder/log" >&2; exit 1; }
done
