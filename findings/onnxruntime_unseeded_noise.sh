#!/usr/bin/env bash
# onnxruntime 1.32.0: noise without a seed repeats in every session of a process; seeds lose their fraction.
#
# Guess: RandomNormalLike without a seed draws anew wherever a session is made; `seed` is a float in ONNX, so that 7.25 and
# 7.75 are two seeds.
# Seen: every session of one process draws the same sequence, and another process another one. 7.25 and 7.75 are the seed 7.
# Consequence: a server that holds one session per thread gives all its threads the same "random" images of a whole-VAE file.
# pocketvae's files have noise as an input (docs/edge-targets.md).
#
# Output seen (onnx 1.23.2, CPython 3.11, x86-64):
#   without a seed, two runs of one session: different
#   without a seed, two sessions of one process: the same
#   without a seed, two processes: different
#   seeds 7.25 and 7.75: the same
#   seeds 7.25 and 8.25: different
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0
cat >"$folder/noise.py" <<'PYTHON'
import subprocess
import sys

import numpy as np
import onnxruntime
from onnx import TensorProto, helper


def session(**attributes):
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 16)) for name in "xy"]
    node = helper.make_node("RandomNormalLike", ["x"], ["y"], **attributes)
    graph = helper.make_graph([node], "noise", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return onnxruntime.InferenceSession(model.SerializeToString())


def drawn(made):
    return made.run(None, {"x": np.zeros((1, 16), np.float32)})[0].tobytes()


if sys.argv[1:] == ["draw"]:
    print(drawn(session()).hex())
    sys.exit()
other = subprocess.run([sys.executable, __file__, "draw"], check=True, capture_output=True, text=True).stdout
one = session()
first, second = drawn(one), drawn(one)
found = {
    "without a seed, two runs of one session": first == second,
    "without a seed, two sessions of one process": first == drawn(session()),
    "without a seed, two processes": first == bytes.fromhex(other),
    "seeds 7.25 and 7.75": drawn(session(seed=7.25)) == drawn(session(seed=7.75)),
    "seeds 7.25 and 8.25": drawn(session(seed=7.25)) == drawn(session(seed=8.25)),
}
for name, is_equal in found.items():
    print(f"{name}: {'the same' if is_equal else 'different'}")
sys.exit(list(found.values()) != [False, True, False, True, False])
PYTHON
"$folder/venv/bin/python" "$folder/noise.py"
