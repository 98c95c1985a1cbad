#!/usr/bin/env bash
# onnxruntime-qnn 2.7.0, Hexagon v68 by Qualcomm's simulator: Round is accepted, and then "memory" cannot be allocated for any graph with it.
#
# Guess: an operator that a generation lacks is refused while the graph is divided, and the error names it; an error about memory
# is about a graph that is too large.
# Seen: of MatMul 4 -> 16 followed by Round the plugin takes both for v68, and compiling fails with QNN_COMMON_ERROR_MEM_ALLOC,
# "Memory allocation related error", code 1002. No setting of vtcm_mb or of the optimization mode changes it. With Floor, Ceil,
# or an addition of a half and Floor in place of Round, and with Round on v75 and v79, the same graph compiles.
# Consequence: one Round keeps a whole decoder off the chip, and nothing says that it is to blame; Floor of a sum is taken.
#
# Output seen (onnxruntime 1.32.0, onnxruntime-qnn 2.7.0, onnx 1.23.2, CPython 3.11, x86-64):
#   v68 Round: QNN_COMMON_ERROR_MEM_ALLOC
#   v68 Floor: compiled
#   v75 Round: compiled
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


def model(kind: str) -> bytes:
    nodes = [helper.make_node("MatMul", ["z", "w"], ["a"]), helper.make_node(kind, ["a"], ["y"])]
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, size]) for name, size in (("z", 4), ("y", 16))]
    weights = [numpy_helper.from_array(np.random.default_rng(0).standard_normal((4, 16)).astype(np.float32), "w")]
    graph = helper.make_graph(nodes, "g", ports[:1], ports[1:], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


ort.register_execution_provider_library("QNN", onnxruntime_qnn.get_library_path())
(device,) = [item for item in ort.get_ep_devices() if item.ep_name == "QNN"]


def compiled(kind: str, generation: str) -> str:
    options = ort.SessionOptions()
    options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    chip = {"htp_arch": generation, "soc_model": SOC_MODELS[generation]}
    options.add_provider_for_devices([device], {"backend_path": onnxruntime_qnn.get_qnn_htp_path(), **chip})
    try:
        ort.InferenceSession(model(kind), options)
    except Exception as e:
        return next((word.strip(":") for word in str(e).split() if word.startswith("QNN_")), str(e))
    return "compiled"


changed = False
for kind, generation, known in (
    ("Round", "68", "QNN_COMMON_ERROR_MEM_ALLOC"),
    ("Floor", "68", "compiled"),
    ("Round", "75", "compiled"),
):
    found = compiled(kind, generation)
    print(f"v{generation} {kind}: {found}")
    changed |= found != known
sys.exit("the behaviour has changed" if changed else 0)
PYTHON
