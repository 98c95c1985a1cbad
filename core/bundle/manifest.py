"""The manifest of a bundle: what is in it, where it came from and how exact it has to be.

Pure data. Reading a bundle from disk is `pocketvae.bundle.bundle`; writing one is the export room's pipeline.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from pocketvae.bundle.quantization import SearchRecord
from pocketvae.errors import ManifestError
from pocketvae.keras.model_form import ModelForm
from pocketvae.layer_precision import LayerPrecision
from pocketvae.numerics.tolerance import Tolerance
from pocketvae.portability.records import Portability, Requirement
from pocketvae.spec import (
    STRICT,
    ArtifactSpec,
    Component,
    Format,
    ImageDtype,
    Precision,
    TensorSpec,
    VaeSpec,
    check_batches,
)
from pocketvae.system.files import is_inside, sha256_bytes

MANIFEST_NAME = "manifest.json"
# 2: `budget_share` and `budget_share_alone` are called `error_ratio` and `error_ratio_alone`.
SCHEMA_VERSION = 2


@dataclass(frozen=True, kw_only=True)
class FileRecord:
    """One file of the bundle.

    Attributes:
        path: Relative to the bundle, forward slashes, inside it.
        sha256: Of the content, hexadecimal.
        size_bytes: Of the content.
    """

    __pydantic_config__ = STRICT
    path: str
    sha256: str
    size_bytes: int

    def __post_init__(self) -> None:
        if not is_inside(self.path):
            raise ManifestError(f"a recorded path must stay inside the bundle, got {self.path!r}")

    @classmethod
    def of(cls, path: str, content: bytes) -> FileRecord:
        """Returns the record of a file with this content."""
        return cls(path=path, sha256=sha256_bytes(content), size_bytes=len(content))


@dataclass(frozen=True, kw_only=True)
class RewriteRecord:
    """An exact rewrite that was tried on an artifact's graph.

    Attributes:
        name: Of the rewrite.
        form: How its result is laid out; `only` where there is one way.
        places: How many places of the graph it changes.
        kept: Whether the artifact has it.
        reason: Why it was kept or dropped.
        max_difference: Largest difference to the graph without it, both in float, on the goldens; None if not finite.
        before_latency_s: Of one inference with what had been kept before, one thread.
        after_latency_s: The same with this rewrite too.
        speedup: The first by the second, in rounds of both.
        speedup_at_least: Its lower bound, 99 % confidence.
    """

    __pydantic_config__ = STRICT
    name: str
    form: str
    places: int
    kept: bool
    reason: str
    max_difference: float | None = None
    before_latency_s: float | None = None
    after_latency_s: float | None = None
    speedup: float | None = None
    speedup_at_least: float | None = None


@dataclass(frozen=True, kw_only=True)
class ArtifactRecord:
    """One exported file, its interface and its tolerances.

    Attributes:
        file: The exported file.
        image_dtype: How images are stored.
        inputs: In the order of the original model, for batch 1.
        outputs: In the order of the original model, for batch 1.
        batches: Batch sizes that the file runs, the first one 1. A TFLite file has one signature for each; an ONNX
            file with more than one has a symbolic dimension `batch`.
        tolerances: What verify holds it to.
        notes: What is special about it, for the model card: layers kept in float, rewrites.
        rewrites: Those that were tried.
        requires: The oldest runtime that loads it.
        portability: How much of it each accelerator takes.
        layers: The precision of each layer with weights, read from the file.
        search: How its quantization was found; None where it is not searched for.
    """

    __pydantic_config__ = STRICT
    component: Component
    precision: Precision
    format: Format
    image_dtype: ImageDtype = ImageDtype.FLOAT32
    file: FileRecord
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    batches: tuple[int, ...] = (1,)
    tolerances: tuple[Tolerance, ...]
    notes: tuple[str, ...] = ()
    rewrites: tuple[RewriteRecord, ...] = ()
    requires: Requirement | None = None
    portability: tuple[Portability, ...] = ()
    layers: tuple[LayerPrecision, ...] = ()
    search: SearchRecord | None = None

    def __post_init__(self) -> None:
        check_batches(self.batches)

    @property
    def spec(self) -> ArtifactSpec:
        """Component, precision, format and images together."""
        return ArtifactSpec(
            component=self.component, precision=self.precision, format=self.format, image_dtype=self.image_dtype
        )

    @property
    def name(self) -> str:
        """`COMPONENT.PRECISION.FORMAT` or `COMPONENT.PRECISION.uint8.FORMAT`."""
        return self.spec.filename


@dataclass(frozen=True, kw_only=True)
class FailureRecord:
    """An artifact that was asked for and could not be made."""

    __pydantic_config__ = STRICT
    artifact: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Stratum:
    """A contiguous range of golden samples of one kind, for example `prior` or `tails`."""

    __pydantic_config__ = STRICT
    name: str
    start: int
    count: int


@dataclass(frozen=True, kw_only=True)
class GoldenRecord:
    """Inputs of one component and the original model's outputs for them.

    Attributes:
        inputs: Input name to a `.npy` file, `[N, ...] float32`.
        outputs: Output name to a `.npy` file, `[N, ...] float32`.
        strata: Kinds of samples, in order, covering all N.
        observed: Of a decoder, the images that its first M latents were drawn for: `x`, a `.npy` file
            `[M, H, W, C] uint8`, 0 and 1 under a Bernoulli likelihood, and for a discretized logistic `log_scale` of
            the original. Empty where there were no images, or their likelihood is not known.
    """

    __pydantic_config__ = STRICT
    component: Component
    inputs: dict[str, FileRecord]
    outputs: dict[str, FileRecord]
    strata: tuple[Stratum, ...]
    observed: dict[str, FileRecord] = field(default_factory=dict)

    def files(self) -> tuple[FileRecord, ...]:
        """Returns every recorded file."""
        return (*self.inputs.values(), *self.outputs.values(), *self.observed.values())


@dataclass(frozen=True, kw_only=True)
class CalibrationRecord:
    """The samples that fixed the activation ranges of quantized artifacts.

    Attributes:
        seed: Of the generator that drew the latents.
        latents: Kinds of latents in the order they were used.
        image_count: Number of images that calibrated the encoder.
        sha256: Of all calibration samples, hexadecimal.
        seed_count: Sets of samples that the plans of quantized artifacts were tried with.
        coverage: Kind of golden latents to the share of their values within the range of the calibration latents.
    """

    __pydantic_config__ = STRICT
    seed: int
    latents: tuple[Stratum, ...]
    image_count: int
    sha256: str
    seed_count: int = 1
    coverage: dict[str, float] = field(default_factory=dict)


def _renamed_ratios(data: Any) -> Any:
    """Returns a part of a manifest of version 1 with the names of version 2."""
    if isinstance(data, dict):
        return {key.replace("budget_share", "error_ratio"): _renamed_ratios(value) for key, value in data.items()}
    return [_renamed_ratios(item) for item in data] if isinstance(data, list) else data


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A bundle's table of contents.

    Attributes:
        name: Of the model; names the bundle in reports.
        vae: The interface of the model.
        original: Component to the Keras model that the artifacts were made from, kept for benchmarks.
        forms: How to call the originals of somebody's own VAE; empty for a run's, which are called like artifacts.
        training: What the run reported, for example `test_negative_elbo_nats`; empty for other people's models.
        provenance: Facts about the run in words: data, preset, seed.
        licence: Of the model, as the exporter stated it; empty where nothing was stated.
        author: As stated.
        versions: Package name to the version that made the artifacts.
    """

    __pydantic_config__ = STRICT
    UPGRADES: ClassVar = {1: _renamed_ratios}
    schema_version: int = SCHEMA_VERSION
    name: str
    vae: VaeSpec
    artifacts: tuple[ArtifactRecord, ...]
    failures: tuple[FailureRecord, ...] = ()
    goldens: tuple[GoldenRecord, ...]
    calibration: CalibrationRecord
    original: dict[Component, FileRecord]
    forms: dict[Component, ModelForm] = field(default_factory=dict)
    documents: tuple[FileRecord, ...] = ()
    training: dict[str, float] = field(default_factory=dict)
    provenance: dict[str, str] = field(default_factory=dict)
    licence: str = ""
    author: str = ""
    versions: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = [artifact.name for artifact in self.artifacts]
        if len(set(names)) != len(names):
            raise ManifestError("an artifact is recorded twice")
        for artifact in self.artifacts:
            if artifact.file.path != artifact.name:
                raise ManifestError(f"artifact {artifact.name} is recorded with the file {artifact.file.path!r}")

    def files(self) -> tuple[FileRecord, ...]:
        """Returns every recorded file."""
        goldens = [file for golden in self.goldens for file in golden.files()]
        artifacts = [artifact.file for artifact in self.artifacts]
        return (*artifacts, *goldens, *self.original.values(), *self.documents)

    def artifact(self, name: str) -> ArtifactRecord:
        """Returns one artifact by its file name.

        Raises:
            ManifestError: the bundle has not got it; the message says which it has.
        """
        for artifact in self.artifacts:
            if artifact.name == name:
                return artifact
        known = ", ".join(artifact.name for artifact in self.artifacts) or "none"
        raise ManifestError(f"the bundle has no artifact {name!r}: it has {known}")

    def golden(self, component: Component) -> GoldenRecord:
        """Returns the goldens of one component.

        Raises:
            ManifestError: there are none.
        """
        for golden in self.goldens:
            if golden.component == component:
                return golden
        raise ManifestError(f"the bundle has no goldens for the {component}")
