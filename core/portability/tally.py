"""Counting of operators that a backend does not support."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pocketvae.portability.records import Backend, Portability, Unsupported


def tally(backend: Backend, operators: int, left: Sequence[tuple[str, str]], source: str) -> Portability:
    """Counts pairs of operator and reason, one for each operator that is not supported."""
    counts = Counter(left)
    return Portability(
        backend=backend,
        operators=operators,
        taken=operators - len(left),
        falls_off=tuple(
            Unsupported(operator=operator, count=count, reason=reason)
            for (operator, reason), count in sorted(counts.items())
        ),
        source=source,
    )
