"""How many instructions one call takes, counted by valgrind's callgrind: the same on every run, whatever else runs.

valgrind has no AVX-512, so the runtimes choose their kernels for AVX2 there. The count tells what a change has done to
the work of a file, not how long it takes.
"""

from __future__ import annotations

import shutil
import sys
import tempfile

from pocketvae.benchmarks.latency.measure.instructions_worker import CountReply, CountRequest
from pocketvae.benchmarks.latency.messages import Load
from pocketvae.documents import decode_line, encode_line
from pocketvae.errors import TargetError
from pocketvae.processes.line_process import LineProcess, LineProcessError

_TIME_LIMIT_S = 600.0


def count_instructions(load: Load) -> CountReply:
    """Returns the instructions of one call, or why they could not be counted.

    Each count has a process of its own: what was opened before decides how memory lies and, by that, how often
    allocation takes the longer way, which is some per cent of a small model.

    Raises:
        TargetError: valgrind is not installed.
    """
    valgrind = find_valgrind()
    with tempfile.TemporaryDirectory() as folder:
        options = ["--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={folder}/out.%p"]
        worker = [sys.executable, "-m", "pocketvae.benchmarks.latency.measure.instructions_worker"]
        with LineProcess([valgrind, *options, *worker], environment={"PYTHONHASHSEED": "0"}) as process:
            try:
                reply = process.ask(encode_line(CountRequest(load=load, folder=folder)), _TIME_LIMIT_S)
                return decode_line(CountReply, reply)
            except LineProcessError as e:
                return CountReply(error=str(e))


def find_valgrind() -> str:
    """Returns where valgrind is.

    Raises:
        TargetError: it is not installed.
    """
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        raise TargetError("valgrind is not installed: apt-get install valgrind, or leave --instructions out")
    return valgrind
