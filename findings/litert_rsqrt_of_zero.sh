#!/usr/bin/env bash
# LiteRT 2.3.0 with XNNPACK: the reciprocal square root of 0 is NaN, and TensorFlow 2.21.0's converter makes 1 / sqrt(x) one.
#
# Guess: RSQRT of 0 is infinity, as of LiteRT's built-in kernels, of TensorFlow and by IEEE 754; and 1 / sqrt(x) stays a
# division, which of 0 is infinity too.
# Seen: XNNPACK returns NaN for 0 and for 1e-38, and the converter writes RSQRT for 1 / sqrt(x).
# Consequence: Keras 3's UnitNormalization limits that infinity, so that a vector of zeros, such as the mean of the prior, stays
# one; its TFLite file returned NaN. export/convert/float_forms.py limits what is rooted.
#
# Output seen (CPython 3.11, x86-64): of 0, 1e-38, 1e-30 and 4
#   rsqrt(x): RSQRT, built-in inf 1e+19 1e+15 0.5, XNNPACK nan nan 1e+15 0.5
#   1 / sqrt(x): RSQRT, built-in inf 1e+19 1e+15 0.5, XNNPACK nan nan 1e+15 0.5
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  tensorflow==2.21.0 ai-edge-litert==2.3.0
cat >"$folder/root.py" <<'PYTHON'
import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter, OpResolverType

x = np.array([[0, 1e-38, 1e-30, 4]], np.float32)


def of_litert(content, kernels):
    interpreter = Interpreter(model_content=content, experimental_op_resolver_type=kernels)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    operators = [item["op_name"] for item in interpreter._get_ops_details() if item["op_name"] != "DELEGATE"]
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0], operators


as_seen = True
for name, body in (("rsqrt(x)", tf.math.rsqrt), ("1 / sqrt(x)", lambda x: 1 / tf.sqrt(x))):
    function = tf.function(body, input_signature=[tf.TensorSpec(x.shape, tf.float32)], autograph=False)
    concrete = function.get_concrete_function()
    content = tf.lite.TFLiteConverter.from_concrete_functions([concrete], concrete).convert()
    plain, operators = of_litert(content, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)
    fast, _ = of_litert(content, OpResolverType.AUTO)
    told = [
        "{} {}".format(kernels, " ".join(f"{value:.3g}" for value in values))
        for kernels, values in (("built-in", plain), ("XNNPACK", fast))
    ]
    print(f"{name}: {', '.join(operators)}, {', '.join(told)}")
    as_seen &= operators == ["RSQRT"] and bool(np.isinf(plain[0])) and bool(np.isnan(fast[:2]).all())
    as_seen &= np.allclose(fast[2:], [1e15, 0.5])
sys.exit(not as_seen)
PYTHON
"$folder/venv/bin/python" "$folder/root.py" 2>"$folder/log" || { cat "$folder/log" >&2; exit 1; }
