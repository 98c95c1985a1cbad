#!/usr/bin/env bash
# pyarrow 26.0.1: a single cell of a permuted column of tensors has other values than the column.
#
# Guess: `column[0].to_numpy()` of a FixedShapeTensorArray is `column.to_numpy_ndarray()[0]`.
# Seen: so it is where tensors are stored in row-major order. With a permutation the shape is right, and the values are not,
# without an error: the strides are computed of the permuted shape, and not of the stored one. Besides, `column.to_numpy` and
# `to_pandas` give each cell flat, in the order in which it is stored.
# Consequence: `pocketvae.udf` reads whole chunks by `to_numpy_ndarray`.
#
# Output seen (pyarrow 26.0.1, numpy 2.4.6, CPython 3.11, x86-64):
#   column: [[0, 3], [1, 4], [2, 5]]
#   cell: [[0, 2], [1, 3], [2, 4]]
#   flat: [0, 1, 2, 3, 4, 5]
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check pyarrow==26.0.1 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import pyarrow

tensors = np.arange(6).reshape(1, 2, 3).transpose(0, 2, 1)
column = pyarrow.FixedShapeTensorArray.from_numpy_ndarray(tensors)
assert (column.to_numpy_ndarray() == tensors).all()
cell = column[0].to_numpy()
print("column:", column.to_numpy_ndarray()[0].tolist())
print("cell:", cell.tolist())
print("flat:", column.to_numpy(zero_copy_only=False)[0].tolist())
sys.exit(1 if (cell == tensors[0]).all() else 0)
PYTHON
