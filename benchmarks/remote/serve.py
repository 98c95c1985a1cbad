"""The program inside a target: serves a remote runner on its own pipes.

Run as `python -m pocketvae.benchmarks.remote.serve FOLDER [--runtime NAME]`; requests come on stdin, responses go to
stdout.
"""

from __future__ import annotations

import sys
from pathlib import Path

from pocketvae.benchmarks.remote.runner import RemoteRunner
from pocketvae.processes.rpc import serve


def main(words: list[str]) -> int:
    """Serves on the process's own pipes."""
    folder, runtime = Path(words[0]), words[2] if words[1:2] == ["--runtime"] else ""
    serve(_runner(folder, runtime).handlers())
    return 0


def _runner(folder: Path, runtime: str) -> RemoteRunner:
    if runtime == "tflm":
        from pocketvae.benchmarks.remote.micro import MicroRemoteRunner

        return MicroRemoteRunner(folder)
    if runtime.partition(":")[0] == "gpu":
        from pocketvae.benchmarks.remote.graphics import GraphicsRemoteRunner

        return GraphicsRemoteRunner(folder, is_float32=runtime == "gpu:float32")
    if runtime.startswith("hexagon:"):
        from pocketvae.benchmarks.remote.hexagon import HexagonRemoteRunner

        return HexagonRemoteRunner(folder, runtime.partition(":")[2])
    if runtime == "openvino":
        from pocketvae.benchmarks.remote.openvino import OpenVinoRemoteRunner

        return OpenVinoRemoteRunner(folder)
    if runtime.startswith("rknn:"):
        from pocketvae.benchmarks.remote.rknn import RknnRemoteRunner

        return RknnRemoteRunner(folder, runtime.partition(":")[2])
    if runtime == "tract":
        from pocketvae.benchmarks.remote.tract import TractRemoteRunner

        return TractRemoteRunner(folder)
    return RemoteRunner(folder)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
