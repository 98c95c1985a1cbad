"""Messages to the program inside a target: its methods, their parameters and results.

A job says all that the program has to know of an artifact, so that it needs no manifest. The same messages go to Python
on an emulated or a distant machine, to Node and to a page in a browser. Inputs and outputs go beside them, as arrays.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from pocketvae.benchmarks.execution.running import Latency
from pocketvae.runtimes.base import Optimizations
from pocketvae.spec import Format, Precision, TensorSpec


class Method(enum.StrEnum):
    """What the program does.

    Attributes:
        FACTS: Says what runs there: versions, processor, adapter; by name.
        RUN: Takes a `Job` with inputs `[N, ...]`, runs the artifact on all of them and returns `Ran` with the outputs.
        TIME: Takes a `TimedJob` with inputs `[1, ...]` and returns `Timed`.
    """

    FACTS = "facts"
    RUN = "run"
    TIME = "time"


@dataclass(frozen=True, kw_only=True)
class Job:
    """Run one artifact.

    Attributes:
        artifact: File name.
        location: Where the program finds the file: a path, or an address on the page's own server.
        format: Of the file.
        precision: Of the artifact.
        inputs: What the file must take.
        outputs: What it must return.
        image_range: What pixels 0 and 255 stand for.
        accelerator: `cpu`, or `webgpu` where there is one.
        optimizations: Whether the runtime may replace operators by faster ones.
        threads: Inside one call.
        batch: Samples in one call.
    """

    artifact: str
    location: str
    format: Format
    precision: Precision
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    image_range: tuple[float, float]
    accelerator: str = "cpu"
    optimizations: Optimizations = Optimizations.ON
    threads: int = 1
    batch: int = 1


@dataclass(frozen=True, kw_only=True)
class TimedJob(Job):
    """Time one artifact.

    Attributes:
        timed_calls: How many calls to time; fewer, but at least 30, where they would take more than a minute.
    """

    timed_calls: int


@dataclass(frozen=True, kw_only=True)
class Port:
    """An input or output as a runtime describes it; `dtype` or `shape` is empty where it does not say."""

    name: str
    dtype: str = ""
    shape: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Ran:
    """What came of a job beside its outputs.

    Attributes:
        figures: Numbers that belong to the artifact, for example `arena_bytes`.
        inputs: As the runtime describes them; None where the program has compared them itself.
        outputs: As the runtime describes them.
    """

    figures: dict[str, float] = field(default_factory=dict)
    inputs: tuple[Port, ...] | None = None
    outputs: tuple[Port, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Timed:
    """What came of a job that was timed."""

    figures: dict[str, float] = field(default_factory=dict)
    latency: Latency
