#!/usr/bin/env bash
# tf_keras 2.21.0 writes HDF5 under the name `.keras` in every thread but the one that imported it first.
#
# Guess: `model.save("m.keras", save_format="keras")` writes the same format, a zip archive, whichever thread calls it.
# Seen: the switch between the two formats is a value of one thread, set where the module is imported and off everywhere else.
# In another thread the call succeeds, warns that HDF5 is legacy, and writes HDF5; what expects a zip archive (Keras 3 among
# others) then refuses the file. `save_format="keras_v3"` does not look at the switch.
# Consequence: pocketvae saves with "keras_v3", and tells formats by content, never by ending.
#
# Output seen (tf_keras 2.21.0, tensorflow-cpu 2.21.0, CPython 3.11, x86-64):
#   "keras", thread that imported tf_keras: zip
#   "keras", another thread: hdf5
#   "keras_v3", another thread: zip
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check tensorflow-cpu==2.21.0 tf_keras==2.21.0
cd "$folder"
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - 2>"$folder/log" <<'PYTHON' || { cat "$folder/log" >&2; exit 1; }
import sys
import threading
import zipfile

import tf_keras

inputs = tf_keras.Input((3,))
model = tf_keras.Model(inputs, tf_keras.layers.Dense(2)(inputs))


def kind(path):
    if zipfile.is_zipfile(path):
        return "zip"
    with open(path, "rb") as file:
        return "hdf5" if file.read(8) == b"\x89HDF\r\n\x1a\n" else "unknown"


def elsewhere(path, save_format):
    thread = threading.Thread(target=model.save, args=(path,), kwargs={"save_format": save_format})
    thread.start()
    thread.join()
    return kind(path)


model.save("here.keras", save_format="keras")
found = [kind("here.keras"), elsewhere("there.keras", "keras"), elsewhere("third.keras", "keras_v3")]
names = ['"keras", thread that imported tf_keras', '"keras", another thread', '"keras_v3", another thread']
for name, value in zip(names, found):
    print(f"{name}: {value}")
sys.exit(found != ["zip", "hdf5", "zip"])
PYTHON
