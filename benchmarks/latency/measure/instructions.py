"""How many instructions one call takes, counted by valgrind's callgrind: the same on every run, whatever else runs.

valgrind has no AVX-512, so the runtimes choose their kernels for AVX2 there. The count tells what a change has done to
the work of a file, not how long it takes.
"""

from __future__ import annotations

import shutil
import sys
import tempfile

from pocketvae.benchmarks.latency.messages import CountInstructions, Load, Method
from pocketvae.errors import TargetError
from pocketvae.processes.line_process import LineProcess
from pocketvae.processes.rpc import Client

_TIME_LIMIT_S = 600.0


def count_instructions(load: Load) -> int:
    """Returns the instructions of one call.

    Each count has a process of its own: what was opened before decides how memory lies and, by that, how often
    allocation takes the longer way, which is some per cent of a small model.

    Raises:
        TargetError: valgrind is not installed, or counted none.
        PocketVaeError: the file could not be run, or the process under valgrind died or hung.
    """
    valgrind = find_valgrind()
    with tempfile.TemporaryDirectory() as folder:
        options = ["--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={folder}/out.%p"]
        worker = [sys.executable, "-m", "pocketvae.benchmarks.latency.measure.instructions_worker"]
        with LineProcess([valgrind, *options, *worker], environment={"PYTHONHASHSEED": "0"}) as process:
            request = CountInstructions(load=load, folder=folder)
            count = Client(process).call(Method.COUNT_INSTRUCTIONS, request, int, _TIME_LIMIT_S)
    if count < 1:
        raise TargetError("no instructions were counted")
    return count


def find_valgrind() -> str:
    """Returns where valgrind is.

    Raises:
        TargetError: it is not installed.
    """
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        raise TargetError("valgrind is not installed: apt-get install valgrind, or leave --instructions out")
    return valgrind
