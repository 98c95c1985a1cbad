"""Messages between the benchmark and its workers: methods, parameters and results."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from pocketvae.benchmarks.latency.results import Execution, OperatorProfile
from pocketvae.errors import PocketVaeError
from pocketvae.keras.model_form import ModelForm
from pocketvae.spec import Component, Format
from pocketvae.vae_spec import VaeSpec


class Method(enum.StrEnum):
    """What a worker does.

    Attributes:
        LOAD: Takes `Load` and returns `Loaded`.
        MEASURE: Takes `Measure` and returns `Measured`.
        PACE: Takes `Pace` and returns `Measured`.
        EXAMINE: Takes `Examine` and returns `Examined`.
        FIND_PEAKS: Takes `FindPeaks` and returns `MachinePeaks`.
        COUNT_INSTRUCTIONS: Takes `CountInstructions` and returns how many; a worker under callgrind alone does.
    """

    LOAD = "load"
    MEASURE = "measure"
    PACE = "pace"
    EXAMINE = "examine"
    FIND_PEAKS = "find_peaks"
    COUNT_INSTRUCTIONS = "count_instructions"


class HandleLostError(PocketVaeError):
    """What is to be timed was opened in a process that has ended since."""


class OriginalCall(enum.StrEnum):
    """A way of calling a Keras model."""

    KERAS_CALL = "keras-call"
    TF_FUNCTION = "tf.function"
    XLA = "xla"
    KERAS_PREDICT = "keras-predict"


class OnnxCall(enum.StrEnum):
    """A way of calling an original that is an ONNX file."""

    ONNXRUNTIME = "onnxruntime"


@dataclass(frozen=True, kw_only=True)
class Load:
    """A request to open something that can be called.

    Attributes:
        path: The artifact, or the original's file or folder.
        handle: Its name in later requests, assigned by the host, since a new process does not know earlier ones.
        samples: Path of a `.npy` file for each input; its first samples are the input of every call.
        threads: Threads used by one call.
        batch: Samples per call.
        format: Format of an artifact; None for an original.
        original: How to call an original; None for an artifact.
        component: Component of an original.
        vae: Determines the head of an original decoder.
        form: Of a user-supplied original.
        first_calls: Calls to time one by one before the steady state.
        warmup_s: Time limit for them, and for the untimed calls after them.
    """

    path: str
    handle: int = 0
    samples: dict[str, str]
    threads: int
    batch: int = 1
    component: Component
    vae: VaeSpec
    format: Format | None = None
    original: OriginalCall | OnnxCall | None = None
    form: ModelForm | None = None
    first_calls: int = 50
    warmup_s: float = 0.5


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """The measurements of opening, and the number of calls per value."""

    load_s: float
    first_calls_s: tuple[float, ...]
    baseline_rss_bytes: int
    session_bytes: int | None
    loops: int
    call_s: float


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A request to time one more block: warm-up calls, then `count` values of `loops` calls each."""

    handle: int
    warmups: int
    loops: int
    count: int


@dataclass(frozen=True, kw_only=True)
class Pace:
    """A request to time `count` calls that start `calls_per_s` times per second."""

    handle: int
    calls_per_s: float
    count: int


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Seconds per call, the peak memory of the process so far, and the share of the time that it was running."""

    values_s: tuple[float, ...]
    peak_rss_bytes: int
    cpu_s: float
    elapsed_s: float


@dataclass(frozen=True, kw_only=True)
class Examine:
    """A request to report what runs an artifact and its work; with `profile`, also the time of its operators."""

    name: str
    load: Load
    profile: bool


@dataclass(frozen=True, kw_only=True)
class Work:
    """The work of one call with batch size 1, counted from the graph."""

    multiply_adds: int
    weight_bytes: int
    transfer_bytes: int


@dataclass(frozen=True, kw_only=True)
class Examined:
    """What runs an artifact and what it has to do."""

    execution: Execution
    work: Work
    profile: OperatorProfile | None = None


@dataclass(frozen=True, kw_only=True)
class FindPeaks:
    """A request to measure the machine's peaks."""

    threads: int


@dataclass(frozen=True, kw_only=True)
class CountInstructions:
    """Count the instructions of one call; callgrind writes its files to `folder`."""

    load: Load
    folder: str
