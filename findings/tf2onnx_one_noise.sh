#!/usr/bin/env bash
# tf2onnx 1.17.0 makes one noise of two, with the same seed in every file, and a constant of a truncated normal.
#
# Guess: two calls of tf.random.normal without a seed are independent in the ONNX file as they are in TensorFlow, and another
# process draws other noise: the seed of ONNX's RandomNormal is optional, "auto generated" where it is missing.
# Seen: each gets the seed 0, since TensorFlow writes 0 for "no seed"; so they are equal, and the converter's own optimizer,
# which joins equal nodes, leaves one: both places draw the same numbers. The file is the same in every process, its first
# draw too. tf.random.uniform, and noise of the shape of a tensor, do likewise. tf.random.truncated_normal is a constant:
# the numbers that were drawn while the file was converted. Two seeds of one's own stay two. No message.
# Where it matters: a VAE with two levels of latents, or two samples for an estimate, has one noise in both, so that what it
# draws is not of its distribution, and its images repeat after each start. export's files have noise as an input.
#
# Output seen (tensorflow-cpu 2.21.0, onnx 1.23.2, onnxruntime 1.32.0, CPython 3.11, x86-64)
#   normal: 1 random node, seeds [0.0], two noises equal, two runs different, two processes equal
#   normal of a tensor's shape: 1 random node, seeds [0.0], two noises equal, two runs different, two processes equal
#   uniform: 1 random node, seeds [0.0], two noises equal, two runs different, two processes equal
#   truncated normal: 0 random nodes, seeds [], two noises different, two runs equal, two processes equal
#   normal, seeds 7 and 8: 2 random nodes, seeds [7.0, 8.0], two noises different, two runs different, two processes equal
#   TensorFlow, normal: two noises different, two runs different
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  tensorflow-cpu==2.21.0 numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 tf2onnx==1.17.0
cat >"$folder/noise.py" <<'PYTHON'
import os
import subprocess
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np
import tensorflow as tf
import tf2onnx

RUN = """
import sys, numpy, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1])
x = numpy.zeros((4, 64), numpy.float32)
numpy.save(sys.argv[1] + ".npy", [session.run(["y", "z"], {"x": x}) for _ in range(2)])
"""
SHAPE = (4, 64)


def pair(draw, *others):
    """Returns a function of x with two outputs, x plus a noise each."""
    first, second = others or ({}, {})
    return tf.function(lambda x: {"y": x + draw(x, **first), "z": x + draw(x, **second)})


def constant_shape(x, **options):
    return tf.random.normal(SHAPE, **options)


def shape_of_tensor(x):
    return tf.random.normal(tf.shape(x))


def in_a_process(path):
    subprocess.run([sys.executable, "-c", RUN, path], check=True)
    return np.load(path + ".npy")


def equal(one, other):
    return "equal" if np.array_equal(one, other) else "different"


functions = {
    "normal": pair(constant_shape),
    "normal of a tensor's shape": pair(shape_of_tensor),
    "uniform": pair(lambda x: tf.random.uniform(SHAPE)),
    "truncated normal": pair(lambda x: tf.random.truncated_normal(SHAPE)),
    "normal, seeds 7 and 8": pair(constant_shape, {"seed": 7}, {"seed": 8}),
}
found = []
for name, function in functions.items():
    ends = [tf.TensorSpec((None, 64), tf.float32, name="x")]
    model, _ = tf2onnx.convert.from_function(function, ends, opset=17, output_path="model.onnx")
    nodes = [node for node in model.graph.node if node.op_type.startswith("Random")]
    seeds = sorted(attribute.f for node in nodes for attribute in node.attribute if attribute.name == "seed")
    values, again = in_a_process("model.onnx"), in_a_process("model.onnx")
    words = [equal(*values[0]), equal(values[0], values[1]), equal(values, again)]
    found.append((len(nodes), seeds, *words))
    count = "1 random node" if len(nodes) == 1 else f"{len(nodes)} random nodes"
    text = ", ".join(f"two {what} {word}" for what, word in zip(("noises", "runs", "processes"), words))
    print(f"{name}: {count}, seeds {seeds}, {text}")
x = tf.zeros(SHAPE)
first, second = functions["normal"](x), functions["normal"](x)
original = equal(first["y"], first["z"]), equal(first["y"], second["y"])
print(f"TensorFlow, normal: two noises {original[0]}, two runs {original[1]}")
one = (1, [0.0], "equal", "different", "equal")
frozen, seeded = (0, [], "different", "equal", "equal"), (2, [7.0, 8.0], "different", "different", "equal")
sys.exit(found != [one, one, one, frozen, seeded] or original != ("different", "different"))
PYTHON
cd "$folder"
"$folder/venv/bin/python" noise.py 2>"$folder/log" || { cat "$folder/log" >&2; exit 1; }
