"""What an export for chips tried on each, and which artifacts serve it."""

from __future__ import annotations

from dataclasses import dataclass, field

from pocketvae.spec import STRICT


@dataclass(frozen=True, kw_only=True)
class ChipTrial:
    """One artifact on one chip.

    Attributes:
        artifact: File name; the bundle lacks the file where it serves no chip of the export.
        serves: Whether the chip takes it whole and it stays within its limits there.
        reason: Why, as text.
        figures: What the chip's compiler said, such as `estimated_cycles`, `estimated_s` and `npu_share`.
    """

    __pydantic_config__ = STRICT
    artifact: str
    serves: bool
    reason: str
    figures: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ChipRecord:
    """One chip that the export was for.

    Attributes:
        name: As given to `--for`.
        decided_by: The compiler, simulator or runtime that decided, with its version.
        trials: Every artifact that was made and could be for it.
    """

    __pydantic_config__ = STRICT
    name: str
    decided_by: str
    trials: tuple[ChipTrial, ...]

    @property
    def artifacts(self) -> tuple[str, ...]:
        """The artifacts that serve it."""
        return tuple(trial.artifact for trial in self.trials if trial.serves)

    def lines(self) -> tuple[str, ...]:
        """Returns a line for each artifact that was tried, for people."""
        return tuple(
            f"{'' if trial.serves else 'not '}for {self.name}: {trial.artifact}: {trial.reason}"
            for trial in sorted(self.trials, key=lambda trial: not trial.serves)
        )
