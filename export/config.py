"""The configuration of an export: components, formats and precisions, checked before any work."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pocketvae.data.windows import WHOLE, Windowing
from pocketvae.errors import SpecError
from pocketvae.export.budgets import DEFAULT_BUDGET, Budget
from pocketvae.export.quantize.recipe import Recipe, recipe_name
from pocketvae.export.rewrites.names import AUTO, RewriteChoice
from pocketvae.export.tuning.ladder import Tune
from pocketvae.numerics.scoring import DEFAULT_FALSE_POSITIVE_RATE
from pocketvae.portability.chips import candidates, parse_chips
from pocketvae.processes.guard import machine_bytes
from pocketvae.spec import ArtifactSpec, Component, Format, ImageDtype, Precision, check_batches, unsupported_reason
from pocketvae.system import files, limits

# A generator comes after its decoder, which it needs.
_EVERY_VAE = (Component.ENCODER, Component.DECODER, Component.SAMPLER, Component.GENERATOR)

# Each costs a calibration and a quantization of every int8 artifact, and keeps its samples on disk meanwhile.
_MOST_SEEDS = 100


# Share of the machine's memory for each of two conversions; TensorFlow alone needs 0.5 GB, a large decoder several GB.
_MEMORY_SHARE = 0.4
# Of a conversion with no other beside it: what the other has not, and the exporting process itself needs little.
_MEMORY_SHARE_ALONE = 0.8
_LEAST_MEMORY_BYTES = 4_000_000_000
# A conversion that takes longer hangs, if its models are not larger: 12 M parameters.
_TIME_LIMIT_S, _LIMITED_BYTES = 600.0, 50_000_000


def default_memory_limit_bytes(*, alone: bool = False) -> int:
    """Returns two fifths of this machine's memory for each of two conversions, four for one; at least 4 GB."""
    return max(_LEAST_MEMORY_BYTES, int((_MEMORY_SHARE_ALONE if alone else _MEMORY_SHARE) * (machine_bytes() or 0)))


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """The artifacts to make and how to make them.

    Attributes:
        artifacts: Artifacts in the order in which they are made.
        batches: Batch sizes that every artifact supports, starting with 1.
        seed: Seed of calibration and golden latents.
        time_limit_s: Time limit for one conversion, which is then terminated and reported as failed; None for 600 s,
            and as much for every further 50 MB of the models.
        rewrites: Which exact rewrites may be used.
        whole: Whether an int8, int8_io or int16x8 file with a layer that computes in float counts as not made.
        skip_ruled_out: Whether an artifact that its format, its runtime or its budget rules out for this model is left
            out of the bundle with the reason, and does not count as not made.
        chips: What the export is for, by the names that `Chip.parse` reads: the forms of files are chosen for these.
        only_serving: Whether an artifact that serves none of the chips is left out of the bundle.
        tune: How much is tried to have every layer of an int8 artifact in integers, before some stay in float.
        memory_limit_bytes: Memory limit for one conversion, likewise; two run at a time, one per format. None for two
            fifths of the machine's memory; a conversion that needs more is then repeated with no other beside it.
        licence: Licence of the model, recorded in every file; may be empty.
        author: Author of the model, likewise.
        embedded_goldens: Whether golden pairs go into the files, so that each can be verified alone.
        budget: The error budget of quantization.
        calibration_seeds: Number of calibration sets that the plan of a quantized artifact is tested with; 1 for only
            its own.
        recipes: Quantization recipe by artifact, in place of a search.
        allow_batch_dependence: Whether the original's outputs may depend on what else is in the batch; it is then run
            one sample at a time. By default such an original is refused.
        false_positive_rate: The largest expected share of normal items that a scorer's threshold calls alarms.
        calibrate_scores: Source of normal items for that threshold; None means those that the run held out.
        scores_windowing: How its recordings are read and cut.
    """

    artifacts: tuple[ArtifactSpec, ...]
    batches: tuple[int, ...] = (1,)
    seed: int = 0
    time_limit_s: float | None = None
    rewrites: RewriteChoice = AUTO
    tune: Tune = Tune.FAST
    chips: tuple[str, ...] = ()
    only_serving: bool = False
    skip_ruled_out: bool = False
    whole: bool = False
    memory_limit_bytes: int | None = None
    licence: str = ""
    author: str = ""
    embedded_goldens: bool = True
    budget: Budget = DEFAULT_BUDGET
    calibration_seeds: int = 3
    recipes: Mapping[str, Recipe] = field(default_factory=dict)
    allow_batch_dependence: bool = False
    false_positive_rate: float = DEFAULT_FALSE_POSITIVE_RATE
    calibrate_scores: str | None = None
    scores_windowing: Windowing = WHOLE

    def limited_for(self, models: Iterable[Path]) -> ExportConfig:
        """Returns the configuration with a time limit, if it has none yet, for models that are files or folders."""
        if self.time_limit_s is not None:
            return self
        share = sum(map(files.size_bytes, models)) / _LIMITED_BYTES
        return replace(self, time_limit_s=min(_TIME_LIMIT_S * max(1.0, share), limits.LONGEST_TIME_LIMIT_S))

    @property
    def limit_s(self) -> float:
        """The time limit for one conversion, of small models where none was set."""
        return _TIME_LIMIT_S if self.time_limit_s is None else self.time_limit_s

    @property
    def memory_bytes(self) -> int:
        """The memory limit of each of two conversions."""
        return default_memory_limit_bytes() if self.memory_limit_bytes is None else self.memory_limit_bytes

    @property
    def memory_alone_bytes(self) -> int:
        """The memory limit of a conversion with no other beside it."""
        return default_memory_limit_bytes(alone=True) if self.memory_limit_bytes is None else self.memory_limit_bytes

    @property
    def is_long(self) -> bool:
        """Whether a conversion may take longer than that of a small model."""
        return self.limit_s > _TIME_LIMIT_S

    def __post_init__(self) -> None:
        if not self.artifacts:
            raise SpecError("at least one artifact must be requested")
        check_batches(self.batches)
        limits.check_number(self.seed, "--seed", least=0, most=2**31 - 1)
        limits.check_number(
            max(self.batches), "a batch size", most=limits.MOST_IN_BATCH, reason="a file keeps memory for its largest"
        )
        if self.time_limit_s is not None:
            limits.check_time_limit(self.time_limit_s, "time_limit_s")
        if self.memory_limit_bytes is not None and self.memory_limit_bytes <= 0:
            raise SpecError(f"memory_limit_bytes must be positive, got {self.memory_limit_bytes}")
        if not 0 < self.false_positive_rate < 1:
            raise SpecError(f"--false-positive-rate must be above 0 and below 1, got {self.false_positive_rate:g}")
        if not 1 <= self.calibration_seeds <= _MOST_SEEDS:
            raise SpecError(f"calibration seeds must be 1 to {_MOST_SEEDS}, got {self.calibration_seeds}")
        candidates(parse_chips(self.chips), self.artifacts)
        if self.whole and not any(artifact.precision.is_calibrated for artifact in self.artifacts):
            raise SpecError("whole is about int8, int8_io and int16x8 files, but none of them is to be exported")
        names = {recipe_name(artifact) for artifact in self.artifacts}
        for name in self.recipes:
            if name not in names:
                used = next((other for other in self.recipes if other in names), "")
                advice = f": pass the recipes of these alone, such as --recipe recipes/{used}.json" if used else ""
                raise SpecError(f"a recipe is for {name}, which is not one of the artifacts to export{advice}")

    @property
    def components(self) -> tuple[Component, ...]:
        """The requested components, without duplicates."""
        return tuple(dict.fromkeys(artifact.component for artifact in self.artifacts))

    @property
    def formats(self) -> tuple[Format, ...]:
        """The requested formats, without duplicates."""
        return tuple(dict.fromkeys(artifact.format for artifact in self.artifacts))


