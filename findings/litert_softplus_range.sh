#!/usr/bin/env bash
# TensorFlow 2.21.0's converter writes softplus as log(1 + exp(x)), which LiteRT 2.3.0 computes right from -10 to 88 alone.
#
# Guess: TFLite has no softplus, so the converter writes it in a form that is right for every float32, as TensorFlow's own
# kernel is: max(x, 0) + log1p(exp(-|x|)) or the like.
# Seen: EXP, ADD, LOG. Below -17 the sum rounds to 1 and the result to 0, where softplus is exp(x); at -10 it is 0.3 % off.
# From 89 on it is infinite with XNNPACK, and 88.72 with the built-in kernels, whose EXP ends at float32's largest number.
# Consequence: an encoder with a standard deviation of softplus(...) returned log-variances of minus infinity, infinity and
# NaN for items unlike its data, where TensorFlow and onnxruntime return finite ones. export/convert/float_forms.py writes
# another form in files that compute in floats.
#
# Output seen (CPython 3.11, x86-64): softplus of -20, -10, 5, 89 and 200
#   TensorFlow: 2.06e-09 4.54e-05 5.01 89 200
#   LiteRT, XNNPACK: 0 4.55e-05 5.01 inf inf
#   LiteRT, reference kernels: 0 4.54e-05 5.01 88.7 88.7
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  tensorflow==2.21.0 ai-edge-litert==2.3.0
cat >"$folder/softplus.py" <<'PYTHON'
import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter, OpResolverType

x = np.array([[-20, -10, 5, 89, 200]], np.float32)
function = tf.function(tf.nn.softplus, input_signature=[tf.TensorSpec(x.shape, tf.float32)]).get_concrete_function()
content = tf.lite.TFLiteConverter.from_concrete_functions([function], function).convert()


def of_litert(kernels):
    interpreter = Interpreter(model_content=content, experimental_op_resolver_type=kernels)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


found = {
    "TensorFlow": tf.nn.softplus(x).numpy(),
    "LiteRT, XNNPACK": of_litert(OpResolverType.AUTO),
    "LiteRT, reference kernels": of_litert(OpResolverType.BUILTIN_REF),
}
for name, values in found.items():
    print(f"{name}: " + " ".join(f"{value:.3g}" for value in values[0]))
exact, fast, reference = (values[0] for values in found.values())
as_seen = np.allclose(exact, np.logaddexp(0, x[0].astype(np.float64)), rtol=1e-6)
as_seen &= fast[0] == reference[0] == 0 and bool(np.isinf(fast[3:]).all()) and bool((reference[3:] < 88.8).all())
sys.exit(not as_seen)
PYTHON
"$folder/venv/bin/python" "$folder/softplus.py" 2>"$folder/log" || { cat "$folder/log" >&2; exit 1; }
