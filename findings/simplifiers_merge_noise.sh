#!/usr/bin/env bash
# onnxsim 0.8.1, onnxslim 0.1.98 and onnxoptimizer 0.4.2 make one node of two that draw noise.
#
# Guess: two random nodes without a seed are independent draws, and a simplifier that joins equal nodes leaves them alone, as
# onnxruntime's does.
# Seen: all three join two RandomNormalLike of one input, and two Bernoulli. Of two RandomNormal, onnxsim and onnxoptimizer
# make one; onnxslim makes a constant of each (findings/onnxslim_constant_noise.sh).
# Consequence: levels of a VAE whose latents have one shape get the same noise once the file was simplified, and samples are not
# of its distribution. pocketvae's files have noise as an input, or compute it from a seed (docs/edge-targets.md).
#
# Output seen (onnx 1.23.2, onnxruntime 1.32.0, CPython 3.11, x86-64): noise of two nodes
#   RandomNormal: as it was different, onnxsim the same, onnxoptimizer the same, onnxslim different
#   RandomNormalLike: as it was different, onnxsim the same, onnxoptimizer the same, onnxslim the same
#   Bernoulli: as it was different, onnxsim the same, onnxoptimizer the same, onnxslim the same
#   RandomNormalLike, seeds 1 and 2: as it was different, onnxsim different, onnxoptimizer different, onnxslim different
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 onnxoptimizer==0.4.2 onnxsim==0.8.1 onnxslim==0.1.98
cat >"$folder/noise.py" <<'PYTHON'
import sys

import numpy as np
import onnxoptimizer
import onnxruntime
import onnxsim
import onnxslim
from onnx import TensorProto, helper

x = np.full((4, 16), 0.5, np.float32)


def model(operator, seeds):
    """Returns a model of two nodes, whose outputs are what each adds to the input."""
    given, attributes = ([], {"shape": x.shape}) if operator == "RandomNormal" else (["x"], {})
    nodes = []
    for index, (noise, total) in enumerate((("a", "y"), ("b", "z"))):
        seed = {"seed": float(seeds[index])} if seeds else {}
        nodes += [helper.make_node(operator, given, [noise], **attributes, **seed)]
        nodes += [helper.make_node("Add", ["x", noise], [total])]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, x.shape) for name in "xyz"]
    graph = helper.make_graph(nodes, "noise", ends[:1], ends[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def are_equal(content):
    options = onnxruntime.SessionOptions()
    # onnxruntime's own optimizations make one Bernoulli of two (findings/onnxruntime_equal_bernoulli.sh).
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    first, second = onnxruntime.InferenceSession(content.SerializeToString(), options).run(["y", "z"], {"x": x})
    return bool(np.array_equal(first, second))


ways = {
    "as it was": lambda given: given,
    "onnxsim": lambda given: onnxsim.simplify(given)[0],
    "onnxoptimizer": onnxoptimizer.optimize,
    "onnxslim": onnxslim.slim,
}
found = []
for name, operator, seeds in (
    ("RandomNormal", "RandomNormal", ()),
    ("RandomNormalLike", "RandomNormalLike", ()),
    ("Bernoulli", "Bernoulli", ()),
    ("RandomNormalLike, seeds 1 and 2", "RandomNormalLike", (1, 2)),
):
    equal = {way: are_equal(of(model(operator, seeds))) for way, of in ways.items()}
    print(f"{name}: " + ", ".join(f"{way} {'the same' if same else 'different'}" for way, same in equal.items()))
    found.append(list(equal.values()))
sys.exit(found != [[False, True, True, False], [False, True, True, True], [False, True, True, True], [False] * 4])
PYTHON
"$folder/venv/bin/python" "$folder/noise.py" 2>/dev/null
