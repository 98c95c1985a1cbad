"""The floor: the least time that a machine needs for the work of one call (Williams, Waterman and Patterson 2009).

It is a lower bound. Arithmetic is taken at the peak of this machine's matrix product, memory at the speed of a block
no larger than what one call reads, since weights stay in the caches between calls that follow one another.
"""

from __future__ import annotations

from collections.abc import Sequence

from pocketvae.benchmarks.latency.messages import Work
from pocketvae.benchmarks.latency.results import MachinePeaks, MemorySpeed, Roofline
from pocketvae.spec import Precision

_OPERATIONS_PER_MULTIPLY_ADD = 2
# Instructions for dot products of int8 (VNNI, SDOT) do four products in the place of one of float32.
_INTEGER_SPEED = 4


def roofline(
    work: Work, precision: Precision, peaks: MachinePeaks, *, batch: int, weight_bytes: int, median_s: float
) -> Roofline:
    """Returns the floor of one row and its distance from it.

    Args:
        work: Of one sample, counted from the graph.
        precision: Of the artifact; integers are allowed four products for one.
        peaks: With as many threads as the row.
        batch: Samples in one call.
        weight_bytes: As stored, the file's size at most.
        median_s: Of the row.
    """
    multiply_adds = work.multiply_adds * batch
    transfer_bytes = work.transfer_bytes * batch
    speed = peaks.sgemm_flops / _OPERATIONS_PER_MULTIPLY_ADD * (1 if precision.is_float else _INTEGER_SPEED)
    moved = min(work.weight_bytes, weight_bytes) + transfer_bytes
    arithmetic_s = multiply_adds / speed
    # The memory was measured on one thread; several have at most as many times its speed.
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
    """Returns the best speed through any block of this size or larger, or of the largest one below it."""
    below = max((speed.block_bytes for speed in memory if speed.block_bytes <= block_bytes), default=0)
    return max(max(s.copy_bytes_per_s, s.read_bytes_per_s) for s in memory if s.block_bytes >= below)
