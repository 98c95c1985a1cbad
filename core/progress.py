"""How long work tells what it does: a callback, so that no room prints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, kw_only=True)
class Progress:
    """One step of long work.

    Attributes:
        stage: What is being done, in a word or two: `training`, `decoder.int8.tflite`.
        done: Steps finished.
        total: Steps in this stage.
        detail: The figures of the moment, for example `loss 98.1`.
    """

    stage: str
    done: int
    total: int
    detail: str = ""


ProgressCallback: TypeAlias = Callable[[Progress], None]


def ignore_progress(_: Progress) -> None:
    """The callback of a caller who does not want to know."""
