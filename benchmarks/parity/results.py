"""The document behind `verify --json`; that of bench is in `latency/results.py`."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, field
from typing import ClassVar

from pocketvae.benchmarks.devices import Fleet
from pocketvae.benchmarks.not_run import NotRun
from pocketvae.integer_share import IntegerShare
from pocketvae.lazy_names import Shown
from pocketvae.outputs import Output
from pocketvae.spec import STRICT, Format
from pocketvae.system.environment import Environment
from pocketvae.vae_spec import DATA_OUTPUTS, DataKind

# 2 added figures, worst inputs, diagnoses, layers and what a target does not support.
VERIFY_SCHEMA_VERSION = 2
# Prefix of the name of a file that must fail; its checks pass if it does.
CONTROL = "control."
# The ratio of a layer whose difference is not finite: lower than that of any numbers.
NOT_FINITE_DB = -9999.0
# The metric of the check whether a file has the bytes, or the model, that export recorded.
CONTENT = "content"


class Verdict(enum.StrEnum):
    """What a verification says, in every form that it is written in.

    PASSED: everything ran, and every check passed. FAILED: a check failed. INCOMPLETE: none failed, but something could
    not be run, such as on a device that was lost.
    """

    PASSED = "pass"
    FAILED = "FAIL"
    INCOMPLETE = "incomplete"


def verdict_of(*, failed: bool, complete: bool) -> Verdict:
    """Returns the verdict on what failed, or what is not complete."""
    if failed:
        return Verdict.FAILED
    return Verdict.PASSED if complete else Verdict.INCOMPLETE


@dataclass(frozen=True, kw_only=True)
class Check:
    """One check of one artifact.

    Attributes:
        artifact: File name.
        target: Where the artifact ran.
        output: The output that is checked; empty for the artifact as a whole.
        metric: A name of `pocketvae.numerics.metrics`, or `loads`, `interface`, `finite`, `range`.
        value: The measured value; None if it is not a finite number.
        limit: Largest value that passes; None for checks without a number.
        limit_source: Where the limit comes from.
        passed: The verdict.
        batch: Samples per call.
        detail: What was wrong, as text.
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
class Measurement:
    """A number that is reported but does not affect the verdict.

    Attributes:
        stratum: The kind of golden samples; empty for all.
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
class Remark:
    """What a target's tools said of an artifact: an estimate of its time, or operators left on the CPU.

    Attributes:
        text: A sentence.
    """

    __pydantic_config__ = STRICT
    artifact: str
    target: str
    text: str


@dataclass(frozen=True, kw_only=True)
class WorstInput:
    """The golden sample on which an artifact is farthest from the original.

    Attributes:
        index: Index of the sample in the component's goldens.
        stratum: The kind of sample.
        metric: The metric that is largest there: `max_abs` of `output`, or the posterior's `kl_max`.
        value: Its value; None if it is not finite.
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
    """What is to blame for a failed check.

    CONVERSION: the file computes something different from the original, with every kernel. QUANTIZATION: the float
    file of the same component and format is right. KERNEL: the runtime's other kernels are right. TARGET: the same
    file is right on this machine. PREPROCESSING: the file is right if an image is scaled or laid out differently.
    GOLDEN: all files agree with one another but not with the goldens. FILE: it is the file of another artifact or of
    another model. UNKNOWN: none of these.
    """

    CONVERSION = "conversion"
    QUANTIZATION = "quantization"
    KERNEL = "kernel"
    TARGET = "target"
    PREPROCESSING = "preprocessing"
    GOLDEN = "golden"
    FILE = "file"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """Why an artifact failed.

    Attributes:
        evidence: What was compared, one sentence each.
    """

    __pydantic_config__ = STRICT
    artifact: str
    target: str
    culprit: Culprit
    evidence: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One tensor inside an artifact, compared with the same tensor of the float32 file.

    Attributes:
        name: Name of the tensor.
        sqnr_db: Signal-to-quantization-noise ratio; None if both are equal, -9999 if the difference is not finite.
        max_abs: Largest difference; None if it is not finite.
    """

    __pydantic_config__ = STRICT
    name: str
    sqnr_db: float | None
    max_abs: float | None


@dataclass(frozen=True, kw_only=True)
class LayerReport:
    """An artifact layer by layer, on the runtime's built-in kernels.

    Attributes:
        artifact: File name.
        reference: The float32 file it is compared with.
        layers: The layers that both files have, in the order of execution.
        unmatched: Tensors of the float32 file for which the artifact has no tensor of that name and shape.
        first_bad: The first layer from which on the ratio stays more than 10 dB below all earlier layers, or None.
        looking_changed: Largest difference between the output when all tensors are kept and the plain output; a value
            above 0 means that the layers show a different computation from the one that apps run. None if it is not
            finite.
        reason: Why there is no comparison; empty if there is one.
    """

    __pydantic_config__ = STRICT
    artifact: str
    reference: str
    layers: tuple[Layer, ...] = ()
    unmatched: tuple[str, ...] = ()
    first_bad: str | None = None
    looking_changed: float | None = 0.0
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class VerifyResult(Shown):
    """The outcome of a verification; passed means that everything ran and every check passed.

    Attributes:
        verdict: Why it did not pass; it follows from `passed` and the checks, whatever is given.
        checks: The checks that decide the verdict.
        not_run: What was requested but has no verdict.
        figures: Figures reported in addition to the checks; those that are not finite are left out, whatever is given.
        worst: The worst golden sample of each artifact that ran.
        diagnoses: One for each artifact that failed, if it could be run at all.
        layers: If requested, one for each artifact that is not float32.
        notes: What a thorough verification could not test, with the reason, and the results of its controls; of a
            fleet, whose worst inputs could not be written.
        declined: What a target does not support, such as ONNX on a microcontroller; it does not affect the verdict.
        image_span: White minus black, the unit of figures of an `image`.
        remarks: What the tools of targets said of artifacts.
        integers: How much of each file computes in integers, as its bundle records it.
        more_outputs: What decoders return beside the data, each in its own unit.
        fleet: The devices that are the targets of the checks, where it ran on a fleet.
    """

    SHOWN_BY: ClassVar[str] = "pocketvae.benchmarks.parity.notebook:verify_html"
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
    remarks: tuple[Remark, ...] = ()
    integers: dict[str, IntegerShare] = field(default_factory=dict)
    more_outputs: tuple[Output, ...] = ()
    fleet: Fleet | None = None
    verdict: Verdict = Verdict.INCOMPLETE

    def __post_init__(self) -> None:
        """Sets the verdict, which a copy with other checks must not keep, and leaves out figures that are not finite.

        JSON cannot hold them, and the check that fails with them must be written.
        """
        object.__setattr__(self, "figures", tuple(item for item in self.figures if math.isfinite(item.value)))
        failed = any(not check.passed for check in self.checks)
        object.__setattr__(self, "verdict", verdict_of(failed=failed, complete=self.passed))

    def unit_of(self, output: str) -> Output | None:
        """Returns an output of a decoder, whose range is the unit of its deviations; None of others."""
        if output in DATA_OUTPUTS:
            return Output(name=output, data=DataKind(output), shape=(), data_range=(0.0, self.image_span))
        return next((item for item in self.more_outputs if item.name == output), None)

    def artifacts(self) -> tuple[str, ...]:
        """Returns the names of the artifacts that were checked, in order, without controls."""
        names = dict.fromkeys(check.artifact for check in self.checks)
        return tuple(name for name in names if not (name.startswith(CONTROL) or self.is_other_file(name)))

    def is_other_file(self, name: str) -> bool:
        """Whether a name among the checks is that of a damaged file of the bundle that is not an artifact."""
        # Artifacts lie at the top of a bundle; what was compiled of them ends like them.
        return ("/" in name or name.rsplit(".", 1)[-1] not in tuple(Format)) and all(
            check.metric == CONTENT for check in self.checks if check.artifact == name
        )
