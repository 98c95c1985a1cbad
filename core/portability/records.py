"""Records about requirements and portability of an artifact, which the linter writes into a manifest."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from pocketvae.spec import STRICT


class Backend(enum.StrEnum):
    """An accelerator or runtime that can run some or all operators of a file.

    XNNPACK: LiteRT's CPU kernels. LITERT_GPU: its GPU delegate. TFLM: TensorFlow Lite for microcontrollers. NNAPI and
    the two kinds of CoreML model: onnxruntime's providers on Android and Apple devices. ETHOS_U: Arm's NPUs, of which
    only `inspect --lint --target` speaks.
    """

    XNNPACK = "xnnpack"
    LITERT_GPU = "litert_gpu"
    TFLM = "tflm"
    ETHOS_U = "ethos_u"
    NNAPI = "nnapi"
    COREML = "coreml"
    COREML_ML_PROGRAM = "coreml_ml_program"


@dataclass(frozen=True, kw_only=True)
class Requirement:
    """The oldest runtime that runs a file right.

    Attributes:
        runtime: `TensorFlow Lite` or `onnxruntime`.
        version: Its version; empty if unknown.
        reason: What needs this version, or why it is unknown.
    """

    __pydantic_config__ = STRICT
    runtime: str
    version: str
    reason: str

    def describe(self) -> str:
        """Returns it as text: `TensorFlow Lite 2.5.0 (DEPTH_TO_SPACE version 2)`."""
        return f"{self.runtime} {self.version or 'of an unknown version'} ({self.reason})"


@dataclass(frozen=True, kw_only=True)
class Unsupported:
    """Operators of one kind that a backend does not support.

    Attributes:
        operator: Name in the file's format.
        count: Number of such operators.
        reason: The reason as text.
    """

    __pydantic_config__ = STRICT
    operator: str
    count: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class Portability:
    """How much of a file one backend supports.

    Attributes:
        operators: Number of operators in the file.
        taken: Number of operators that the backend supports.
        falls_off: The operators that it does not support, by kind.
        source: Where this comes from: a runtime, or a table with its date.
    """

    __pydantic_config__ = STRICT
    backend: Backend
    operators: int
    taken: int
    falls_off: tuple[Unsupported, ...]
    source: str

    @property
    def is_whole(self) -> bool:
        """Whether the backend supports every operator."""
        return self.taken == self.operators

    def describe(self) -> str:
        """Returns the backend, how much it supports and what it does not: `litert_gpu: 3 of 5; not CAST x2 (int64)`."""
        if self.is_whole:
            return f"{self.backend}: all {self.operators}"
        reasons = dict.fromkeys(item.reason for item in self.falls_off)
        parts = [f"{self._names(reason)} ({reason})" for reason in reasons]
        return f"{self.backend}: {self.taken} of {self.operators}; not {', '.join(parts)}"

    def _names(self, reason: str) -> str:
        return ", ".join(f"{item.operator} x{item.count}" for item in self.falls_off if item.reason == reason)
