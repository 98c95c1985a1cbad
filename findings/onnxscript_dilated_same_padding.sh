#!/usr/bin/env bash
# onnxscript 0.7.2's optimizer pads a dilated convolution with auto_pad as if it had no dilation: a smaller map.
#
# Guess: explicit pads that take the place of auto_pad SAME_UPPER are those of the kernel with its gaps, (k - 1) d + 1
# wide, so that the output has the input's size divided by the stride, rounded up, as ONNX's Conv says.
# Seen: the rule computes with k alone. A kernel of 3 with dilation 2 and stride 1 gets a border of 1 in place of 2, and the
# map shrinks by 2 at every such layer, while the shapes noted in the file still are the old ones. onnx's reference reads
# the file as it was. onnxruntime says that it does not support dilation with SAME, and runs what the optimizer made of it.
# Without dilation the pads are right, and explicit ones are left alone.
# Where it matters: to those who optimize files of other exporters that have auto_pad, with encoders of dilated
# convolutions (WaveNet, TCN): what onnxruntime refused runs then, on fewer pixels or steps.
#
# Output seen (onnx 1.23.2, onnxruntime 1.32.0, CPython 3.11, x86-64): size of the map, by a kernel of 3, of 8 steps
#   SAME_UPPER, dilation 1: onnx 8, onnxruntime 8; optimized: pads 1 1, onnxruntime 8
#   SAME_UPPER, dilation 2: onnx 8, onnxruntime refuses; optimized: pads 1 1, onnxruntime 6
#   SAME_LOWER, dilation 2, stride 2: onnx 4, onnxruntime refuses; optimized: pads 1 0, onnxruntime 3
#   pads 2 2, dilation 2: onnx 8, onnxruntime 8; optimized: pads 2 2, onnxruntime 8
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 onnxscript==0.7.2
cat >"$folder/padding.py" <<'PYTHON'
import sys

import numpy as np
import onnx
import onnxruntime
import onnxscript.optimizer
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

onnxruntime.set_default_logger_severity(4)
x = np.random.default_rng(0).normal(size=(1, 1, 8)).astype(np.float32)


def made(size, **attributes):
    ends = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 1, size)),
    ]
    node = helper.make_node("Conv", ["x", "kernel"], ["y"], **attributes)
    constants = [numpy_helper.from_array(np.ones((1, 1, 3), np.float32), "kernel")]
    graph = helper.make_graph([node], "conv", ends[:1], ends[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


def size_in_onnxruntime(model):
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString())
        return str(session.run(None, {"x": x})[0].shape[2])
    except Exception as error:
        assert "Dilation not supported" in str(error), error
        return "refuses"


CASES = {
    "SAME_UPPER, dilation 1": (8, {"auto_pad": "SAME_UPPER"}, "onnx 8, onnxruntime 8; optimized: pads 1 1, onnxruntime 8"),
    "SAME_UPPER, dilation 2": (
        8,
        {"auto_pad": "SAME_UPPER", "dilations": [2]},
        "onnx 8, onnxruntime refuses; optimized: pads 1 1, onnxruntime 6",
    ),
    "SAME_LOWER, dilation 2, stride 2": (
        4,
        {"auto_pad": "SAME_LOWER", "dilations": [2], "strides": [2]},
        "onnx 4, onnxruntime refuses; optimized: pads 1 0, onnxruntime 3",
    ),
    "pads 2 2, dilation 2": (
        8,
        {"pads": [2, 2], "dilations": [2]},
        "onnx 8, onnxruntime 8; optimized: pads 2 2, onnxruntime 8",
    ),
}
as_seen = True
for name, (size, attributes, expected) in CASES.items():
    model = made(size, **attributes)
    reference = ReferenceEvaluator(model).run(None, {"x": x})[0].shape[2]
    result = onnxscript.optimizer.optimize(model)
    (pads,) = (a.ints for a in result.graph.node[0].attribute if a.name == "pads")
    found = f"onnx {reference}, onnxruntime {size_in_onnxruntime(model)}; "
    found += f"optimized: pads {pads[0]} {pads[1]}, onnxruntime {size_in_onnxruntime(result)}"
    print(f"{name}: {found}")
    as_seen &= found == expected
sys.exit(not as_seen)
PYTHON
"$folder/venv/bin/python" "$folder/padding.py"
