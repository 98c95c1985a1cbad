"""Messages between the export pipeline and its conversion workers: methods, parameters and results."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from pocketvae.bundle.manifest import ArtifactRecord, Stratum
from pocketvae.export.budgets import LimitRules
from pocketvae.export.embed.embedding import Statement
from pocketvae.export.original.goldens import NoiseFloor
from pocketvae.export.quantize.recipe import Recipe
from pocketvae.export.rewrites.names import AUTO, RewriteChoice
from pocketvae.export.tuning.ladder import Tune
from pocketvae.keras.custom_code import NO_CUSTOM_CODE, CustomCode
from pocketvae.keras.model_form import ModelForm
from pocketvae.numerics.scoring import DEFAULT_FALSE_POSITIVE_RATE
from pocketvae.spec import ArtifactSpec, Component
from pocketvae.vae_spec import VaeSpec


class Method(enum.StrEnum):
    """What a worker does.

    Attributes:
        LOAD: Takes `LoadJob` and returns nothing.
        PREPARE: Takes `PrepareJob` and returns one `Prepared` for each component.
        SPREAD: Takes `SpreadJob` and returns one `Spread` for each component.
        COUPLING: Takes `CouplingJob` and returns one `Coupling` for each component.
        CONVERT: Takes `ConvertJob` and returns `Converted`.
        FRONT: Takes `FrontJob` and returns `Front`.
    """

    LOAD = "load"
    PREPARE = "prepare"
    SPREAD = "spread"
    COUPLING = "coupling"
    CONVERT = "convert"
    FRONT = "front"


@dataclass(frozen=True, kw_only=True)
class PrepareJob:
    """A job: compute calibration samples, goldens and noise floors of all components."""

    components: tuple[Component, ...]


@dataclass(frozen=True, kw_only=True)
class ConvertJob:
    """A job: make one artifact and put it into the working folder under its name.

    Attributes:
        artifact: The artifact to make.
        rules: What it is held to.
        batches: Batch sizes that it must support.
        golden_strata: Kinds of golden inputs.
        time_limit_s: After which the worker is ended: searches end before that.
    """

    artifact: ArtifactSpec
    rules: LimitRules
    batches: tuple[int, ...]
    golden_strata: tuple[Stratum, ...]
    time_limit_s: float


@dataclass(frozen=True, kw_only=True)
class FrontJob:
    """A job: convert the first layers of an artifact's graph, to see whether the converter survives them.

    Attributes:
        artifact: An artifact that is made of one network.
        count: How many layers; 0 to convert nothing.
    """

    artifact: ArtifactSpec
    count: int


@dataclass(frozen=True, kw_only=True)
class Front:
    """The layers of an artifact's graph, in order of execution."""

    layers: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class LoadJob:
    """A job: load the models of these components, so that the next job does not have to wait."""

    components: tuple[Component, ...]


@dataclass(frozen=True, kw_only=True)
class SpreadJob:
    """A job: run the originals of these components, prepared before, in this process's way.

    Attributes:
        way: Description of how this process runs them.
    """

    components: tuple[Component, ...]
    way: str


@dataclass(frozen=True, kw_only=True)
class CouplingJob:
    """A job: find the layers of these components, prepared before, that make a sample depend on the others."""

    components: tuple[Component, ...]


@dataclass(frozen=True, kw_only=True)
class Coupling:
    """The first layer of a component where a sample's values depend on the rest of its batch, or on chance.

    Attributes:
        layer: As text; empty if there is none, or if the component cannot be traced for any batch size.
    """

    component: Component
    layer: str


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """The result of preparing a component; the arrays are in the working folder.

    Attributes:
        floor: Noise floor of the original.
        golden_strata: Kinds of golden inputs.
        calibration_strata: Kinds of calibration samples.
        observed_values: Values of one image that golden latents were drawn for; 0 if there is none.
        coupling: Where a sample depends on the rest of its batch, if that was allowed.
        floor_of: The component whose noise floor is this one's too: of a costly generator, whose network is the
            decoder. What `floor` says then are its ranges.
    """

    component: Component
    floor: NoiseFloor
    golden_strata: tuple[Stratum, ...]
    calibration_strata: tuple[Stratum, ...]
    observed_values: int = 0
    coupling: str = ""
    floor_of: Component | None = None


@dataclass(frozen=True, kw_only=True)
class Converted:
    """An artifact that was made and lies in the working folder.

    Attributes:
        record: What the manifest says of it.
        error_ratio: Largest ratio of an error on the goldens to its limit.
        recipe: What makes it again, where its quantization was searched for.
        makings: SHA-256 by relative path of what it and others are made from, in the working folder.
    """

    record: ArtifactRecord
    error_ratio: float
    recipe: Recipe | None = None
    makings: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Spread:
    """How far one component of the original is from its goldens: way of running to output to largest difference."""

    component: Component
    ways: dict[str, dict[str, float]]


@dataclass(frozen=True, kw_only=True)
class WorkerSetup:
    """The setup of every worker of an export.

    Attributes:
        vae: The interface of the model.
        statement: The metadata of every file.
        seed: Seed of calibration and golden latents.
        models: Path of the Keras model by component.
        calibration_seeds: Number of sets of calibration samples, the first of which is used for the artifacts.
        reference: Path of the archive of reference images; empty if there are none.
        forms: How user-supplied models are called; empty for a run's.
        code: Which custom code may run.
        rewrites: The rewrites that may be used.
        tune: How much is tried before layers stay in float.
        chips: What the export is for, by the names that `Chip.parse` reads.
        recipes: Quantization recipe by artifact, in place of a search; a generator's decoder follows the decoder's.
        one_by_one: Run the original on one sample at a time, since its outputs depend on what else is in the batch.
        false_positive_rate: The largest expected share of normal items that a scorer's threshold calls alarms.
    """

    vae: VaeSpec
    statement: Statement
    seed: int
    models: dict[Component, str]
    reference: str
    calibration_seeds: int = 1
    forms: dict[Component, ModelForm] = field(default_factory=dict)
    code: CustomCode = NO_CUSTOM_CODE
    rewrites: RewriteChoice = AUTO
    tune: Tune = Tune.FAST
    chips: tuple[str, ...] = ()
    recipes: dict[str, Recipe] = field(default_factory=dict)
    one_by_one: bool = False
    false_positive_rate: float = DEFAULT_FALSE_POSITIVE_RATE
