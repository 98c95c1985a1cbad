#!/usr/bin/env bash
# TensorFlow 2.21.0's TFLite converter takes an einsum that contracts an axis, and refuses the same letters without one.
#
# Guess: what becomes a MUL or a SUM as an operator of its own becomes one as an einsum, whatever the number of axes.
# Seen: contractions, outer products, and sums of one tensor are converted, and a product by element of two axes too (as a
# BATCH_MATMUL of single values). Of four axes the same product is refused as an operator that TFLite lacks, and a gate for
# each channel ends in an error of the converter's own, which wrote a product of matrices whose sizes do not fit. A sum
# over an axis that one tensor alone has is refused likewise. A broadcast MUL and a SUM are all that these are.
# Consequence: export/convert/einsums.py writes them as sums and products before the conversion.
#
# Output seen (tensorflow-cpu 2.21.0, CPython 3.11, x86-64):
#   bhwc->bhc        converted: SUM
#   bi,bj->bij       converted: RESHAPE, RESHAPE, BATCH_MATMUL
#   bc,bc->b         converted: RESHAPE, RESHAPE, BATCH_MATMUL, RESHAPE
#   bc,bc->bc        converted: RESHAPE, RESHAPE, BATCH_MATMUL, RESHAPE
#   bhwc,bhwc->bhwc  refused: 'tf.BatchMatMulV2' op is neither a custom op nor a flex op
#   bhwc,bc->bhwc    refused: 'tf.BatchMatMulV2' op found invalid output dimension on row, expected 4 but got 12
#   bhwc,bhwd->bhwc  refused: 'tf.Einsum' op is neither a custom op nor a flex op
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check tensorflow-cpu==2.21.0 ai-edge-litert==2.3.0
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - 2>"$folder/log" <<'PYTHON' || { cat "$folder/log" >&2; exit 1; }
import re
import sys

import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema

SIZES = {"b": 1, "h": 4, "w": 3, "c": 2, "d": 5, "i": 3, "j": 4}
NAMES = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
CONVERTED = ["bhwc->bhc", "bi,bj->bij", "bc,bc->b", "bc,bc->bc"]
REFUSED = ["bhwc,bhwc->bhwc", "bhwc,bc->bhwc", "bhwc,bhwd->bhwc"]
# What the converter says of the operator that it gives up on.
REASON = re.compile(r"'tf\.\w+' op (?:is neither a custom op nor a flex op|found invalid output dimension [^\n\"]+)")


def convert(equation):
    """Returns the operators of the file, or why there is none."""
    terms = equation.split("->")[0].split(",")
    specs = [tf.TensorSpec([SIZES[letter] for letter in term], tf.float32) for term in terms]
    function = tf.function(lambda *tensors: tf.einsum(equation, *tensors), autograph=False)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function(*specs)])
    try:
        model = schema.ModelT.InitFromPackedBuf(bytes(converter.convert()))
    except Exception as error:
        found = REASON.search(str(error))
        return False, "refused: " + (found.group() if found else "for another reason")
    codes = [model.operatorCodes[item.opcodeIndex].builtinCode for item in model.subgraphs[0].operators]
    return True, "converted: " + ", ".join(NAMES[code] for code in codes)


results = {equation: convert(equation) for equation in CONVERTED + REFUSED}
for equation, (_, text) in results.items():
    print(f"{equation:16} {text}")
is_refused = all(" op " in results[equation][1] for equation in REFUSED)
sys.exit(not (is_refused and all(results[equation][0] for equation in CONVERTED)))
PYTHON
