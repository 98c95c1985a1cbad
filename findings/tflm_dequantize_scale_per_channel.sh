#!/usr/bin/env bash
# tflite-micro 0.dev20261023182759: DEQUANTIZE of constants with a scale per channel takes the first scale for all.
#
# Guess: weights that are kept as int8 with a scale per channel and dequantized in the file have the same values in
# TensorFlow Lite Micro as in LiteRT, or the file is refused.
# Seen: the file loads and runs; every channel is multiplied by the scale of channel 0, without a word. LiteRT takes each
# channel's own.
# Consequence: `export` warns of this operator, `firmware` refuses a file with it; `verify --targets tflm` shows the error.
#
# Output seen (tflite-micro 0.dev20261023182759, ai-edge-litert 2.3.0, numpy 2.4.6, CPython 3.11, x86-64):
#   LiteRT: [1.0, 10.0, 100.0]
#   TensorFlow Lite Micro: [1.0, 1.0, 1.0]
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps tflite-micro==0.dev20261023182759 \
    ai-edge-litert==2.3.0 numpy==2.4.6 flatbuffers==25.12.19 pyyaml==6.0.3 typing_extensions tqdm protobuf backports.strenum
"$folder/venv/bin/python" - 2>"$folder/log" <<'PYTHON' || { tail -5 "$folder/log" >&2; exit 1; }
import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from tflite_micro.python.tflite_micro import runtime

SCALES = [1.0, 10.0, 100.0]


def code(operator):
    found = schema.OperatorCodeT()
    found.builtinCode, found.deprecatedBuiltinCode, found.version = operator, operator, 2
    return found


def tensor(name, shape, dtype, buffer, scales=()):
    found = schema.TensorT()
    found.name, found.shape, found.type, found.buffer = name, shape, dtype, buffer
    if scales:
        found.quantization = schema.QuantizationParametersT()
        found.quantization.scale, found.quantization.zeroPoint = list(scales), [0] * len(scales)
        found.quantization.quantizedDimension = 0
    return found


def operator(index, inputs, outputs, kind, options):
    found = schema.OperatorT()
    found.opcodeIndex, found.inputs, found.outputs = index, inputs, outputs
    found.builtinOptionsType, found.builtinOptions = kind, options
    return found


# Three rows of one weight, each 1 with the scale of its row, dequantized and multiplied by the input.
types, operators, options = schema.TensorType, schema.BuiltinOperator, schema.BuiltinOptions
graph, model, weights = schema.SubGraphT(), schema.ModelT(), schema.BufferT()
weights.data = np.ones(3, np.int8)
graph.tensors = [
    tensor("x", [1, 1], types.FLOAT32, 0),
    tensor("packed", [3, 1], types.INT8, 1, SCALES),
    tensor("weights", [3, 1], types.FLOAT32, 0),
    tensor("y", [1, 3], types.FLOAT32, 0),
]
graph.inputs, graph.outputs = [0], [3]
graph.operators = [
    operator(0, [1], [2], options.DequantizeOptions, schema.DequantizeOptionsT()),
    operator(1, [0, 2, -1], [3], options.FullyConnectedOptions, schema.FullyConnectedOptionsT()),
]
model.version, model.subgraphs, model.buffers = 3, [graph], [schema.BufferT(), weights]
model.operatorCodes = [code(operators.DEQUANTIZE), code(operators.FULLY_CONNECTED)]
builder = flatbuffers.Builder(1024)
builder.Finish(model.Pack(builder), b"TFL3")
content, x = bytes(builder.Output()), np.ones((1, 1), np.float32)

full = Interpreter(model_content=content)
full.allocate_tensors()
full.set_tensor(full.get_input_details()[0]["index"], x)
full.invoke()
expected = full.get_tensor(full.get_output_details()[0]["index"])[0].tolist()
micro = runtime.Interpreter.from_bytes(content)
micro.set_input(x, 0)
micro.invoke()
seen = micro.get_output(0)[0].tolist()
print("LiteRT:", expected)
print("TensorFlow Lite Micro:", seen)
raise SystemExit(0 if expected == SCALES and seen == [SCALES[0]] * 3 else 1)
PYTHON
