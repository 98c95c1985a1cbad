#!/usr/bin/env bash
# ai-edge-quantizer 0.10.0: the "min_max" ranges of static recipes are moving averages, which depend on the order of the samples.
#
# Guess: the recipes static_wi8_ai8 and static_wi8_ai16 name their algorithm "min_max_uniform_quantize", so that a range
# reaches from the smallest to the largest value of all samples, whatever their order, as in TensorFlow's converter.
# Seen: it starts with the first sample, and each later one moves it by a twentieth of the difference. Of 20 samples, one of
# which reaches 10 and the others 1, the range ends at 1.44 if that one is the last, at 4.38 if it is the first, and at 1.26
# in the middle; what is beyond is cut off in the file. Both calibration modes do so, and the smallest value alike. The
# same samples in one batch, or qsv_utils.min_max_update as the update function of a CalibrationInterpreter (the method
# calibrate() has no such choice), give 10.
# Where it matters: who calibrates with single images cuts off what only some of them reach, such as the latents of rare
# items, and a shuffled list gives another file. export quantizes with TensorFlow's converter.
#
# Output seen (tensorflow-cpu 2.21.0, ai-edge-litert 2.3.0, CPython 3.11, x86-64): largest input that the file can hold
#   the large one last: TensorFlow 10.04, preserve all tensors 1.44, profiler based 1.44
#   the large one first: TensorFlow 10.04, preserve all tensors 4.38, profiler based 4.38
#   the large one in the middle: TensorFlow 10.04, preserve all tensors 1.26, profiler based 1.26
#   one batch of all: 10.04
#   min_max_update: 10.04
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  tensorflow-cpu==2.21.0 ai-edge-litert==2.3.0 ai-edge-quantizer==0.10.0
cat >"$folder/ranges.py" <<'PYTHON'
import contextlib
import io
import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from ai_edge_quantizer import calibrator, quantizer, recipe
from ai_edge_quantizer.utils import qsv_utils

MODES = calibrator.CalibrationMode
WAYS = {
    "preserve all tensors": MODES.CALIBRATION_PRESERVE_ALL_TENSORS,
    "profiler based": MODES.CALIBRATION_PROFILER_BASED,
}
weights = np.eye(4, dtype=np.float32) * 2
module = tf.Module()
ends = [tf.TensorSpec((None, 4), tf.float32, name="x")]
module.call = tf.function(lambda x: {"y": tf.matmul(x, weights)}, input_signature=ends)
tf.saved_model.save(module, "saved", signatures=module.call)
original = tf.lite.TFLiteConverter.from_saved_model("saved").convert()


def of_tensorflow(samples):
    converter = tf.lite.TFLiteConverter.from_saved_model("saved")
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ({"x": sample} for sample in samples)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return largest(converter.convert())


def of_ai_edge(samples, mode=MODES.CALIBRATION_PRESERVE_ALL_TENSORS, update=None):
    with contextlib.redirect_stdout(io.StringIO()):
        tool = quantizer.Quantizer(original)
        tool.load_quantization_recipe(recipe.static_wi8_ai8())
        if update:
            measure = calibrator.CalibrationInterpreter(original, mode=mode, qsv_update_func=update)
            runner = measure.get_signature_runner("serving_default")
            for sample in samples:
                runner(x=sample)
            ranges = measure.get_calibration_results()
        else:
            ranges = tool.calibrate({"serving_default": [{"x": sample} for sample in samples]}, mode=mode)
        return largest(bytes(tool.quantize(ranges).quantized_model))


def largest(content):
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    scale, zero = interpreter.get_input_details()[0]["quantization"]
    return round(float((127 - zero) * scale), 2)


small = [np.array([[-1, -0.5, 0.5, 1]], np.float32)] * 19
large = [small[0] * 10]
orders = {"last": small + large, "first": large + small, "in the middle": small[:9] + large + small[9:]}
found = []
for place, samples in orders.items():
    values = {"TensorFlow": of_tensorflow(samples)}
    values |= {way: of_ai_edge(samples, mode) for way, mode in WAYS.items()}
    print(f"the large one {place}: " + ", ".join(f"{way} {value:.2f}" for way, value in values.items()))
    found.append(list(values.values()))
others = [of_ai_edge([np.concatenate(small + large)]), of_ai_edge(small + large, update=qsv_utils.min_max_update)]
for name, value in zip(("one batch of all", "min_max_update"), others):
    print(f"{name}: {value:.2f}")
cut = [[1.44, 1.44], [4.38, 4.38], [1.26, 1.26]]
sys.exit([row[0] for row in found] != [10.04] * 3 or [row[1:] for row in found] != cut or others != [10.04] * 2)
PYTHON
cd "$folder"
"$folder/venv/bin/python" ranges.py 2>"$folder/log" || { cat "$folder/log" >&2; exit 1; }
