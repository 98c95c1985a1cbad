#!/usr/bin/env bash
# OpenVINO 2026.4.1 gives two RandomNormalLike nodes without a seed the same noise.
#
# Guess: ONNX says that without a seed one is generated, so that two nodes of one graph draw independent noise, as those of
# onnxruntime do.
# Seen: two nodes of the same attributes and input become one, so that both draw the same numbers in every run; other noise
# in the next run. With two seeds they differ. RandomUniformLike does the same.
# Consequence: in a VAE of several levels whose latents have one shape, all levels get the same noise, and samples of its file
# are not of its distribution. pocketvae's files have noise as an input (docs/edge-targets.md).
#
# Output seen (onnx 1.23.2, CPython 3.11, x86-64): noise of two nodes in one graph
#   onnxruntime RandomNormalLike: different
#   OpenVINO RandomNormalLike: the same
#   OpenVINO RandomNormalLike, seeds 1 and 2: different
#   OpenVINO RandomUniformLike: the same
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 openvino==2026.4.1
cat >"$folder/noise.py" <<'PYTHON'
import sys

import numpy as np
import onnxruntime
import openvino
from onnx import TensorProto, helper

x = np.zeros((4, 16), np.float32)


def of_onnxruntime(content):
    return onnxruntime.InferenceSession(content).run(None, {"x": x})


def of_openvino(content):
    core = openvino.Core()
    return list(core.compile_model(core.read_model(content), "CPU")({"x": x}).values())


def are_equal(run, operator, seeds=()):
    """Returns whether two nodes draw the same."""
    nodes = []
    for index, (noise, total) in enumerate((("a", "y"), ("b", "z"))):
        seed = {"seed": float(seeds[index])} if seeds else {}
        nodes += [helper.make_node(operator, ["x"], [noise], **seed), helper.make_node("Add", ["x", noise], [total])]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, x.shape) for name in "xyz"]
    graph = helper.make_graph(nodes, "noise", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    first, second = run(model.SerializeToString())
    return bool(np.array_equal(first, second))


found = []
for name, run, operator, seeds in (
    ("onnxruntime RandomNormalLike", of_onnxruntime, "RandomNormalLike", ()),
    ("OpenVINO RandomNormalLike", of_openvino, "RandomNormalLike", ()),
    ("OpenVINO RandomNormalLike, seeds 1 and 2", of_openvino, "RandomNormalLike", (1, 2)),
    ("OpenVINO RandomUniformLike", of_openvino, "RandomUniformLike", ()),
):
    found.append(are_equal(run, operator, seeds))
    print(f"{name}: {'the same' if found[-1] else 'different'}")
sys.exit(found != [False, True, False, True])
PYTHON
"$folder/venv/bin/python" "$folder/noise.py"
