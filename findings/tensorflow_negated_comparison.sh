#!/usr/bin/env bash
# TensorFlow 2.21.0's graph optimizer makes `greater` of a negated `less_equal`, which is another answer for NaN.
#
# Guess: a graph that asks "not (score <= limit)", so that a score that is no number counts as above the limit, does so everywhere.
# Seen: eagerly it is true of NaN; in a tf.function, and in the TFLite file made of it, it is false. No message.
# Consequence: a scorer's alarm is 1 - cast(score <= limit), in floats, which the converter leaves as it is
# (export/convert/scoring.py); else a sensor that sends NaN would never raise an alarm.
#
# Output seen (tensorflow-cpu 2.21.0, ai-edge-litert 2.3.0, CPython 3.11, x86-64): is the value above 0.5, of 0, 1, NaN
#   eager: [False, True, True]
#   tf.function: [False, True, False]
#   TFLite, not (x <= limit): [False, True, False]
#   TFLite, 1 - (x <= limit): [False, True, True]
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

VALUES = [0.0, 1.0, np.nan]
LIMIT = np.float32(0.5)


@tf.function(input_signature=[tf.TensorSpec((1,), tf.float32)])
def negated(x):
    return tf.cast(tf.logical_not(x <= LIMIT), tf.int32)


@tf.function(input_signature=[tf.TensorSpec((1,), tf.float32)])
def subtracted(x):
    return tf.cast(1.0 - tf.cast(x <= LIMIT, tf.float32), tf.int32)


def converted(function):
    content = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()]).convert()
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    found = []
    for value in VALUES:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], np.array([value], np.float32))
        interpreter.invoke()
        found.append(bool(interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0]))
    return found


eager = [bool(tf.logical_not(tf.constant(value, tf.float32) <= LIMIT)) for value in VALUES]
graph = [bool(negated(np.array([value], np.float32))) for value in VALUES]
print("eager:", eager)
print("tf.function:", graph)
print("TFLite, not (x <= limit):", converted(negated))
print("TFLite, 1 - (x <= limit):", converted(subtracted))
right, wrong = [False, True, True], [False, True, False]
sys.exit((eager, graph, converted(negated), converted(subtracted)) != (right, wrong, wrong, right))
PYTHON
