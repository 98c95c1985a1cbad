"""The record of a distillation, `distilled.json`: what was tried and chosen, and how far it is from its teacher."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from pocketvae.distil.config import DistilConfig
from pocketvae.distil.students import Student
from pocketvae.spec import STRICT

DISTILLED_NAME = "distilled.json"
SCHEMA_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A student as it was measured before training, by turns with the teacher's float32 file.

    With a chip they are int8 files compiled for it, and latencies are the estimate of its compiler.

    Attributes:
        multiply_adds: For one sample.
        size_bytes: Of its TFLite file.
        latency_us: Lower quartile of one call with one thread.
        teacher_us: The same of the teacher, in the same moments.
        excess: How many times as much as allowed it takes, by the target that it is furthest from.
        losses: Loss in nats or squared error after each short training, for those that were trained.
    """

    __pydantic_config__ = STRICT
    student: Student
    multiply_adds: int
    size_bytes: int
    latency_us: float
    teacher_us: float
    excess: float
    losses: tuple[float, ...] = ()

    @property
    def capacity(self) -> float:
        """What students are ranked by before any is trained: the geometric mean of multiply-adds and bytes.

        Convolutions use a weight many times and dense layers once; neither number alone orders both.
        """
        return math.sqrt(self.multiply_adds * self.size_bytes)

    @property
    def speedup(self) -> float:
        """How many times as fast as the teacher it was."""
        return self.teacher_us / self.latency_us

    def text(self) -> str:
        """Returns it as text with its figures."""
        return (
            f"{self.student.text()}: {self.latency_us:.1f} µs, {self.speedup:.2f} times as fast, "
            f"{self.size_bytes / 1000:.0f} kB"
        )


@dataclass(frozen=True, kw_only=True)
class Closeness:
    """How close the student's data are to the teacher's, for latents of one kind that training did not see.

    Attributes:
        kind: `prior`, `posterior` or `tails`.
        count: Latents.
        psnr_db: Peak signal-to-noise ratio; None where they are equal.
        p99_abs: 99th percentile of the differences of values.
        max_abs: Their maximum.
        kl_nats: KL divergence of the student's p(x|z) from the teacher's, the mean over items: what the ELBO would lose
            if the data were the teacher's. None where the likelihood does not say.
    """

    __pydantic_config__ = STRICT
    kind: str
    count: int
    psnr_db: float | None
    p99_abs: float
    max_abs: float
    kl_nats: float | None = None


@dataclass(frozen=True, kw_only=True)
class Loss:
    """What is lost against the teacher, and how much may be.

    Attributes:
        name: `ELBO` or `PSNR of reconstructions`, which is lost, or `PSNR to the teacher`, which is reached.
        unit: `nats` or `dB`.
        value: What is lost, negative where the student is better; or reached.
        limit: The budget; None where it is reported alone.
        is_least: Whether the limit is the least that passes.
        count: Items that it was measured on.
        source: Where these come from, as text.
    """

    __pydantic_config__ = STRICT
    name: str
    unit: str
    value: float
    limit: float | None
    is_least: bool = False
    count: int
    source: str

    @property
    def passed(self) -> bool:
        """Whether it is within the budget."""
        if self.limit is None:
            return True
        return self.value >= self.limit if self.is_least else self.value <= self.limit

    def text(self) -> str:
        """Returns what missed the budget as text."""
        if self.is_least:
            return f"{self.name} {self.value:.2f} {self.unit}, at least {self.limit:g} are asked for"
        return f"{self.name} loses {self.value:.2f} {self.unit}, the budget is {self.limit:g}"


@dataclass(frozen=True, kw_only=True)
class Distilled:
    """The document.

    Attributes:
        teacher: Path of the run or bundle, as it was given.
        teacher_name: Name of its preset or bundle.
        teacher_sha256: Of its decoder.
        teacher_file: Name of the float32 file that is the teacher.
        teacher_bytes: Size of the file that sizes and latencies are compared with: this one, or of int8 for a chip.
        teacher_multiply_adds: For one sample.
        data: Source of the items that were learned from too, as it was given; empty for none.
        config: How the student was found and trained.
        tried: All students that were measured, in the order in which they were.
        finalists: Those that were trained for a short time, the chosen one first.
        student: The chosen one.
        latency_us: Of the trained student's file, measured again.
        teacher_us: Of the teacher's, in the same moments.
        size_bytes: Of the trained student's file.
        excess: See `Candidate`, measured again.
        training_s: Seconds of training.
        final_loss: The mean of the last steps; None where choosing the student took all of them.
        closeness: By kind of latents.
        losses: What is lost against the teacher.
        failures: What was missed, as text; empty if all targets and budgets were met.
        command: What exports a student of a user-supplied model; empty of a run.
    """

    __pydantic_config__ = STRICT
    schema_version: int = SCHEMA_VERSION
    teacher: str
    teacher_name: str
    teacher_sha256: str
    teacher_file: str
    teacher_bytes: int
    teacher_multiply_adds: int
    data: str = ""
    config: DistilConfig
    tried: tuple[Candidate, ...]
    finalists: tuple[Candidate, ...]
    student: Student
    latency_us: float
    teacher_us: float
    size_bytes: int
    excess: float
    training_s: float
    final_loss: float | None
    closeness: tuple[Closeness, ...]
    losses: tuple[Loss, ...]
    failures: tuple[str, ...] = ()
    command: str = ""
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether all targets and budgets were met."""
        return not self.failures

    @property
    def speedup(self) -> float:
        """How many times as fast as the teacher the trained student's file is."""
        return self.teacher_us / self.latency_us
