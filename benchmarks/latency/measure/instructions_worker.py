"""The worker under callgrind that counts the instructions of calls.

Run under `valgrind --tool=callgrind --instr-atstart=no` as
`python -m pocketvae.benchmarks.latency.measure.instructions_worker`.
"""

from __future__ import annotations

import gc
import re
import statistics
import sys
from pathlib import Path

from pocketvae.benchmarks.latency.measure.client_requests import Callgrind, requester
from pocketvae.benchmarks.latency.measure.worker import open_call
from pocketvae.benchmarks.latency.messages import CountInstructions, Method
from pocketvae.processes.rpc import handler, serve

_WARMUP_CALLS, _CALLS = 20, 31
_TOTAL = re.compile(r"^(?:summary|totals): (\d+)", re.MULTILINE)


def count(request: CountInstructions) -> int:
    """Returns the instructions of one call: the median of many counted separately, minus the cost of counting.

    Some calls take far more than the others, when a runtime waits by spinning or the system preempts it; they would
    affect a mean on a busy machine.
    """
    send, call = requester(), open_call(request.load)
    for _ in range(_WARMUP_CALLS):
        call()
    gc.disable()
    send(Callgrind.START_INSTRUMENTATION)
    for counted in (*[call] * _CALLS, *[_nothing] * _CALLS):
        send(Callgrind.ZERO_STATS)
        counted()
        send(Callgrind.DUMP_STATS)
    send(Callgrind.STOP_INSTRUMENTATION)
    gc.enable()
    totals = [_total(file.read_text("utf-8")) for file in _dumps(Path(request.folder))]
    return round(statistics.median(totals[:_CALLS]) - statistics.median(totals[_CALLS:]))


def _nothing() -> None:
    pass


def _dumps(folder: Path) -> list[Path]:
    """Returns the files written on request, oldest first: `out.PID.1`, `out.PID.2` and so on."""
    return sorted(folder.glob("out.*.*"), key=lambda file: int(file.suffix[1:]))


def _total(text: str) -> int:
    match = _TOTAL.search(text)
    if match is None:
        raise ValueError("callgrind's file does not contain a total")
    return int(match[1])


if __name__ == "__main__":
    serve({Method.COUNT_INSTRUCTIONS: handler(CountInstructions, count)})
    sys.exit(0)
