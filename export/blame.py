"""The layer that a converter dies on: found by converting the front of the graph, in a process that may die again."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence

# Signals that a converter's own fault sends it; a process that is killed is not to blame itself.
_FAULTS = tuple(
    int(number)
    for name in ("SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGSEGV", "SIGTRAP")
    if (number := getattr(signal, name, None)) is not None
)
# Windows ends a process with an exception's number, such as 0xC0000005.
_LEAST_EXCEPTION = 0x8000_0000


def died_of_a_fault(code: int | None) -> bool:
    """Whether a process that ended with this code died of a fault of native code."""
    return code is not None and (-code in _FAULTS or code >= _LEAST_EXCEPTION)


def fatal_layer(
    names: Sequence[str],
    dies: Callable[[int], bool],
    time_limit_s: float,
    clock: Callable[[], float] = time.perf_counter,
) -> str:
    """Returns the first layer with which the front of a graph kills the converter, as text.

    Args:
        names: Of all layers, in order.
        dies: Whether the converter dies of the first so many layers; it raises `TimeoutError` if that cannot be told.
        time_limit_s: After which no other front is tried.
        clock: Seconds.

    Returns:
        The layer, or the range of layers that time was enough for; empty if the whole graph does not kill it again.
    """
    end = clock() + time_limit_s
    fine, fatal = 0, len(names)
    if not names or not _is_reproduced(dies, fatal):
        return ""
    try:
        while fatal - fine > 1 and clock() < end:
            middle = (fine + fatal) // 2
            if dies(middle):
                fatal = middle
            else:
                fine = middle
    except TimeoutError:
        pass  # What is known by then is said.
    if fatal - fine == 1:
        return f"the layer {names[fine]}"
    return f"a layer from {names[fine]} to {names[fatal - 1]}" if fatal < len(names) else ""


def _is_reproduced(dies: Callable[[int], bool], count: int) -> bool:
    try:
        return dies(count)
    except TimeoutError:
        return False
