#!/usr/bin/env bash
# LiteRT 2.3.0 (CPU) computes LOG and RSQRT of int16 tensors wrongly near 0.
#
# Guess: a kernel for int16 returns the operator's exact value rounded to the scale of its output, give or take a few steps.
# Seen: RSQRT of 0.0113 is 8.282 in place of 9.385, LOG of 0.0113 is -4.118 in place of -4.484, thousands of steps of the output
# (whose scale covers exactly the range of the values). Both interpolate linearly in a table of 513 entries over the whole range
# of int16, negative half included, so that the first entry of positive numbers spans the part where they bend most. EXP is
# within two steps. No error and no warning is raised; the converter of TensorFlow 2.21 writes such files for 16x8 quantization.
# Consequence: layer normalization, unit normalization and softplus are useless in int16x8; export refuses these operators by name.
#
# Output seen (ai-edge-litert 2.3.0, numpy 2.4.6, CPython 3.11, x86-64):
#   RSQRT of 0.01135: 8.282 (exact 9.385)
#   LOG of 0.01129: -4.118 (exact -4.484)
#   EXP of 5: 148.4 (exact 148.4)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check numpy==2.4.6 ai-edge-litert==2.3.0
"$folder/venv/bin/python" - 2>"$folder/log" <<'PYTHON' || { cat "$folder/log" >&2; exit 1; }
import sys

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter


def quantized(name, size, scale):
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.type = name, [1, size], schema.TensorType.INT16
    tensor.quantization = schema.QuantizationParametersT()
    tensor.quantization.scale, tensor.quantization.zeroPoint = [scale], [0]
    return tensor


def file_of(kind, size, scales):
    """One operator in int16 between tensors of these scales."""
    code, operator, graph, model = schema.OperatorCodeT(), schema.OperatorT(), schema.SubGraphT(), schema.ModelT()
    code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, kind)
    code.version = 2
    operator.inputs, operator.outputs = [0], [1]
    graph.tensors = [quantized(name, size, scale) for name, scale in zip("xy", scales, strict=True)]
    graph.operators, graph.inputs, graph.outputs = [operator], [0], [1]
    model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, [code], [graph], [schema.BufferT()]
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


CASES = [
    ("RSQRT", lambda x: 1 / np.sqrt(x), np.linspace(0.0113, 4, 64), 8.282),
    ("LOG", np.log, np.linspace(0.0113, 10, 64), -4.118),
    ("EXP", np.exp, np.linspace(-10, 5, 64), 148.4),
]
changed = False
for kind, exact_of, wanted, known in CASES:
    step = np.abs(wanted).max() / 32767
    integers = np.rint(wanted / step).astype(np.int16)
    values = integers * step
    exact = exact_of(values)
    scale = np.abs(exact).max() / 32767
    runner = Interpreter(model_content=file_of(kind, len(values), (step, scale)))
    runner.allocate_tensors()
    runner.set_tensor(runner.get_input_details()[0]["index"], integers[None])
    runner.invoke()
    found = runner.get_tensor(runner.get_output_details()[0]["index"])[0] * scale
    worst = np.abs(found - exact).argmax()
    print(f"{kind} of {values[worst]:.4g}: {found[worst]:.4g} (exact {exact[worst]:.4g})")
    changed |= float(f"{found[worst]:.4g}") != known
sys.exit(changed)
PYTHON
