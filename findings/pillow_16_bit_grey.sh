#!/usr/bin/env bash
# Pillow 13.0.0 clips a 16-bit grey image at 255, and divides the same one by 256 if it has an alpha channel.
#
# Guess: convert("L") of a 16-bit PNG keeps the picture: 65535 is white and 32768 the middle grey, as in other
# readers.
# Seen: without an error or a warning, everything from 255 on is white, so that of 65536 grey levels 255 are left, all
# of the darkest: a picture becomes white. Grey with alpha, and colour, are read as 8 bits: value / 256, rounded down.
# Where it matters: to those who train on scans, depth maps or medical images in PNG, where the file without alpha
# makes a white set, and to those who mix both kinds of files. Take convert("I") or the array, and scale it.
#
# Output seen (numpy 2.4.6, CPython 3.11, x86-64): values 0, 128, 255, 256, 16384, 32768 and 65535
#   grey: mode I;16, as L 0 128 255 255 255 255 255
#   grey and alpha: mode RGBA, as L 0 0 0 1 64 128 255
#   colour: mode RGB, as L 0 0 0 1 64 128 255
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check numpy==2.4.6 pillow==13.0.0
cat >"$folder/grey.py" <<'PYTHON'
import io
import struct
import sys
import zlib

import numpy as np
from PIL import Image

VALUES = [0, 128, 255, 256, 16384, 32768, 65535]


def chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(kind, samples):
    """Returns a PNG of one row; kind is 0 for grey, 2 for colour and 4 for grey with alpha."""
    header = struct.pack(">IIBBBBB", len(VALUES), 1, 16, kind, 0, 0, 0)
    row = b"\0" + struct.pack(f">{len(samples)}H", *samples)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(row)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


FILES = {
    "grey": png(0, VALUES),
    "grey and alpha": png(4, [sample for value in VALUES for sample in (value, 65535)]),
    "colour": png(2, [value for value in VALUES for _ in range(3)]),
}
DIVIDED = [0, 0, 0, 1, 64, 128, 255]
EXPECTED = [("I;16", [0, 128, 255, 255, 255, 255, 255]), ("RGBA", DIVIDED), ("RGB", DIVIDED)]
found = []
for name, file in FILES.items():
    image = Image.open(io.BytesIO(file))
    found.append((image.mode, np.asarray(image.convert("L"))[0].tolist()))
    print(f"{name}: mode {found[-1][0]}, as L " + " ".join(map(str, found[-1][1])))
sys.exit(found != EXPECTED)
PYTHON
"$folder/venv/bin/python" "$folder/grey.py"
