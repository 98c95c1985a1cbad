#!/usr/bin/env bash
# onnxruntime 1.32.0, OpenVINO 2026.4.1 and TVM 0.27.0: a maximum over values with one NaN is a smaller one of the others.
#
# Guess: IEEE 754 knows two maxima: that of numpy, which is NaN as soon as one value is, and that which leaves NaN out. ONNX
# does not say which ReduceMax, ReduceMin and the max pools are, so a runtime has one of the two, wherever the NaN stands.
# Seen: it depends on the place. For some places the result is NaN, for some the maximum of the other values, and for some
# a number smaller than that: the comparison with NaN drops what was found until then, in TVM all of it, in the others
# what one lane of a vector has found. ReduceMin gives larger numbers likewise. Only onnx's reference has one rule for each
# operator. The counts depend on the processor's vectors, the kinds of results do not.
# Where it matters: to those whose score is the largest error of an item or a map: one broken pixel neither raises the
# alarm nor leaves the score as it is, it can lower it. A sum or a mean is NaN everywhere. pocketvae's scorers add, and
# say 1 for a score that is no number (docs/anomalies.md).
#
# Output seen (onnx 1.23.2, CPython 3.11, x86-64 with AVX-512), shortened: limit of 64 values, NaN at each place in turn
#   onnx's reference: ReduceMax 64 NaN; ReduceMin 64 NaN; GlobalMaxPool 64 NaN; MaxPool 64 the others' limit
#   onnxruntime: ReduceMax 1 NaN, 62 the others' limit, 1 another number; ReduceMin 1 NaN, 63 the others' limit;
#     GlobalMaxPool and MaxPool 1 NaN, 60 the others' limit, 3 another number
#   OpenVINO: ReduceMax and GlobalMaxPool 61 the others' limit, 3 another number; ReduceMin 59 and 5; MaxPool 64 and 0
#   TVM: ReduceMax, GlobalMaxPool and MaxPool 1 NaN, 52 the others' limit, 11 another number; ReduceMin 1, 32 and 31
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 openvino==2026.4.1 apache-tvm==0.27.0.post1
cat >"$folder/maximum.py" <<'PYTHON'
import collections
import sys

import numpy as np
import onnxruntime
import openvino
import tvm
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from tvm import relax
from tvm.relax.frontend.onnx import from_onnx

COUNT = 64
KINDS = ("NaN", "the others' limit", "another number")
x = np.random.default_rng(0).permutation(COUNT).astype(np.float32).reshape(1, 1, 1, COUNT)


def made(operator):
    axes = numpy_helper.from_array(np.array([3], np.int64), "axes")
    reduces = operator.startswith("Reduce")
    attributes = {"kernel_shape": [1, COUNT]} if operator == "MaxPool" else {}
    node = helper.make_node(operator, ["x", "axes"] if reduces else ["x"], ["y"], **attributes)
    ends = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 1, 1, 1)),
    ]
    graph = helper.make_graph([node], "one", ends[:1], ends[1:], [axes] if reduces else [])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def of_onnxruntime(model):
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return lambda value: session.run(None, {"x": value})[0]


def of_openvino(model):
    core = openvino.Core()
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    network = core.compile_model(core.read_model(model.SerializeToString()), "CPU", options)
    return lambda value: network([value])[0]


def of_tvm(model):
    module = relax.transform.LegalizeOps()(from_onnx(model, keep_params_in_input=False))
    machine = relax.VirtualMachine(tvm.compile(module, target="llvm"), tvm.cpu())
    return lambda value: machine["main"](tvm.runtime.tensor(value)).numpy()


def of_reference(model):
    reference = ReferenceEvaluator(model)
    return lambda value: reference.run(None, {"x": value})[0]


def kinds(function, limit):
    """Returns how often each kind of result came, with NaN at each place in turn."""
    counts = collections.Counter()
    for place in range(COUNT):
        value = x.copy()
        value[..., place] = np.nan
        result = function(value).item()
        counts[KINDS[0] if np.isnan(result) else KINDS[1 if result == limit(value) else 2]] += 1
    return {kind: counts[kind] for kind in KINDS if counts[kind]}


OPERATORS = {"ReduceMax": np.nanmax, "ReduceMin": np.nanmin, "GlobalMaxPool": np.nanmax, "MaxPool": np.nanmax}
RUNTIMES = {"onnx's reference": of_reference, "onnxruntime": of_onnxruntime, "OpenVINO": of_openvino, "TVM": of_tvm}
mixed = {}
for name, runtime in RUNTIMES.items():
    found = {operator: kinds(runtime(made(operator)), limit) for operator, limit in OPERATORS.items()}
    texts = [f"{operator} " + ", ".join(f"{n} {kind}" for kind, n in counts.items()) for operator, counts in found.items()]
    print(f"{name}: " + "; ".join(texts))
    mixed[name] = any(KINDS[2] in counts for counts in found.values())
sys.exit(list(mixed.values()) != [False, True, True, True])
PYTHON
"$folder/venv/bin/python" "$folder/maximum.py" 2>"$folder/log" || { cat "$folder/log" >&2; exit 1; }
