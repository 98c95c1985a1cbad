#!/usr/bin/env bash
# onnxruntime 1.32.0 draws one sample for two Bernoulli nodes of the same probabilities.
#
# Guess: two nodes without a seed draw independently, as two RandomNormalLike of one input do.
# Seen: with the default optimizations both nodes return the same bits in every run, and other bits in the next run; without
# optimization they differ. Bernoulli is replaced by RandomUniformLike and a comparison, and equal nodes are then joined; two
# RandomUniformLike in the file itself stay two.
# Consequence: two binary images drawn from one decoder in a file are one image, and an estimate from two draws, such as a variance,
# is that of one. pocketvae's decoders return probabilities and draw nothing (docs/edge-targets.md).
#
# Output seen (onnx 1.23.2, CPython 3.11, x86-64): samples of two nodes of one input
#   Bernoulli, default optimizations: the same
#   Bernoulli, no optimization: different
#   Bernoulli, seeds 1 and 2, default optimizations: different
#   RandomUniformLike, default optimizations: different
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0
cat >"$folder/draws.py" <<'PYTHON'
import sys

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

x = np.full((4, 64), 0.5, np.float32)
LEVELS = onnxruntime.GraphOptimizationLevel


def are_equal(operator, level, seeds=()):
    """Returns whether two nodes draw the same in both of two runs."""
    nodes = []
    for index, (drawn, total) in enumerate((("a", "y"), ("b", "z"))):
        seed = {"seed": float(seeds[index])} if seeds else {}
        nodes += [helper.make_node(operator, ["x"], [drawn], **seed), helper.make_node("Add", ["x", drawn], [total])]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, x.shape) for name in "xyz"]
    graph = helper.make_graph(nodes, "draws", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = level
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    runs = [session.run(None, {"x": x}) for _ in range(2)]
    assert not np.array_equal(runs[0][0], runs[1][0])
    return all(np.array_equal(*run) for run in runs)


found = []
for name, operator, level, seeds in (
    ("Bernoulli, default optimizations", "Bernoulli", LEVELS.ORT_ENABLE_ALL, ()),
    ("Bernoulli, no optimization", "Bernoulli", LEVELS.ORT_DISABLE_ALL, ()),
    ("Bernoulli, seeds 1 and 2, default optimizations", "Bernoulli", LEVELS.ORT_ENABLE_ALL, (1, 2)),
    ("RandomUniformLike, default optimizations", "RandomUniformLike", LEVELS.ORT_ENABLE_ALL, ()),
):
    found.append(are_equal(operator, level, seeds))
    print(f"{name}: {'the same' if found[-1] else 'different'}")
sys.exit(found != [True, False, False, False])
PYTHON
"$folder/venv/bin/python" "$folder/draws.py"
