#!/usr/bin/env bash
# TensorFlow 2.21.0's post-training quantizer makes another file at each call where the parts of a split go on in float.
#
# Guess: the same model and the same representative samples give the same bytes, as they do for float files.
# Seen: the DEQUANTIZE operators behind a SPLIT are written in a random order, within one process too, with names that
# follow that order. What the files compute is the same; their hashes are not. No message, no seed to set.
# Consequence: export/quantize/tflite_order.py puts such operators in the order of what they read, so that one run gives one
# bundle, byte for byte.
#
# Output seen (tensorflow-cpu 2.21.0, ai-edge-litert 2.3.0, CPython 3.11, x86-64; the 6 is another number each time):
#   16 conversions in float32: 1 file
#   16 conversions in 8 bits: 6 files
#   orders in which the parts are read: 6
#   largest difference of outputs: 0.0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check tensorflow-cpu==2.21.0 ai-edge-litert==2.3.0
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - 2>"$folder/log" <<'PYTHON' || { cat "$folder/log" >&2; exit 1; }
import sys

import numpy as np
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

RNG = np.random.default_rng(0)
WEIGHTS = tf.constant(RNG.normal(size=(6, 16)).astype("f4"))
SAMPLES = RNG.normal(size=(32, 1, 6)).astype("f4")
CALLS = 16


@tf.function(input_signature=[tf.TensorSpec((1, 6), tf.float32)])
def network(x):
    first, second, third, fourth = tf.split(tf.nn.relu(x @ WEIGHTS), 4, axis=1)
    # The quantizer leaves SIN in floats, so that the parts go on in float.
    return tf.sin(first) + 2 * tf.sin(second) + 3 * tf.sin(third) + 4 * tf.sin(fourth)


def convert(quantized):
    converter = tf.lite.TFLiteConverter.from_concrete_functions([network.get_concrete_function()])
    if quantized:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([sample] for sample in SAMPLES)
    return bytes(converter.convert())


def order(content):
    """Returns each operator and what it reads first."""
    model = schema.ModelT.InitFromPackedBuf(content)
    graph = model.subgraphs[0]
    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
    return [(names[model.operatorCodes[item.opcodeIndex].builtinCode], int(item.inputs[0])) for item in graph.operators]


def outputs(content):
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    found = []
    for sample in SAMPLES:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], sample)
        interpreter.invoke()
        found.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))
    return np.stack(found)


reals = {convert(False) for _ in range(CALLS)}
files = {convert(True) for _ in range(CALLS)}
orders = [order(content) for content in files]
parts = {tuple(read for kind, read in one if kind == "DEQUANTIZE") for one in orders}
print(f"{CALLS} conversions in float32: {len(reals)} file")
print(f"{CALLS} conversions in 8 bits: {len(files)} files")
print("orders in which the parts are read:", len(parts))
results = [outputs(content) for content in files]
difference = max(float(np.abs(one - results[0]).max()) for one in results)
print("largest difference of outputs:", difference)
sys.exit(not (len(reals) == 1 and len(files) > 1 and len(parts) == len(files) and difference == 0))
PYTHON
