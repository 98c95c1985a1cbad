"""The floor: the shortest time in which a machine can do the work of one call (Williams et al. 2009).

It is a lower bound, after the roofline model of Williams, Waterman and Patterson. Arithmetic is assumed at the peak of
this machine's matrix product, memory at the bandwidth of a block no larger than what one call reads, since weights
stay in the caches between consecutive calls.
"""

from __future__ import annotations

from collections.abc import Sequence

from pocketvae.benchmarks.latency.messages import Work
from pocketvae.benchmarks.latency.results import MachinePeaks, MemorySpeed, Roofline
from pocketvae.spec import Precision

_OPERATIONS_PER_MULTIPLY_ADD = 2
# Instructions for int8 dot products (VNNI, SDOT) do four products in the time of one of float32.
_INTEGER_SPEED = 4


def roofline(
    work: Work, precision: Precision, peaks: MachinePeaks, *, batch: int, weight_bytes: int, median_s: float
) -> Roofline:
    """Returns the floor of one row and its distance from it.

    Args:
        work: Work of one sample, counted from the graph.
        precision: Precision of the artifact; integers count four products as one.
        peaks: Peaks with as many threads as the row.
        batch: Samples per call.
        weight_bytes: Size of the stored weights, at most that of the file.
        median_s: Median of the row.
    """
    multiply_adds = work.multiply_adds * batch
    transfer_bytes = work.transfer_bytes * batch
    speed = peaks.sgemm_flops / _OPERATIONS_PER_MULTIPLY_ADD * (1 if precision.is_float else _INTEGER_SPEED)
    moved = min(work.weight_bytes, weight_bytes) + transfer_bytes
    arithmetic_s = multiply_adds / speed
    # Memory was measured with 1 thread; n threads have at most n times its bandwidth.
    memory_s = moved / (bytes_per_s(peaks.memory, moved) * peaks.threads)
    floor_s = max(arithmetic_s, memory_s)
    return Roofline(
        multiply_adds=multiply_adds,
        weight_bytes=min(work.weight_bytes, weight_bytes),
        transfer_bytes=transfer_bytes,
        floor_s=floor_s,
        bound="arithmetic" if arithmetic_s >= memory_s else "memory",
        distance=median_s / floor_s,
    )


def bytes_per_s(memory: Sequence[MemorySpeed], block_bytes: int) -> float:
    """Returns the highest bandwidth for any block of this size or larger, or for the largest one below it."""
    below = max((speed.block_bytes for speed in memory if speed.block_bytes <= block_bytes), default=0)
    return max(max(s.copy_bytes_per_s, s.read_bytes_per_s) for s in memory if s.block_bytes >= below)
