#!/usr/bin/env bash
# TensorFlow 2.21.0's int8 quantizer gives the inputs of ADD_N the scale of their sum; those of ADD keep their own.
#
# Guess: two ReLU6 outputs that are added have integers for 0 to 6 each, whichever operator adds them.
# Seen: in front of tf.add they do; in front of tf.add_n both have integers for the range of the sum, so that half of the 256
# levels are never used and the step is twice as large. No message says so.
# Consequence: parts of a range, whose sum is what counts, are joined by a chain of ADD (export/tuning/output_parts.py).
#
# Output seen (tensorflow-cpu 2.21.0, CPython 3.11, x86-64): largest real value that the integers of a part hold
#   add: 6.0
#   add_n: 12.0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check tensorflow-cpu==2.21.0 ai-edge-litert==2.3.0
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - 2>"$folder/log" <<'PYTHON' || { cat "$folder/log" >&2; exit 1; }
import sys

import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

rng = np.random.default_rng(0)
first, second = (tf.constant(rng.normal(size=(4, 8)).astype(np.float32)) for _ in range(2))
samples = 4 * rng.normal(size=(64, 1, 4)).astype(np.float32)


def largest(join):
    @tf.function(input_signature=[tf.TensorSpec((1, 4), tf.float32)])
    def network(x):
        return join([tf.nn.relu6(x @ first), tf.nn.relu6(x @ second)])

    converter = tf.lite.TFLiteConverter.from_concrete_functions([network.get_concrete_function()])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([x] for x in samples)
    interpreter = Interpreter(model_content=converter.convert())
    parts = [
        tensor
        for tensor in interpreter.get_tensor_details()
        if tensor["name"].lower().count("relu6") and tensor["dtype"] == np.int8 and tensor["shape"].tolist() == [1, 8]
    ]
    scale, zero = parts[0]["quantization"]
    return round(float(scale * (127 - zero)), 1)


found = [largest(lambda parts: parts[0] + parts[1]), largest(tf.add_n)]
for name, value in zip(("add", "add_n"), found):
    print(f"{name}: {value}")
sys.exit(found != [6.0, 12.0])
PYTHON
