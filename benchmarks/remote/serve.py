"""The program inside a target: serves a remote runner on its own pipes.

Run as `python -m pocketvae.benchmarks.remote.serve BUNDLE [--runtime NAME]`; requests come on stdin, responses go to
stdout.
"""

from __future__ import annotations

import sys
from pathlib import Path

from pocketvae.benchmarks.remote.runner import RemoteRunner
from pocketvae.bundle.bundle import Bundle
from pocketvae.bundle.manifest import MANIFEST_NAME, Manifest
from pocketvae.documents import decode
from pocketvae.processes.rpc import serve


def read_bundle(folder: Path) -> Bundle:
    """Reads a manifest without its goldens: whoever sent the bundle has checked it."""
    path = folder / MANIFEST_NAME
    return Bundle(path=folder, manifest=decode(Manifest, path.read_bytes(), MANIFEST_NAME))


def main(words: list[str]) -> int:
    """Serves on the process's own pipes."""
    bundle = read_bundle(Path(words[0]))
    runner = RemoteRunner(bundle)
    if words[1:] == ["--runtime", "tflm"]:
        from pocketvae.benchmarks.remote.micro import MicroRemoteRunner

        runner = MicroRemoteRunner(bundle)
    serve(runner.handlers())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
