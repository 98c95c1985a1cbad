#!/usr/bin/env bash
# onnxruntime up to 1.26.0 rounds a quantized linear Resize down, and cannot run a cubic one; 1.27.0 and later are right.
#
# Guess: DequantizeLinear, Resize, QuantizeLinear with one scale and zero point gives what the specification's operators do
# one after the other, at every optimization level, as for Reshape or MaxPool.
# Seen: the two conversions are left out and Resize works on the integers. A linear one cuts fractions off: 44 % of the
# values are a step lower, none is higher. A cubic one loads, and raises an error about tensor types when it runs. With
# scales that differ by a thousandth nothing happens. No message says so. 1.12.1 to 1.26.0 behave alike.
# Consequence: a file that holds such a Resize needs onnxruntime 1.27 (core/portability/requirements.py).
#
# Output seen (onnx 1.23.2, CPython 3.11, x86-64):
#   1.26.0 linear: 44.0 % a step lower, 0.0 % higher
#   1.26.0 cubic: an error
#   1.27.0 linear: 0.0 % a step lower, 0.0 % higher
#   1.27.0 cubic: 0.0 % a step lower, 0.0 % higher
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


def network(mode):
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "step", "zero"], ["integers"]),
        helper.make_node("DequantizeLinear", ["integers", "step", "zero"], ["pixels"]),
        helper.make_node("Resize", ["pixels", "", "sizes"], ["larger"], mode=mode),
        helper.make_node("QuantizeLinear", ["larger", "step", "zero"], ["larger_integers"]),
        helper.make_node("DequantizeLinear", ["larger_integers", "step", "zero"], ["y"]),
    ]
    constants = {"step": np.float32(1 / 255), "zero": np.uint8(0), "sizes": np.float32([1, 1, 2, 2])}
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4, 16, 16])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def run(content, level):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level, options.log_severity_level = level, 4
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": images})[0]


images = (np.random.default_rng(0).integers(0, 256, (1, 4, 8, 8)) / 255).astype(np.float32)
expected_lower, found_lower = sys.argv[1], []
for mode in ("linear", "cubic"):
    content, levels = network(mode), onnxruntime.GraphOptimizationLevel
    try:
        steps = np.rint((run(content, levels.ORT_ENABLE_ALL) - run(content, levels.ORT_DISABLE_ALL)) * 255)
        lower, higher = 100 * np.mean(steps < 0), 100 * np.mean(steps > 0)
        print(f"{onnxruntime.__version__} {mode}: {lower:.1f} % a step lower, {higher:.1f} % higher")
        found_lower.append(f"{lower:.0f}")
    except Exception:
        print(f"{onnxruntime.__version__} {mode}: an error")
        found_lower.append("error")
sys.exit(",".join(found_lower) != expected_lower)
PYTHON
for expected in 1.26.0=44,error 1.27.0=0,0; do
  "$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    numpy==2.4.6 onnx==1.23.2 "onnxruntime==${expected%%=*}" 2>"$folder/log" || { cat "$folder/log" >&2; exit 1; }
  "$folder/venv/bin/python" "$folder/compare.py" "${expected#*=}" 2>"$folder/log" || { cat "$folder/log" >&2; exit 1; }
done
