"""What Keras 2 and Keras 3 read without an error and compute differently.

A file is tried with the other Keras where its own cannot load it, but not if it names one of these. Everything else
that differs between the two fails when it is loaded; a test compares layer by layer.
"""

from __future__ import annotations

from typing import Any

# Keras 2: 0.2 x + 0.5, clipped; Keras 3: x / 6 + 0.5, clipped. They differ by up to 0.083.
DIFFERENT = frozenset({"hard_sigmoid", "HardSigmoid"})


def differs_between_flavours(config: Any) -> bool:
    """Whether an architecture names something that means something else in the other Keras.

    Args:
        config: As Keras' JSON.
    """
    waiting = [config]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str) and item in DIFFERENT:
            return True
        if isinstance(item, dict):
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
    return False
