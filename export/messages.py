"""What the export pipeline and its conversion workers say to each other, one line of JSON each."""

from __future__ import annotations

from dataclasses import dataclass, field

from pocketvae.custom_code import NO_CUSTOM_CODE, CustomCode
from pocketvae.export.goldens import NoiseFloor
from pocketvae.export.rewrites.names import AUTO, RewriteChoice
from pocketvae.manifest import RewriteRecord, Stratum, Tolerance
from pocketvae.model_form import ModelForm
from pocketvae.spec import ArtifactSpec, Component, TensorSpec, VaeSpec


@dataclass(frozen=True, kw_only=True)
class PrepareJob:
    """Compute calibration samples, goldens and noise floors of all components."""

    components: tuple[Component, ...]


@dataclass(frozen=True, kw_only=True)
class ConvertJob:
    """Make one artifact and leave it in the working folder under its name."""

    artifact: ArtifactSpec
    tolerances: tuple[Tolerance, ...]


@dataclass(frozen=True, kw_only=True)
class Request:
    """One job; exactly one of the two is given."""

    prepare: PrepareJob | None = None
    convert: ConvertJob | None = None


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What a component's preparation found; the arrays lie in the working folder.

    Attributes:
        floor: Of the original.
        golden_strata: Kinds of golden inputs.
        calibration_strata: Kinds of calibration samples.
    """

    component: Component
    floor: NoiseFloor
    golden_strata: tuple[Stratum, ...]
    calibration_strata: tuple[Stratum, ...]


@dataclass(frozen=True, kw_only=True)
class Converted:
    """An artifact that was made."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    notes: tuple[str, ...]
    rewrites: tuple[RewriteRecord, ...]
    excess: float


@dataclass(frozen=True, kw_only=True)
class Reply:
    """The answer to one request; `error` says why there is no result."""

    prepared: tuple[Prepared, ...] | None = None
    converted: Converted | None = None
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class WorkerSetup:
    """What every worker of an export is told first.

    Attributes:
        vae: The interface of the model.
        seed: Of calibration and golden latents.
        models: Component to the path of its Keras model.
        reference: Path of the archive of reference images; empty where there are none.
        forms: How somebody's own models are called; empty for a run's.
        code: What of their own code may run.
        rewrites: Which may be used.
    """

    vae: VaeSpec
    seed: int
    models: dict[Component, str]
    reference: str
    forms: dict[Component, ModelForm] = field(default_factory=dict)
    code: CustomCode = NO_CUSTOM_CODE
    rewrites: RewriteChoice = AUTO
