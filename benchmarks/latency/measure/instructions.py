"""Instruction counts of one call from valgrind's callgrind, which hardly differ from run to run, whatever else runs.

valgrind does not support AVX-512, so the runtimes choose their AVX2 kernels there. The count shows how a change
affects the work of a file, not how long it takes.
"""

from __future__ import annotations

import shutil
import sys

from pocketvae.benchmarks.latency.messages import CountInstructions, Load, Method
from pocketvae.errors import TargetError
from pocketvae.processes.line_process import LineProcess
from pocketvae.processes.rpc import Client
from pocketvae.system.temporary import temporary_directory

_TIME_LIMIT_S = 600.0


def count_instructions(load: Load) -> int:
    """Returns the instructions of one call.

    Each count runs in its own process: files opened before would affect the layout of memory and thus how often
    allocation takes the slow path, which is several percent for a small model.

    Raises:
        TargetError: valgrind is not installed, or counted none.
        PocketVaeError: the file could not be run, or the process under valgrind died or hung.
    """
    valgrind = find_valgrind()
    with temporary_directory() as folder:
        options = ["--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={folder}/out.%p"]
        worker = [sys.executable, "-Pm", "pocketvae.benchmarks.latency.measure.instructions_worker"]
        with LineProcess([valgrind, *options, *worker], environment={"PYTHONHASHSEED": "0"}) as process:
            request = CountInstructions(load=load, folder=str(folder))
            count = Client(process).call(Method.COUNT_INSTRUCTIONS, request, int, _TIME_LIMIT_S)
    if count < 1:
        raise TargetError("no instructions were counted")
    return count


def find_valgrind() -> str:
    """Returns the path of valgrind.

    Raises:
        TargetError: it is not installed, or this is not Linux.
    """
    if sys.platform != "linux":
        raise TargetError("counting instructions needs Linux: valgrind supports current Pythons there alone")
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        raise TargetError("valgrind is not installed: run apt-get install valgrind, or leave out --instructions")
    return valgrind
