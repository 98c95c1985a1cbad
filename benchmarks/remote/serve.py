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
    folder = Path(words[0])
    runner = RemoteRunner(folder)
    if words[1:] == ["--runtime", "tflm"]:
        from pocketvae.benchmarks.remote.micro import MicroRemoteRunner

        runner = MicroRemoteRunner(folder)
    serve(runner.handlers())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
