"""The machine's peaks: matrix products and memory bandwidth, measured with numpy in the same run.

numpy's BLAS reads its number of threads from the environment of the process before it is imported.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from pocketvae.benchmarks.latency.results import MachinePeaks, MemorySpeed

_MATRIX_SIZES = (256, 512, 1024)
_MATRIX_S = 0.15
_SMALLEST_BLOCK, _LARGEST_BLOCK = 1 << 17, 1 << 26
_BLOCK_S = 0.02
_FEWEST_CALLS = 3
# OpenBLAS, Intel's MKL, Apple's Accelerate and everything with OpenMP.
_VARIABLES = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "OMP_NUM_THREADS")


def blas_environment(threads: int) -> dict[str, str]:
    """Returns the environment variables that set the number of threads of numpy's BLAS."""
    return dict.fromkeys(_VARIABLES, str(threads))


def measure_peaks(threads: int) -> MachinePeaks:
    """Returns the peaks of this process, whose BLAS must have this number of threads; takes a second.

    Memory's are those of 1 thread, and empty with more: BLAS reads with all that it has.
    """
    blocks = [_SMALLEST_BLOCK]
    while blocks[-1] < _LARGEST_BLOCK:
        blocks.append(blocks[-1] * 4 if blocks[-1] * 4 <= _LARGEST_BLOCK else _LARGEST_BLOCK)
    return MachinePeaks(
        threads=threads,
        sgemm_flops=max(_sgemm_flops(size) for size in _MATRIX_SIZES),
        memory=tuple(_memory_speed(block) for block in blocks) if threads == 1 else (),
    )


def _sgemm_flops(size: int) -> float:
    rng = np.random.default_rng(0)
    left, right = (rng.random((size, size), np.float32) for _ in range(2))
    out = np.empty_like(left)
    return float(2 * size**3 / _fastest(lambda: np.matmul(left, right, out=out), _MATRIX_S))


def _memory_speed(block_bytes: int) -> MemorySpeed:
    half = block_bytes // 2 // 4
    source, sink = np.ones(half, np.float32), np.zeros(half, np.float32)
    return MemorySpeed(
        block_bytes=block_bytes,
        copy_bytes_per_s=block_bytes / _fastest(lambda: np.copyto(sink, source), _BLOCK_S),
        read_bytes_per_s=block_bytes / _fastest(lambda: np.dot(source, sink), _BLOCK_S),
    )


def _fastest(call: Callable[[], object], budget_s: float) -> float:
    """Returns the shortest time of a call: a peak is measured without disturbance."""
    least = float("inf")
    count, ends = 0, time.perf_counter() + budget_s
    while count < _FEWEST_CALLS or time.perf_counter() < ends:
        started = time.perf_counter()
        call()
        least = min(least, time.perf_counter() - started)
        count += 1
    return least
