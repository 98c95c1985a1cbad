"""What to export: components, formats and precisions, checked before any work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pocketvae.errors import SpecError
from pocketvae.spec import ArtifactSpec, Component, Format, Precision, unsupported_reason

# A generator comes behind its decoder, so that the decoder is there when it is needed.
_EVERY_VAE = (Component.ENCODER, Component.DECODER, Component.SAMPLER, Component.GENERATOR)


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """The artifacts to make and how to make them.

    Attributes:
        artifacts: In the order in which they are made.
        seed: Of calibration and golden latents.
        time_limit_s: For one conversion; it is ended and reported as failed after that.
        licence: Of the model, stated in every file; empty states nothing.
        author: The same of who made it.
        embedded_goldens: Whether golden pairs go into the files, so that each can be verified alone.
    """

    artifacts: tuple[ArtifactSpec, ...]
    seed: int = 0
    time_limit_s: float = 300.0
    licence: str = ""
    author: str = ""
    embedded_goldens: bool = True

    def __post_init__(self) -> None:
        if not self.artifacts:
            raise SpecError("at least one artifact must be asked for")
        if self.time_limit_s <= 0:
            raise SpecError(f"time_limit_s must be positive, got {self.time_limit_s}")

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
) -> tuple[ArtifactSpec, ...]:
    """Returns every artifact of a choice; None means all, which for components is what every VAE has.

    A precision that was named must exist in every format that was named; where formats were left open, each precision
    is made in the formats that have it.

    Raises:
        SpecError: a named format has not got a named precision, with the reason.
    """
    check_combinations(formats, precisions)
    return tuple(
        ArtifactSpec(component=component, precision=precision, format=format)
        for component in tuple(components or _EVERY_VAE)
        for format in tuple(formats or Format)
        for precision in tuple(precisions or Precision)
        if unsupported_reason(format, precision, component) is None
    )


def check_combinations(formats: Sequence[Format] | None, precisions: Sequence[Precision] | None) -> None:
    """Refuses a choice in which a format that was named has not got a precision that was named.

    Raises:
        SpecError: with the reason.
    """
    for format in formats or ():
        for precision in precisions or ():
            reason = unsupported_reason(format, precision)
            if reason:
                raise SpecError(f"{format} has no {precision} artifacts: {reason}")
