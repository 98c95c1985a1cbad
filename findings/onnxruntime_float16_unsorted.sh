#!/usr/bin/env bash
# onnxruntime 1.32.0's float16 converter writes its casts behind the nodes that read them.
#
# Guess: a valid graph, whose nodes are in topological order as ONNX asks, is one after the conversion.
# Seen: with keep_io_types=True the casts of inputs stand at the end of the list of nodes. onnx's checker refuses
# the file; onnxruntime, which sorts, runs it, so that nobody notices on a desk. onnxconverter-common's graphs are
# sorted.
# Consequence: runtimes and tools that go through nodes in their order refuse a file that worked. pocketvae checks every ONNX file that
# it writes with onnx's checker (docs/edge-targets.md).
#
# Output seen (onnx 1.23.2, CPython 3.11, x86-64): a Relu and a Sigmoid
#   before: Relu Sigmoid, checker accepts, onnxruntime runs it
#   onnxruntime: Relu Sigmoid Cast Cast, checker refuses, onnxruntime runs it
#   onnxconverter-common: Cast Relu Sigmoid Cast, checker accepts, onnxruntime runs it
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 onnxconverter-common==1.16.0
cat >"$folder/order.py" <<'PYTHON'
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper
from onnxconverter_common import float16
from onnxruntime.transformers import float16 as own


def model():
    nodes = [
        helper.make_node("Relu", ["x"], ["features"], name="first"),
        helper.make_node("Sigmoid", ["features"], ["y"], name="last"),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 4)) for name in "xy"]
    graph = helper.make_graph(nodes, "order", ends[:1], ends[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def is_accepted(made):
    try:
        onnx.checker.check_model(made)
    except onnx.checker.ValidationError:
        return False
    return True


def runs(made):
    session = onnxruntime.InferenceSession(made.SerializeToString())
    found = session.run(None, {"x": np.zeros((1, 4), np.float32)})[0]
    return bool(np.array_equal(found, np.full((1, 4), 0.5, np.float32)))


ways = {
    "before": lambda made: made,
    "onnxruntime": lambda made: own.convert_float_to_float16(made, keep_io_types=True),
    "onnxconverter-common": lambda made: float16.convert_float_to_float16(made, keep_io_types=True),
}
found = []
for name, of in ways.items():
    made = of(model())
    found.append((is_accepted(made), runs(made)))
    order = " ".join(node.op_type for node in made.graph.node)
    checked, ran = found[-1]
    print(
        f"{name}: {order}, checker {'accepts' if checked else 'refuses'}, "
        f"onnxruntime {'runs it' if ran else 'returns something else'}"
    )
sys.exit(found != [(True, True), (False, True), (True, True)])
PYTHON
"$folder/venv/bin/python" "$folder/order.py" 2>/dev/null
