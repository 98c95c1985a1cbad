#!/usr/bin/env bash
# onnxconverter-common 1.16.0 does not keep a float32 output of a Resize, CumSum or TopK in its float16 files.
#
# Guess: with keep_io_types=True inputs and outputs stay float32, whatever operator writes them.
# Seen: an output that an operator writes which stays in float32, because it is on the list of those without float16, becomes float16:
# the result is cast down behind it, and the file says tensor(float16). Other operators keep the type. onnxruntime's own copy of the
# converter keeps it for all of them.
# Consequence: a decoder that ends with an upsampling returns half floats that an app reads as floats, in a buffer of half the bytes.
# pocketvae's float16 files have float32 inputs and outputs always (docs/edge-targets.md).
#
# Output seen (onnx 1.23.2, onnxruntime 1.32.0, CPython 3.11, x86-64): type of the output, keep_io_types=True
#   Sigmoid: onnxconverter-common tensor(float), onnxruntime tensor(float)
#   Resize: onnxconverter-common tensor(float16), onnxruntime tensor(float)
#   CumSum: onnxconverter-common tensor(float16), onnxruntime tensor(float)
#   TopK: onnxconverter-common tensor(float16), onnxruntime tensor(float)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 onnxconverter-common==1.16.0
cat >"$folder/outputs.py" <<'PYTHON'
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxconverter_common import float16
from onnxruntime.transformers import float16 as own

# Further inputs of the last operator, its further outputs, and the shape of its first one.
CASES = {
    "Sigmoid": ([], [], (1, 2, 4, 4)),
    "Resize": (["", "scales"], [], (1, 2, 8, 8)),
    "CumSum": (["axis"], [], (1, 2, 4, 4)),
    "TopK": (["count"], ["places"], (1, 2, 4, 2)),
}
CONSTANTS = {"scales": np.array([1, 1, 2, 2], np.float32), "axis": np.int64(1), "count": np.array([2])}


def model(operator):
    inputs, outputs, shape = CASES[operator]
    nodes = [
        helper.make_node("Relu", ["x"], ["features"], name="first"),
        helper.make_node(operator, ["features", *inputs], ["y", *outputs], name="last"),
    ]
    constants = [numpy_helper.from_array(np.asarray(CONSTANTS[name]), name) for name in inputs if name]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, s) for name, s in (("x", (1, 2, 4, 4)), ("y", shape))]
    graph = helper.make_graph(nodes, "types", ends[:1], ends[1:], constants)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(made, full_check=True)
    return made


found = {}
for operator in CASES:
    types = []
    for converter in (float16, own):
        content = converter.convert_float_to_float16(model(operator), keep_io_types=True).SerializeToString()
        session = onnxruntime.InferenceSession(content)
        types.append(session.get_outputs()[0].type)
        dtype = session.run(["y"], {"x": np.ones((1, 2, 4, 4), np.float32)})[0].dtype
        assert dtype == {"tensor(float)": np.float32, "tensor(float16)": np.float16}[types[-1]]
    print(f"{operator}: onnxconverter-common {types[0]}, onnxruntime {types[1]}")
    found[operator] = types
sys.exit(found != {name: [f"tensor({'float' if name == 'Sigmoid' else 'float16'})", "tensor(float)"] for name in CASES})
PYTHON
"$folder/venv/bin/python" "$folder/outputs.py" 2>/dev/null