def plan_artifacts(
    components: Sequence[Component] | None = None,
    formats: Sequence[Format] | None = None,
    precisions: Sequence[Precision] | None = None,
    image_dtypes: Sequence[ImageDtype] | None = None,
) -> tuple[ArtifactSpec, ...]:
    """Returns all artifacts of a choice; None means all, which for components means those that every VAE has.

    A named precision must be supported by every named format; if no formats are named, each precision is made in the
    formats that support it. Images are float32 unless named; artifacts without an image are always made.

    Raises:
        SpecError: a named format does not support a named precision, or no artifact has a named precision.
    """
    check_combinations(formats, precisions)
    planned = tuple(
        ArtifactSpec(component=component, precision=precision, format=format, image_dtype=image_dtype)
        for component in tuple(components or _EVERY_VAE)
        for format in tuple(formats or Format)
        for precision in tuple(precisions or Precision)
        for image_dtype in _image_dtypes(component, image_dtypes)
        if unsupported_reason(format, precision, component, image_dtype) is None
    )
    if not planned and image_dtypes:
        raise SpecError(f"none of the requested artifacts has {' or '.join(image_dtypes)} images")
    if not planned:
        raise SpecError(_no_artifact(components or _EVERY_VAE, formats or [*Format], precisions or [*Precision]))
    for precision in precisions or ():
        # What was named is not left out without a word.
        if not any(artifact.precision is precision for artifact in planned):
            raise SpecError(_no_artifact(components or _EVERY_VAE, formats or [*Format], [precision], image_dtypes))
    return planned


def _image_dtypes(component: Component, asked: Sequence[ImageDtype] | None) -> tuple[ImageDtype, ...]:
    return tuple(asked) if asked and component.has_image else (ImageDtype.FLOAT32,)


def _no_artifact(
    components: Sequence[Component],
    formats: Sequence[Format],
    precisions: Sequence[Precision],
    image_dtypes: Sequence[ImageDtype] | None = None,
) -> str:
    reasons = {
        unsupported_reason(format, precision, component, image_dtype)
        for component in components
        for format in formats
        for precision in precisions
        for image_dtype in _image_dtypes(component, image_dtypes)
    }
    what = f"{' or '.join(components)} as {' or '.join(precisions)}"
    return f"there is no {what}: {'; '.join(sorted(filter(None, reasons)))}"


def check_combinations(formats: Sequence[Format] | None, precisions: Sequence[Precision] | None) -> None:
    """Checks that every named format supports every named precision.

    Raises:
        SpecError: one does not; the message says why.
    """
    for format in formats or ():
        for precision in precisions or ():
            reason = unsupported_reason(format, precision)
            if reason:
                raise SpecError(f"{format} does not support {precision}: {reason}")
