#!/usr/bin/env bash
# tensorflow 2.21.0: the graph optimizer's bfloat16 rounds the total of a loss, though the total is a float32 tensor.
#
# Guess: `auto_mixed_precision_onednn_bfloat16` casts the operands of matrix products and convolutions; a sum over the pixels
# of a cross-entropy behind them stays float32, since mixed precision keeps large reductions in float32.
# Seen: it depends on how the loss is written. With softplus, what follows the product stays bfloat16 up to and with the
# sum: each item's log-likelihood, 546 nats, is one of the numbers of bfloat16, which are 4 apart there, while the tensor's
# type is float32. With `sigmoid_cross_entropy_with_logits`, the same function, it is float32 (it has an exponential, which
# the optimizer never rounds). A cast to float64 and back behind the product, which changes no value, ends it too;
# `tf.ensure_shape` and `tf.identity` in the same place change nothing.
# Consequence: with `bfloat16 = true` networks end in such a cast (`pocketvae.train.mixed_precision`); importance weights,
# which are differences of these totals, would be wrong by whole nats without it.
#
# The CPU needs avx512_bf16 or amx_bf16.
#
# Output seen (tensorflow 2.21.0, CPython 3.11, x86-64 with avx512_bf16):
#   float32: mean 546.1 nats
#   bfloat16, as it is: float32, largest error 2.329 nats, all of bfloat16: True
#   bfloat16, tf.identity: float32, largest error 2.329 nats, all of bfloat16: True
#   bfloat16, tf.ensure_shape: float32, largest error 2.329 nats, all of bfloat16: True
#   bfloat16, float64 and back: float32, largest error 0.020 nats, all of bfloat16: False
#   bfloat16, by sigmoid_cross_entropy_with_logits: largest error 0.020 nats
set -euo pipefail
if ! grep -q -w -E "avx512_bf16|amx_bf16" /proc/cpuinfo; then
  echo "this CPU has neither avx512_bf16 nor amx_bf16" >&2
  exit 77
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check tensorflow==2.21.0 numpy==2.4.6
TF_ENABLE_ONEDNN_OPTS=1 TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - <<'PYTHON' 2>/dev/null
import sys

import numpy as np
import tensorflow as tf

hidden = tf.random.stateless_normal([128, 256], [0, 1])
kernel = tf.Variable(0.01 * tf.random.stateless_normal([256, 784], [0, 2]))
pixels = tf.cast(tf.random.stateless_uniform([128, 784], [0, 3]) < 0.3, tf.float32)
ends = {
    "as it is": lambda logits: logits,
    "tf.identity": tf.identity,
    "tf.ensure_shape": lambda logits: tf.ensure_shape(logits, logits.shape),
    "float64 and back": lambda logits: tf.cast(tf.cast(logits, tf.float64), tf.float32),
}


def by_softplus(logits):
    return tf.nn.softplus(logits) - pixels * logits


def by_cross_entropy(logits):
    return tf.nn.sigmoid_cross_entropy_with_logits(pixels, logits)


def totals(end, bfloat16, cost=by_softplus):
    tf.config.optimizer.set_experimental_options({"auto_mixed_precision_onednn_bfloat16": bfloat16})

    @tf.function
    def step(hidden):
        with tf.GradientTape() as tape:
            logits = end(tf.matmul(hidden, kernel))
            total = tf.reduce_sum(cost(logits), axis=1)
            loss = tf.reduce_mean(total)
        return total, tape.gradient(loss, kernel)

    return step(hidden)[0].numpy()


exact = totals(ends["as it is"], False)
print(f"float32: mean {exact.mean():.1f} nats")
rounded, errors = {}, {}
for name, end in ends.items():
    found = totals(end, True)
    rounded[name] = not np.any(found.view(np.uint32) & 0xFFFF)
    errors[name] = np.abs(found - exact).max()
    print(f"bfloat16, {name}: {found.dtype}, largest error {errors[name]:.3f} nats, all of bfloat16: {rounded[name]}")
same = totals(ends["as it is"], True, by_cross_entropy)
print(f"bfloat16, by sigmoid_cross_entropy_with_logits: largest error {np.abs(same - exact).max():.3f} nats")
expected = {"as it is": True, "tf.identity": True, "tf.ensure_shape": True, "float64 and back": False}
sys.exit(0 if rounded == expected and errors["as it is"] > 1 > 10 * errors["float64 and back"] else 1)
PYTHON
