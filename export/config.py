"""What to export: components, formats and precisions, checked before any work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pocketvae.errors import SpecError
from pocketvae.export.quantize.budgets import DEFAULT_BUDGET, Budget
from pocketvae.export.quantize.recipe import Recipe, recipe_name
from pocketvae.export.rewrites.names import AUTO, RewriteChoice
from pocketvae.processes.guard import machine_bytes
from pocketvae.spec import ArtifactSpec, Component, Format, ImageDtype, Precision, check_batches, unsupported_reason

# A generator comes behind its decoder, so that the decoder is there when it is needed.
_EVERY_VAE = (Component.ENCODER, Component.DECODER, Component.SAMPLER, Component.GENERATOR)

# Each costs a calibration and a quantization of every int8 artifact, and holds its samples on disk meanwhile.
_MOST_SEEDS = 100


# Of the machine, for each of two conversions; but TensorFlow alone needs half a gigabyte, and a large decoder several.
_MEMORY_SHARE = 0.4
_LEAST_MEMORY_BYTES = 4_000_000_000


def default_memory_limit_bytes() -> int:
    """Returns two fifths of this machine's memory, and 4 GB at the least."""
    return max(_LEAST_MEMORY_BYTES, int(_MEMORY_SHARE * (machine_bytes() or 0)))


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """The artifacts to make and how to make them.

    Attributes:
        artifacts: In the order in which they are made.
        batches: Batch sizes that every artifact runs, the first one 1.
        seed: Of calibration and golden latents.
        time_limit_s: For one conversion; it is ended and reported as failed after that.
        rewrites: Which exact rewrites may be used.
        memory_limit_bytes: For one conversion in the same way; two run at a time, one per format.
        licence: Of the model, stated in every file; empty states nothing.
        author: The same of who made it.
        embedded_goldens: Whether golden pairs go into the files, so that each can be verified alone.
        budget: What quantization may cost.
        calibration_seeds: Sets of calibration samples that the plan of a quantized artifact is tried with; 1 for the
            artifact's own alone.
        recipes: Artifact to how it is quantized, in place of a search.
    """

    artifacts: tuple[ArtifactSpec, ...]
    batches: tuple[int, ...] = (1,)
    seed: int = 0
    time_limit_s: float = 300.0
    rewrites: RewriteChoice = AUTO
    memory_limit_bytes: int = field(default_factory=default_memory_limit_bytes)
    licence: str = ""
    author: str = ""
    embedded_goldens: bool = True
    budget: Budget = DEFAULT_BUDGET
    calibration_seeds: int = 3
    recipes: Mapping[str, Recipe] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.artifacts:
            raise SpecError("at least one artifact must be asked for")
        check_batches(self.batches)
        if self.time_limit_s <= 0:
            raise SpecError(f"time_limit_s must be positive, got {self.time_limit_s}")
        if self.memory_limit_bytes <= 0:
            raise SpecError(f"memory_limit_bytes must be positive, got {self.memory_limit_bytes}")
        if not 1 <= self.calibration_seeds <= _MOST_SEEDS:
            raise SpecError(f"calibration seeds must be 1 to {_MOST_SEEDS}, got {self.calibration_seeds}")
        names = {recipe_name(artifact) for artifact in self.artifacts}
        for name in self.recipes:
            if name not in names:
                raise SpecError(f"a recipe is for {name}, which is not among the artifacts to make")

    @property
    def components(self) -> tuple[Component, ...]:
        """The components asked for, each once."""
        return tuple(dict.fromkeys(artifact.component for artifact in self.artifacts))

    @property
    def formats(self) -> tuple[Format, ...]:
        """The formats asked for, each once."""
        return tuple(dict.fromkeys(artifact.format for artifact in self.artifacts))


def plan_artifacts(
    components: Sequence[Component] | None = None,
    formats: Sequence[Format] | None = None,
    precisions: Sequence[Precision] | None = None,
    image_dtypes: Sequence[ImageDtype] | None = None,
) -> tuple[ArtifactSpec, ...]:
    """Returns every artifact of a choice; None means all, which for components is what every VAE has.

    A precision that was named must exist in every format that was named; where formats were left open, each precision
    is made in the formats that have it. Images are float32 unless named; what has no image is made in any case.

    Raises:
        SpecError: a named format has not got a named precision, with the reason.
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
        raise SpecError(f"none of the artifacts asked for has {' or '.join(image_dtypes)} images")
    return planned


def _image_dtypes(component: Component, asked: Sequence[ImageDtype] | None) -> tuple[ImageDtype, ...]:
    return tuple(asked) if asked and component.has_image else (ImageDtype.FLOAT32,)


def check_combinations(formats: Sequence[Format] | None, precisions: Sequence[Precision] | None) -> None:
    """Refuses a choice in which a format that was named has not got a precision that was named.

    Raises:
        SpecError: with the reason.
    """
    for format in formats or ():
        for precision in precisions or ():
            reason = unsupported_reason(format, precision)
            if reason:
                raise SpecError(f"{format} does not support {precision}: {reason}")
