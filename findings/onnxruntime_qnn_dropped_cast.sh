#!/usr/bin/env bash
# onnxruntime-qnn 2.7.0, Hexagon by Qualcomm's simulator: a Cast to int32 and back does not truncate; on v68 a QuantizeLinear and
# DequantizeLinear do not round.
#
# Guess: Cast of 0.96 to int32 and back is 0 (ONNX: "truncated towards zero"); QuantizeLinear to int8 with scale 1 and back rounds
# to a whole number, since both are operators of the file that are accepted.
# Seen: on v68, v75 and v79 the two Casts return their input, but for half precision (0.959 off); on v68 QuantizeLinear and DequantizeLinear return
# it as it is too (0.473 off), while v75 and v79 round. All operators are taken, without a warning. Floor does what it says.
# Consequence: what a model rounds by a cast, such as an index or a code, is not rounded there; check values, not operators.
#
# Output seen (onnxruntime 1.32.0, onnxruntime-qnn 2.7.0, onnx 1.23.2, CPython 3.11, x86-64):
#   v68 Cast and Cast: 0.959 from the CPU, 0.000 from the input
#   v75 Cast and Cast: 0.959 from the CPU, 0.001 from the input
#   v68 QuantizeLinear and DequantizeLinear: 0.473 from the CPU, 0.000 from the input
#   v75 QuantizeLinear and DequantizeLinear: 0.000 from the CPU, 0.473 from the input
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

SOC_MODELS = {"68": "30", "75": "57"}
WEIGHTS = np.random.default_rng(0).standard_normal((4, 16)).astype(np.float32)
CASTS = (
    helper.make_node("Cast", ["a"], ["b"], to=TensorProto.INT32),
    helper.make_node("Cast", ["b"], ["y"], to=TensorProto.FLOAT),
)
ROUNDINGS = (
    helper.make_node("QuantizeLinear", ["a", "scale", "zero"], ["b"]),
    helper.make_node("DequantizeLinear", ["b", "scale", "zero"], ["y"]),
)


def model(pair: tuple) -> bytes:
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, size]) for name, size in (("z", 4), ("y", 16))]
    values = (("w", WEIGHTS), ("scale", np.float32(1)), ("zero", np.int8(0)))
    constants = [numpy_helper.from_array(np.asarray(value), name) for name, value in values]
    graph = helper.make_graph([helper.make_node("MatMul", ["z", "w"], ["a"]), *pair], "g", ports[:1], ports[1:], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


ort.register_execution_provider_library("QNN", onnxruntime_qnn.get_library_path())
(device,) = [item for item in ort.get_ep_devices() if item.ep_name == "QNN"]
z = np.array([[0.3, -1.2, 0.7, 2.0]], np.float32)
changed = False
for pair, generation, known in (
    (CASTS, "68", (0.959, 0.0)),
    (CASTS, "75", (0.959, 0.0)),
    (ROUNDINGS, "68", (0.473, 0.0)),
    (ROUNDINGS, "75", (0.0, 0.473)),
):
    options = ort.SessionOptions()
    options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    chip = {"htp_arch": generation, "soc_model": SOC_MODELS[generation]}
    options.add_provider_for_devices([device], {"backend_path": onnxruntime_qnn.get_qnn_htp_path(), **chip})
    found = ort.InferenceSession(model(pair), options).run(None, {"z": z})[0]
    cpu = ort.InferenceSession(model(pair), providers=["CPUExecutionProvider"]).run(None, {"z": z})[0]
    gaps = float(np.abs(found - cpu).max()), float(np.abs(found - z @ WEIGHTS).max())
    print(f"v{generation} {' and '.join(node.op_type for node in pair)}: {gaps[0]:.3f} from the CPU, {gaps[1]:.3f} from the input")
    changed |= not np.allclose(gaps, known, atol=5e-3)
sys.exit("the behaviour has changed" if changed else 0)
PYTHON
