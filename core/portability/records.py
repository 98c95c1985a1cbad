"""What an artifact needs and where its operators can run: the part of a manifest that the linter writes."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from pocketvae.spec import STRICT


class Backend(enum.StrEnum):
    """What can take over operators of a file, or run all of it.

    XNNPACK: LiteRT's CPU kernels. LITERT_GPU: its GPU delegate. TFLM: TensorFlow Lite for microcontrollers. NNAPI and
    the two kinds of CoreML model: onnxruntime's providers on Android and Apple devices.
    """

    XNNPACK = "xnnpack"
    LITERT_GPU = "litert_gpu"
    TFLM = "tflm"
    NNAPI = "nnapi"
    COREML = "coreml"
    COREML_ML_PROGRAM = "coreml_ml_program"


@dataclass(frozen=True, kw_only=True)
class Requirement:
    """The oldest runtime that can load a file.

    Attributes:
        runtime: `TensorFlow Lite` or `onnxruntime`.
        version: Of it; empty where it cannot be told.
        reason: What needs this version, or why it cannot be told.
    """

    __pydantic_config__ = STRICT
    runtime: str
    version: str
    reason: str

    def describe(self) -> str:
        """Returns it in words: `TensorFlow Lite 2.5.0 (DEPTH_TO_SPACE version 2)`."""
        return f"{self.runtime} {self.version or 'of an unknown version'} ({self.reason})"


@dataclass(frozen=True, kw_only=True)
class FallOff:
    """Operators of one kind that a backend does not take.

    Attributes:
        operator: Its name in the file's format.
        count: How often.
        reason: Why, in words.
    """

    __pydantic_config__ = STRICT
    operator: str
    count: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class Portability:
    """How much of a file one backend takes.

    Attributes:
        operators: Of the file, all of them.
        taken: Of these, the ones that the backend takes.
        falls_off: The others, by kind.
        source: Where this was learnt: a runtime that was asked, or a table with its date.
    """

    __pydantic_config__ = STRICT
    backend: Backend
    operators: int
    taken: int
    falls_off: tuple[FallOff, ...]
    source: str

    @property
    def is_whole(self) -> bool:
        """Whether the backend takes every operator."""
        return self.taken == self.operators

    def describe(self) -> str:
        """Returns the backend and how much it takes, with what falls off: `litert_gpu: 3 of 5; not CAST x2 (int64)`."""
        if self.is_whole:
            return f"{self.backend}: all {self.operators}"
        reasons = dict.fromkeys(item.reason for item in self.falls_off)
        parts = [f"{self._names(reason)} ({reason})" for reason in reasons]
        return f"{self.backend}: {self.taken} of {self.operators}; not {', '.join(parts)}"

    def _names(self, reason: str) -> str:
        return ", ".join(f"{item.operator} x{item.count}" for item in self.falls_off if item.reason == reason)
