"""Progress reports of long work: a callback, so that no room prints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, kw_only=True)
class Progress:
    """One step of long work.

    Attributes:
        stage: Short name of what is being done: `training`, `decoder.int8.tflite`.
        done: Number of steps finished.
        total: Number of steps in this stage.
        detail: Current figures, for example `loss 98.1`.
    """

    stage: str
    done: int
    total: int
    detail: str = ""


ProgressCallback: TypeAlias = Callable[[Progress], None]


def ignore_progress(_: Progress) -> None:
    """Does nothing: the callback of a caller who does not need progress."""
