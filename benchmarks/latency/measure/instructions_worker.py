"""A process under callgrind that counts the instructions of calls.

Run under `valgrind --tool=callgrind --instr-atstart=no` as
`python -m pocketvae.benchmarks.latency.measure.instructions_worker`.
"""

from __future__ import annotations

import gc
import re
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path

from pocketvae.benchmarks.latency.measure.client_requests import Callgrind, requester
from pocketvae.benchmarks.latency.measure.worker import open_call
from pocketvae.benchmarks.latency.messages import Load
from pocketvae.documents import decode_line, encode_line
from pocketvae.processes.line_process import serve_lines

_WARMUP_CALLS, _CALLS = 20, 31
_TOTAL = re.compile(r"^(?:summary|totals): (\d+)", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class CountRequest:
    """Count the instructions of one call; callgrind writes its files to `folder`."""

    load: Load
    folder: str


@dataclass(frozen=True, kw_only=True)
class CountReply:
    """The answer; `error` says why there is none."""

    instructions: int | None = None
    error: str | None = None


def count(request: CountRequest) -> int:
    """Returns the instructions of one call: the median of many counted one by one, less what counting itself takes.

    Some calls take far more than the others, where a runtime waits by spinning or the system takes the processor away;
    they would move a mean on a busy machine.
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
    """Returns what was written on request, the oldest first: `out.PID.1`, `out.PID.2` and so on."""
    return sorted(folder.glob("out.*.*"), key=lambda file: int(file.suffix[1:]))


def _total(text: str) -> int:
    match = _TOTAL.search(text)
    if match is None:
        raise ValueError("callgrind's file has no total")
    return int(match[1])


def answer(line: str) -> str:
    """Answers one request; an error becomes part of the reply."""
    try:
        return encode_line(CountReply(instructions=count(decode_line(CountRequest, line))))
    except Exception as e:  # a runtime may raise anything; the other artifacts are still counted
        return encode_line(CountReply(error=f"{type(e).__name__}: {str(e)[:300]}"))


if __name__ == "__main__":
    serve_lines(answer)
    sys.exit(0)
