"""What the benchmark and its workers say to each other, one line of JSON each."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from pocketvae.model_form import ModelForm
from pocketvae.spec import Component, Format, VaeSpec


class OriginalCall(enum.StrEnum):
    """A way of calling a Keras model."""

    KERAS_CALL = "keras-call"
    TF_FUNCTION = "tf.function"
    KERAS_PREDICT = "keras-predict"


@dataclass(frozen=True, kw_only=True)
class Load:
    """Open something that can be called.

    Attributes:
        path: The artifact, or the original's `.keras` or `.h5` file.
        samples: Input name to the path of a `.npy` file; the first samples of each are the input of every call.
        threads: Inside one call.
        batch: Samples in one call.
        format: Of an artifact; None for an original.
        original: How to call an original; None for an artifact.
        component: Of an original.
        vae: Tells which head an original decoder gets.
        form: Of somebody's own original.
    """

    path: str
    samples: dict[str, str]
    threads: int
    batch: int
    component: Component
    vae: VaeSpec
    format: Format | None = None
    original: OriginalCall | None = None
    form: ModelForm | None = None


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """What was measured while opening, and how many calls one value has to hold."""

    load_s: float
    first_s: float
    baseline_rss_bytes: int
    loops: int
    call_s: float


@dataclass(frozen=True, kw_only=True)
class Measure:
    """Time one more block: warm-up calls, then `count` values of `loops` calls each."""

    handle: int
    warmups: int
    loops: int
    count: int


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Seconds per call, and the largest memory of the process so far."""

    values_s: tuple[float, ...]
    peak_rss_bytes: int


@dataclass(frozen=True, kw_only=True)
class BenchRequest:
    """One request; exactly one of the two is given."""

    load: Load | None = None
    measure: Measure | None = None


@dataclass(frozen=True, kw_only=True)
class BenchReply:
    """The answer; `error` says why there is no result and `missing` that a package is."""

    loaded: Loaded | None = None
    measured: Measured | None = None
    error: str | None = None
    missing: bool = False
