#!/usr/bin/env bash
# MNN 3.6.1: the command mnnconvert runs "pip install" of a logging library, in the Python that is first in the PATH.
#
# Guess: a converter of files on this disk converts them; it needs no network, and its packages come with it.
# Seen: importing MNN.tools, as each of the commands mnn, mnnconvert and mnnquant does, runs `pip install -U` of a
# library that writes logs to a service, if it is missing, and any `pip` in the PATH takes it: not that of the virtual
# environment whose mnnconvert was called by its path. Read in the package, not run: with that library there, each
# conversion sends an identifier of the machine, the options and the file sizes to a log service. It asks nobody. The
# library wants protobuf below 6, which is older than the one that onnx 1.23.2 installed beside it.
# Where it matters: to those who convert in CI or on a machine whose packages are pinned: versions change under them
# without a word, and it fails or waits behind a closed network. The module `_tools`, which the command calls, converts
# without all of that: python -c "import MNN, _tools, sys; _tools.mnnconvert(sys.argv)" -f ONNX ...
#
# Output seen (onnx 1.23.2, CPython 3.11, x86-64), with a `pip` in the PATH that only notes its arguments
#   mnnconvert: pip install -U aliyun-log-python-sdk; model.mnn is there
#   _tools.mnnconvert: pip was not called; model.mnn is there
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check numpy==2.4.6 onnx==1.23.2 MNN==3.6.1
mkdir "$folder/bin"
cat >"$folder/bin/pip" <<'PIP'
#!/bin/sh
echo "pip $*" >>"$CALLS"
exit 1
PIP
chmod +x "$folder/bin/pip"
cat >"$folder/made.py" <<'PYTHON'
import sys

from onnx import TensorProto, helper

ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 4)) for name in "xy"]
graph = helper.make_graph([helper.make_node("Tanh", ["x"], ["y"])], "tanh", ends[:1], ends[1:])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
open(sys.argv[1], "wb").write(model.SerializeToString())
PYTHON
"$folder/venv/bin/python" "$folder/made.py" "$folder/model.onnx"

# Converts with the command given, and tells what was called as pip.
called() {
  export CALLS="$folder/calls"
  rm -f "$CALLS" "$folder/model.mnn"
  PATH="$folder/bin:$PATH" "$@" -f ONNX --modelFile "$folder/model.onnx" --MNNModel "$folder/model.mnn" --bizCode x \
    >"$folder/log" 2>&1 || true
  if test -s "$CALLS"; then sort -u "$CALLS" | tr -d '\n'; else printf 'pip was not called'; fi
  if test -s "$folder/model.mnn"; then echo "; model.mnn is there"; else echo "; no file"; fi
}

command=$(called "$folder/venv/bin/mnnconvert")
echo "mnnconvert: $command"
plain=$(called "$folder/venv/bin/python" -c "import MNN, _tools, sys; _tools.mnnconvert(sys.argv)")
echo "_tools.mnnconvert: $plain"
test "$command" = "pip install -U aliyun-log-python-sdk; model.mnn is there"
test "$plain" = "pip was not called; model.mnn is there"
