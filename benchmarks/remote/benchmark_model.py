"""LiteRT's own program for times, `benchmark_model`, beside ours where the user has it for the phone."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from pocketvae.benchmarks.remote.debug_bridge import LOST, Device, quoted
from pocketvae.errors import ChannelError, TargetError

_VARIABLE = "POCKETVAE_ANDROID_BENCHMARK_MODEL"
_TIMINGS = re.compile(
    r"Inference timings in us: Init: (?P<init>[\d.e+]+), First inference: (?P<first>[\d.e+]+),.*"
    r"Inference \(avg\): (?P<average>[\d.e+]+)"
)
_CALLS = 50


def named_benchmark() -> Path | None:
    """Returns the program that the user names; None where none is.

    Raises:
        TargetError: it does not exist.
    """
    named = os.environ.get(_VARIABLE)
    if not named:
        return None
    if not Path(named).is_file():
        raise TargetError(f"{_VARIABLE} names {named}, which does not exist")
    return Path(named)


def run_benchmark(
    device: Device, folder: str, program: str, file: str, *, num_threads: int, on_gpu: bool, cores: Sequence[int]
) -> str:
    """Returns what the program says of a TFLite file, in words.

    Args:
        device: The phone.
        folder: There, with the program and the file.
        program: File name.
        file: File name.
        num_threads: Inside one call.
        on_gpu: Whether the GPU delegate is asked for.
        cores: Processors to run on; none leaves it to the system.

    Raises:
        ChannelError: the phone is gone.
    """
    options = f"--num_threads={num_threads} --num_runs={_CALLS} --use_gpu={'true' if on_gpu else 'false'}"
    pinned = f"taskset {sum(1 << core for core in cores):x} " if cores else ""
    command = f"LD_LIBRARY_PATH=. {pinned}./{quoted(program)} --graph={quoted(file)} {options}"
    try:
        said = device.shell(f"cd {quoted(folder)} && chmod 755 {quoted(program)} && {command}")
    except ChannelError as e:
        if e.code in (None, LOST):
            raise
        return f"LiteRT's benchmark_model failed: {e}"
    found = _TIMINGS.search(said)
    if found is None:
        return "LiteRT's benchmark_model printed no timings"
    return (
        f"LiteRT's benchmark_model: {float(found['average']):.1f} µs on average of {_CALLS} calls or more, "
        f"first call {float(found['first']):.0f} µs"
    )
