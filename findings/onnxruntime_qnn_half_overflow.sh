#!/usr/bin/env bash
# onnxruntime-qnn 2.7.0, Hexagon v75 by Qualcomm's simulator: an activation above 65504 makes a wrong finite number out of it.
#
# Guess: the NPU computes float layers in half precision, so an activation above 65504, its largest number, becomes infinite, and
# the output is infinite or NaN, which every check for finite values catches (or it saturates, and the output is 65504 x 1e-6 x 4).
# Seen: MatMul by 100, Relu, MatMul by 1e-6 returns 0.25927734 for an activation of 64000 (exact 0.256; 1e-6 is rounded to half
# precision), and 65536.01 for every activation from 68000 up (exact 0.272 and more): no infinity, no NaN, no warning.
# Consequence: a check for finite outputs passes; only a comparison with the original model finds it. The same graph on the CPU
# is right.
#
# Output seen (onnxruntime 1.32.0, onnxruntime-qnn 2.7.0, onnx 1.23.2, CPython 3.11, x86-64):
#   activation 64000: 0.2593 (exact 0.256)
#   activation 68000: 6.554e+04 (exact 0.272)
#   activation 400000: 6.554e+04 (exact 1.6)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 onnxruntime-qnn==2.7.0
"$folder/venv/bin/python" - 2>"$folder/log" <<'PYTHON' || { cat "$folder/log" >&2; exit 1; }
import sys

import numpy as np
import onnxruntime as ort
import onnxruntime_qnn
from onnx import TensorProto, helper, numpy_helper

up, down = np.full((4, 4), 100, np.float32), np.full((4, 2), 1e-6, np.float32)
nodes = [
    helper.make_node("MatMul", ["x", "up"], ["large"]),
    helper.make_node("Relu", ["large"], ["positive"]),
    helper.make_node("MatMul", ["positive", "down"], ["y"]),
]
ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in (("x", [1, 4]), ("y", [1, 2]))]
weights = [numpy_helper.from_array(up, "up"), numpy_helper.from_array(down, "down")]
graph = helper.make_graph(nodes, "g", ports[:1], ports[1:], weights)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()

ort.register_execution_provider_library("QNN", onnxruntime_qnn.get_library_path())
(device,) = [item for item in ort.get_ep_devices() if item.ep_name == "QNN"]
options = ort.SessionOptions()
options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
chip = {"backend_path": onnxruntime_qnn.get_qnn_htp_path(), "htp_arch": "75", "soc_model": "57"}
options.add_provider_for_devices([device], chip)
npu, cpu = ort.InferenceSession(model, options), ort.InferenceSession(model, providers=["CPUExecutionProvider"])

changed = False
for activation, known in ((64000, 0.2593), (68000, 65536.0), (400000, 65536.0)):
    feed = {"x": np.full((1, 4), activation / 400, np.float32)}
    found, exact = float(npu.run(None, feed)[0][0, 0]), float(cpu.run(None, feed)[0][0, 0])
    print(f"activation {activation}: {found:.4g} (exact {exact:.4g})")
    changed |= not np.isclose(found, known, rtol=1e-3)
sys.exit("the behaviour has changed" if changed else 0)
PYTHON
