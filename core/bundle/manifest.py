"""The manifest of a bundle: its content, its origin and its tolerances.

Pure data. Reading a bundle from disk is `pocketvae.bundle.bundle`; writing one is the export room's pipeline.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from pocketvae.bundle.chips import ChipRecord
from pocketvae.bundle.quantization import SearchRecord
from pocketvae.bundle.upgrades import with_channels, with_conditions, with_more_outputs, with_named_latents
from pocketvae.errors import ManifestError, did_you_mean
from pocketvae.integer_share import IntegerShare
from pocketvae.keras.model_form import ModelForm
from pocketvae.layer_precision import LayerPrecision
from pocketvae.numerics.scoring import Scoring
from pocketvae.numerics.tolerance import Tolerance
from pocketvae.parsing import quoted
from pocketvae.portability.records import Portability, Requirement
from pocketvae.spec import STRICT, ArtifactSpec, Component, Format, ImageDtype, Precision, TensorSpec, check_batches
from pocketvae.system.files import is_inside, sha256_bytes
from pocketvae.vae_spec import VaeSpec

MANIFEST_NAME = "manifest.json"
# 2: `budget_share` and `budget_share_alone` are called `error_ratio` and `error_ratio_alone`.
# 3: the VAE names its kind of data and its latents.
# 4: the VAE names its conditions.
# 5: the VAE names its channels.
SCHEMA_VERSION = 6


@dataclass(frozen=True, kw_only=True)
class FileRecord:
    """One file of the bundle.

    Attributes:
        path: Relative to the bundle, forward slashes, inside it.
        sha256: SHA-256 of the content, hexadecimal.
        size_bytes: Size of the content.
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
        name: Name of the rewrite.
        form: How its result is laid out; `only` if there is only one way.
        places: Number of places in the graph that it changes.
        kept: Whether the artifact has it.
        reason: Why it was kept or dropped.
        max_difference: Largest difference from the graph without it, both in float, on the goldens; None if not finite.
        before_latency_s: Latency of one call with the rewrites kept before, with 1 thread.
        after_latency_s: The same with this rewrite added.
        speedup: Ratio of the two, from rounds of both.
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
        inputs: Inputs in the order of the original model, for batch size 1.
        outputs: Outputs in the order of the original model, for batch size 1.
        batches: Batch sizes that the file supports, starting with 1. A TFLite file has one signature for each; an ONNX
            file with more than one has a symbolic dimension `batch`.
        tolerances: The tolerances that verify applies.
        notes: Notes for the model card, such as layers kept in float and rewrites.
        rewrites: Rewrites that were tried.
        requires: The oldest runtime that loads it.
        portability: How much of it each accelerator supports.
        layers: The precision of each layer with weights, read from the file.
        integers: How much of it computes in integers, read from the file; None in bundles of older versions.
        search: How its quantization was found; None without a search.
        scoring: How a scorer decides; None for other components.
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
    integers: IntegerShare | None = None
    search: SearchRecord | None = None
    scoring: Scoring | None = None

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
class CompiledRecord:
    """A file that a chip's compiler made of an artifact, for apps on that chip.

    Attributes:
        artifact: File name of what it was made from.
        chip: The chip, as given to `--compile`.
        compiler: What made it, with its version.
        source_sha256: SHA-256 of the artifact.
        file: The compiled file.
    """

    __pydantic_config__ = STRICT
    artifact: str
    chip: str
    compiler: str
    source_sha256: str
    file: FileRecord


@dataclass(frozen=True, kw_only=True)
class FailureRecord:
    """An artifact that was requested but could not be made."""

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
        inputs: A `.npy` file for each input, `[N, ...] float32`. A scorer whose `window` is in the unit of the user's
            data has `x` too, the same in units of the model, which scorers of integers take.
        outputs: A `.npy` file for each output, `[N, ...] float32`.
        strata: Kinds of samples, in order, covering all N.
        observed: For a decoder, the images that its first M latents were drawn for: `x`, a `.npy` file
            `[M, H, W, C] uint8`, 0 and 1 under a Bernoulli likelihood, and for a discretized logistic `log_scale` of
            the original. Empty if there were no images, or their likelihood is unknown. For a scorer `anomalous`, a
            `.npy` file `[N] bool`: which samples are anomalies.
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
        seed: Seed of the generator that drew the latents.
        latents: Kinds of latents in the order they were used.
        image_count: Number of images that the encoder was calibrated with.
        sha256: SHA-256 of all calibration samples, hexadecimal.
        seed_count: Number of calibration sets that the plans of quantized artifacts were tested with.
        coverage: Share of values within the range of the calibration latents, for each kind of golden latents.
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
        name: Name of the model, which is also the bundle's name in reports.
        vae: The interface of the model.
        failures: What was asked for but could not be made.
        left_out: What was not asked for by name, and the format, its runtime or the budget rules out for the model.
        compiled: Files that compilers of chips made of artifacts.
        chips: What the export was for, what was tried on each chip, and which artifacts serve it.
        original: The Keras model of each component that the artifacts were made from, kept for benchmarks.
        forms: Forms of user-supplied originals; empty for a run, whose models are called like artifacts.
        training: What the run reported, for example `test_negative_elbo_nats`; empty for user-supplied models.
        config: The run's training configuration, as plain JSON values; empty for user-supplied models, older bundles.
        provenance: Facts about the run as text: data, preset, seed.
        licence: Licence of the model as stated at export; may be empty.
        author: Author as stated at export; may be empty.
        versions: Versions of the packages that made the artifacts.
    """

    __pydantic_config__ = STRICT
    UPGRADES: ClassVar = {
        1: _renamed_ratios,
        2: with_named_latents,
        3: with_conditions,
        4: with_channels,
        5: with_more_outputs,
    }
    schema_version: int = SCHEMA_VERSION
    name: str
    vae: VaeSpec
    artifacts: tuple[ArtifactRecord, ...]
    failures: tuple[FailureRecord, ...] = ()
    left_out: tuple[FailureRecord, ...] = ()
    chips: tuple[ChipRecord, ...] = ()
    compiled: tuple[CompiledRecord, ...] = ()
    goldens: tuple[GoldenRecord, ...]
    calibration: CalibrationRecord
    original: dict[Component, FileRecord]
    forms: dict[Component, ModelForm] = field(default_factory=dict)
    documents: tuple[FileRecord, ...] = ()
    training: dict[str, float] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
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
        compiled = [item.file for item in self.compiled]
        return (*artifacts, *goldens, *self.original.values(), *self.documents, *compiled)

    def artifact(self, name: str) -> ArtifactRecord:
        """Returns one artifact by its file name.

        Raises:
            ManifestError: the bundle does not have it; the message says which it has.
        """
        for artifact in self.artifacts:
            if artifact.name == name:
                return artifact
        known = [artifact.name for artifact in self.artifacts]
        hint = did_you_mean(name, known)
        raise ManifestError(f"the bundle has no artifact {quoted(name)}: {hint}it has {', '.join(known) or 'none'}")

    def compiled_for(self, artifact: ArtifactRecord, chip: str) -> CompiledRecord | None:
        """Returns what was compiled of an artifact, as it is now, for a chip; None if nothing was."""
        for item in self.compiled:
            if (item.artifact, item.chip, item.source_sha256) == (artifact.name, chip, artifact.file.sha256):
                return item
        return None

    def golden(self, component: Component) -> GoldenRecord:
        """Returns the goldens of one component.

        Raises:
            ManifestError: there are none.
        """
        for golden in self.goldens:
            if golden.component == component:
                return golden
        raise ManifestError(f"the bundle has no goldens for the {component}")
