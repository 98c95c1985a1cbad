#!/usr/bin/env bash
# tensorflow 2.21.0: with oneDNN, a second residual block takes every fusion from the whole graph.
#
# Guess: the graph optimizer's remapper fuses convolutions with the bias, the sum and the ReLU behind them; where the sum of
# a block is read twice, by the next block's ReLU and by its sum, it fuses the rest.
# Seen: with one block before activation (He et al. 2016) both convolutions become fused ones. With two blocks the remapper
# ends with "Mutation::Apply error: fanout ... exist for missing node", printed as an error once in a process, and leaves the
# graph as it was: not even the convolutions whose ReLU nobody else reads are fused. Outputs are right. Without oneDNN
# the same graphs keep their fusions.
# Consequence: a network of two ReLU blocks gains less from oneDNN than one of a single block, and whoever trains it sees
# an error that is none. pocketvae switches the remapper off for such networks, so that nothing is printed; what runs
# is the same (docs/training.md).
#
# Output seen (tensorflow 2.21.0, CPython 3.11, x86-64 with avx512f):
#   oneDNN, 1 block: 2 convolutions, 2 fused with what follows, 1 ReLU left
#   oneDNN, 2 blocks: 4 convolutions, 0 fused with what follows, 5 ReLU left
#   oneDNN, 3 blocks: 6 convolutions, 0 fused with what follows, 7 ReLU left
#   without, 1 block: 2 convolutions, 2 fused with what follows, 2 ReLU left
#   without, 2 blocks: 4 convolutions, 4 fused with what follows, 3 ReLU left
#   without, 3 blocks: 6 convolutions, 6 fused with what follows, 4 ReLU left
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check tensorflow==2.21.0 numpy==2.4.6
cat >"$folder/blocks.py" <<'PYTHON'
import sys
from collections import Counter

import numpy as np
import tensorflow as tf
from tensorflow.python.eager import context

name, *expected = sys.argv[1:]
kernel = tf.constant(0.1 * np.random.default_rng(0).standard_normal((3, 3, 8, 8)), tf.float32)
bias = tf.fill([8], 0.1)


def convolved(x):
    return tf.nn.bias_add(tf.nn.conv2d(x, kernel, 1, "SAME"), bias)


def operators(blocks):
    @tf.function
    def network(x):
        for _ in range(blocks):
            x += convolved(tf.nn.relu(convolved(tf.nn.relu(x))))
        return tf.nn.relu(x)

    context.context().enable_run_metadata()
    network(tf.ones((1, 8, 8, 8)))
    graphs = context.context().export_run_metadata().function_graphs
    context.context().disable_run_metadata()
    return Counter(node.op for function in graphs for graph in function.partition_graphs for node in graph.node)


found = []
for blocks in (1, 2, 3):
    counts = operators(blocks)
    convolutions = sum(count for op, count in counts.items() if "Conv2D" in op)
    fused = sum(count for op, count in counts.items() if "FusedConv2D" in op)
    found.append(str(fused))
    plural = "block" if blocks == 1 else "blocks"
    print(
        f"{name}, {blocks} {plural}: {convolutions} convolutions, {fused} fused with what follows,"
        f" {counts['Relu']} ReLU left",
        flush=True,
    )
sys.exit(0 if found == expected else 1)
PYTHON
export TF_CPP_MIN_LOG_LEVEL=3
TF_ENABLE_ONEDNN_OPTS=1 "$folder/venv/bin/python" "$folder/blocks.py" oneDNN 2 0 0 2>/dev/null
TF_ENABLE_ONEDNN_OPTS=0 "$folder/venv/bin/python" "$folder/blocks.py" without 2 4 6 2>/dev/null
