"""What to export: components, formats and precisions, checked before any work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pocketvae.errors import SpecError
from pocketvae.spec import ArtifactSpec, Component, Format, Precision, unsupported_reason


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """The artifacts to make and how to make them.

    Attributes:
        artifacts: In the order in which they are made.
        seed: Of calibration and golden latents.
        time_limit_s: For one conversion; it is ended and reported as failed after that.
    """

    artifacts: tuple[ArtifactSpec, ...]
    seed: int = 0
    time_limit_s: float = 300.0

    def __post_init__(self) -> None:
        if not self.artifacts:
            raise SpecError("at least one artifact must be asked for")
        if self.time_limit_s <= 0:
            raise SpecError(f"time_limit_s must be positive, got {self.time_limit_s}")

    @property
    def formats(self) -> tuple[Format, ...]:
        """The formats asked for, each once."""
        return tuple(dict.fromkeys(artifact.format for artifact in self.artifacts))


def plan_artifacts(
    components: Sequence[Component] | None = None,
    formats: Sequence[Format] | None = None,
    precisions: Sequence[Precision] | None = None,
) -> tuple[ArtifactSpec, ...]:
    """Returns every artifact of a choice; None means all.

    A precision that was named must exist in every format that was named; where formats were left open, each precision
    is made in the formats that have it.

    Raises:
        SpecError: a named format has not got a named precision, with the reason.
    """
    chosen_formats = tuple(formats or Format)
    chosen_precisions = tuple(precisions or Precision)
    for format in chosen_formats:
        for precision in chosen_precisions:
            reason = unsupported_reason(format, precision)
            if reason and formats is not None and precisions is not None:
                raise SpecError(f"{format} has no {precision} artifacts: {reason}")
    return tuple(
        ArtifactSpec(component=component, precision=precision, format=format)
        for component in tuple(components or Component)
        for format in chosen_formats
        for precision in chosen_precisions
        if unsupported_reason(format, precision) is None
    )
