#!/usr/bin/env bash
# tf_keras 2.21.0 writes HDF5 under the name `.keras` from the second file on, in every thread but the one that imported it.
#
# Guess: `model.save("m.keras", save_format="keras")` writes the same format, a zip archive, in whichever thread and however often.
# Seen: the switch between the formats belongs to a thread. It is set where the module is imported; elsewhere it has no value,
# which counts as on when it is read, and as off when saving or loading puts back what it found. So the first file is a zip
# archive, and each later one HDF5, with a warning that HDF5 is legacy. `save_format="keras_v3"` does not look at the switch.
# Consequence: pocketvae saves with "keras_v3", and tells formats by content, never by ending.
#
# Output seen (tf_keras 2.21.0, tensorflow-cpu 2.21.0, CPython 3.11, x86-64):
#   thread that imported tf_keras: zip zip
#   another thread, "keras": zip hdf5
#   another thread, "keras_v3": zip zip
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


def saved_twice(save_format):
    names = ["first.keras", "second.keras"]
    for name in names:
        model.save(name, save_format=save_format)
    found.append(" ".join(map(kind, names)))


def elsewhere(save_format):
    thread = threading.Thread(target=saved_twice, args=(save_format,))
    thread.start()
    thread.join()


found = []
saved_twice("keras")
elsewhere("keras")
elsewhere("keras_v3")
names = ["thread that imported tf_keras", 'another thread, "keras"', 'another thread, "keras_v3"']
for name, value in zip(names, found):
    print(f"{name}: {value}")
sys.exit(found != ["zip zip", "zip hdf5", "zip zip"])
PYTHON
