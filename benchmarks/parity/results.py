"""What verify finds: the document behind `verify --json`; that of bench is in `latency/results.py`."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from pocketvae.spec import STRICT
from pocketvae.system.environment import Environment

# 2 added figures, worst inputs, diagnoses, layers and what a target is not made for.
VERIFY_SCHEMA_VERSION = 2
# Begins the name of what is made to fail on purpose; its checks pass where it does.
CONTROL = "control."


@dataclass(frozen=True, kw_only=True)
class Check:
    """One comparison of one artifact with what it has to be.

    Attributes:
        artifact: File name.
        target: Where the artifact ran.
        output: Output the check is about; empty for the artifact as a whole.
        metric: A name of `pocketvae.numerics.metrics`, or `loads`, `interface`, `finite`, `range`.
        value: What was measured; None where there is no finite number.
        limit: Largest value that passes; None for checks without a number.
        limit_source: Where the limit comes from.
        passed: The verdict.
        batch: Samples in one call.
        detail: What was wrong, in words.
    """

    __pydantic_config__ = STRICT
    artifact: str
    target: str
    output: str
    metric: str
    value: float | None
    limit: float | None
    limit_source: str
    passed: bool
    batch: int = 1
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class NotRun:
    """Something that was asked for and could not be run."""

    __pydantic_config__ = STRICT
    artifact: str
    target: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """A number that is reported and decides nothing.

    Attributes:
        stratum: The kind of golden samples it is of; empty for all.
        metric: A name of `pocketvae.numerics.metrics`, or `psnr_db`, `ssim` and `ssim_worst`.
        value: What was measured.
    """

    __pydantic_config__ = STRICT
    artifact: str
    target: str
    output: str
    stratum: str
    metric: str
    value: float


@dataclass(frozen=True, kw_only=True)
class WorstInput:
    """The golden sample on which an artifact is farthest from the original.

    Attributes:
        index: Of the sample among the component's goldens.
        stratum: The kind of sample it is.
        metric: What is largest there: `max_abs` of `output`, or the posterior's `kl_max`.
        value: How large; None where it is not finite.
    """

    __pydantic_config__ = STRICT
    artifact: str
    target: str
    output: str
    index: int
    stratum: str
    metric: str
    value: float | None


class Culprit(enum.StrEnum):
    """What a failed check blames.

    CONVERSION: the file computes something else than the original, on every kernel. QUANTIZATION: the float file of the
    same component and format is right. KERNEL: the runtime's other kernels are right. PREPROCESSING: the file is right
    where an image is scaled or laid out in another way. GOLDEN: all files agree with one another and not with the
    goldens. FILE: it is the file of another artifact or of another model. UNKNOWN: none of them.
    """

    CONVERSION = "conversion"
    QUANTIZATION = "quantization"
    KERNEL = "kernel"
    PREPROCESSING = "preprocessing"
    GOLDEN = "golden"
    FILE = "file"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """Why an artifact failed.

    Attributes:
        evidence: What was compared with what, one sentence each.
    """

    __pydantic_config__ = STRICT
    artifact: str
    target: str
    culprit: Culprit
    evidence: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One tensor inside an artifact, against the same tensor of the float32 file.

    Attributes:
        name: Of the tensor.
        sqnr_db: Signal to quantization noise; None where both are equal.
        max_abs: Largest difference.
    """

    __pydantic_config__ = STRICT
    name: str
    sqnr_db: float | None
    max_abs: float


@dataclass(frozen=True, kw_only=True)
class LayerReport:
    """An artifact layer by layer, on the runtime's built-in kernels.

    Attributes:
        artifact: File name.
        reference: The float32 file it is compared with.
        layers: In the order of execution, those that both files have.
        unmatched: Tensors of the float32 file that the artifact has not got under that name and shape.
        first_bad: The layer from which on the ratio stays more than 10 dB below every layer before; None without one.
        looking_changed: Largest difference between the output while all tensors are kept and the plain one; what is
            above 0 means that the layers tell of another computation than the one that apps run.
        reason: Why there is no comparison; empty where there is one.
    """

    __pydantic_config__ = STRICT
    artifact: str
    reference: str
    layers: tuple[Layer, ...] = ()
    unmatched: tuple[str, ...] = ()
    first_bad: str | None = None
    looking_changed: float = 0.0
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class VerifyResult:
    """The outcome of a verification; passed means that everything ran and every check passed.

    Attributes:
        checks: What decides.
        not_run: What was asked for and has no verdict.
        figures: What is reported beside the checks.
        worst: One golden sample of each artifact that ran.
        diagnoses: One of each artifact that failed, where it could be run at all.
        layers: Where it was asked for, one of each artifact that is not float32.
        notes: What a thorough verification could not test, with the reason, and how its controls did.
        declined: What a target is not made for, such as ONNX on a microcontroller's interpreter; it decides nothing.
        image_span: White minus black, the unit of what is said of an `image`.
    """

    __pydantic_config__ = STRICT
    schema_version: int = VERIFY_SCHEMA_VERSION
    passed: bool
    bundle: str
    environment: Environment
    checks: tuple[Check, ...]
    not_run: tuple[NotRun, ...] = ()
    figures: tuple[Measurement, ...] = ()
    worst: tuple[WorstInput, ...] = ()
    diagnoses: tuple[Diagnosis, ...] = ()
    layers: tuple[LayerReport, ...] = ()
    notes: tuple[str, ...] = ()
    declined: tuple[NotRun, ...] = ()
    image_span: float = 1.0

    def artifacts(self) -> tuple[str, ...]:
        """Returns the names of the artifacts that were checked, in order; a control is none."""
        names = dict.fromkeys(check.artifact for check in self.checks)
        return tuple(name for name in names if not name.startswith(CONTROL))
