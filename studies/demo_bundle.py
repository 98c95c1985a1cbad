"""The bundle `demo` of the package: trains a small VAE on the embedded MNIST, exports it, keeps what a wheel can carry.

    python studies/demo_bundle.py --out core/demo --force

The quickstart's preset with narrow dense layers, for 20 epochs; decoder, encoder, sampler and generator in both formats
in float32 and int8. Of the goldens a part of every kind is kept, none inside the files, and no original, which bench
would time with TensorFlow. The same versions and CPU give the same files, bit for bit.
"""

from __future__ import annotations

import argparse
import io
import shutil
import sys
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pocketvae.benchmarks import verify_bundle
from pocketvae.bundle.bundle import open_bundle
from pocketvae.bundle.manifest import MANIFEST_NAME, FileRecord, GoldenRecord
from pocketvae.bundle.run import open_run
from pocketvae.documents import encode
from pocketvae.export import ExportConfig, export_run, plan_artifacts
from pocketvae.spec import Precision
from pocketvae.system.files import write_bytes
from pocketvae.system.folders import staged_directory
from pocketvae.train import preset, train, with_overrides

PRESET = "mnist-tiny"
CHANGES: Mapping[str, object] = {"hidden_units": 32, "epochs": 20, "ema_decay": 0.999, "quantization_friendly": True}
PRECISIONS = (Precision.FLOAT32, Precision.INT8)
# Samples of the first kind and of each other, of which an export makes up to 128: the fewest with which every check
# passes, since limits of means hold for all samples together.
KEPT = ((48, 12), (80, 12), (128, 64))
LICENCE = "Apache-2.0"
# Compressed, as the wheel has it.
MOST_BYTES = 3_000_000


def main(words: Sequence[str]) -> int:
    """Makes the bundle; returns 1 if a file of it does not match the original."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder to create")
    parser.add_argument("--run", type=Path, help="a run that was trained before")
    parser.add_argument("--force", action="store_true", help="replace the folder")
    arguments = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as scratch:
        run, whole = arguments.run or Path(scratch) / "run", Path(scratch) / "demo"
        if arguments.run is None:
            train(source="mnist", out=run, config=with_overrides(preset(PRESET), CHANGES), preset=PRESET)
        artifacts = plan_artifacts(open_run(run).record.vae.exports, precisions=PRECISIONS)
        export_run(run, whole, ExportConfig(artifacts=artifacts, licence=LICENCE, embedded_goldens=False))
        for kept in KEPT:
            small = Path(scratch) / f"kept-{kept[0]}"
            small.mkdir()
            size = write_small(whole, small, kept)
            if passed := verify_bundle(small).passed:
                break
        with staged_directory(arguments.out, force=arguments.force) as staging:
            shutil.copytree(small, staging, dirs_exist_ok=True)
    print(f"{arguments.out}: {size} bytes compressed, {'matches' if passed else 'differs from'} the original")
    return 0 if passed and size <= MOST_BYTES else 1


def write_small(source: Path, out: Path, kept: tuple[int, int]) -> int:
    """Writes a bundle without originals and with a part of its goldens; returns its compressed bytes.

    Args:
        source: The bundle.
        out: An empty folder.
        kept: Samples of the first kind, and of each other.
    """
    bundle = open_bundle(source)
    manifest, written = bundle.manifest, 0
    goldens = []
    for record in manifest.goldens:
        thinned, contents = thin(record, source, kept)
        goldens.append(thinned)
        for path, content in contents.items():
            written += write(out / path, content)
    manifest = replace(manifest, name="demo", goldens=tuple(goldens), original={})
    for file in (*(item.file for item in manifest.artifacts), *manifest.documents):
        written += write(out / file.path, (source / file.path).read_bytes())
    return written + write(out / MANIFEST_NAME, encode(manifest).encode())


def thin(record: GoldenRecord, source: Path, most: tuple[int, int]) -> tuple[GoldenRecord, dict[str, bytes]]:
    """Returns goldens with some samples of each kind, and the content of their files by path."""
    counts = [min(item.count, most[min(place, 1)]) for place, item in enumerate(record.strata)]
    rows = np.concatenate([item.start + np.arange(count) for item, count in zip(record.strata, counts, strict=True)])
    contents: dict[str, bytes] = {}

    def kept(files: Mapping[str, FileRecord], chosen: npt.NDArray[np.intp]) -> dict[str, FileRecord]:
        found = {}
        for name, file in files.items():
            stream = io.BytesIO()
            np.save(stream, np.load(source / file.path)[chosen])
            contents[file.path] = stream.getvalue()
            found[name] = FileRecord.of(file.path, contents[file.path])
        return found

    starts = np.cumsum([0, *counts])
    strata = tuple(
        replace(item, start=int(start), count=count)
        for item, start, count in zip(record.strata, starts, counts, strict=False)
    )
    # Images were observed for the first kind alone.
    thinned = replace(
        record,
        inputs=kept(record.inputs, rows),
        outputs=kept(record.outputs, rows),
        observed=kept(record.observed, rows[: counts[0]]),
        strata=strata,
    )
    return thinned, contents


def write(path: Path, content: bytes) -> int:
    """Writes a file and returns its bytes when compressed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, content)
    return len(zlib.compress(content))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
