"""The document behind `pocketvae matrix --json`."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

from pocketvae.spec import STRICT
from pocketvae.system.environment import Environment

MATRIX_SCHEMA_VERSION = 1


class CellState(enum.StrEnum):
    """What became of an artifact on a target.

    EQUAL: the same bits as on this machine. WITHIN: other bits, within every limit. FAILED: a check failed. NOT_RUN:
    the target could not run it. LEFT_OUT: the target is not made for it.
    """

    EQUAL = "equal"
    WITHIN = "within"
    FAILED = "failed"
    NOT_RUN = "not_run"
    LEFT_OUT = "left_out"


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One artifact on one target.

    Attributes:
        artifact: File name.
        target: Where it ran.
        state: What became of it.
        size_bytes: Of the file; 0 in documents of older versions.
        kernels: Of this machine, with which it is compared.
        max_abs: The largest deviation from this machine, over all golden inputs and outputs; None where it did not run.
        equal_share: Of the values, how many are the same bits.
        limit: The largest `max_abs` that passes; None for quantized files, whose kernels may round in other ways.
        limit_source: Where the limit comes from.
        detail: What was wrong, or why it did not run.
        figures: What the target measured or estimated beside the outputs, for example `arena_bytes`; what is not finite
            is left out, whatever is given.
        remarks: What the target's tools said of it: an estimate of its time, or operators left on a CPU.
    """

    __pydantic_config__ = STRICT
    artifact: str
    target: str
    state: CellState
    size_bytes: int = 0
    kernels: str = ""
    max_abs: float | None = None
    equal_share: float | None = None
    limit: float | None = None
    limit_source: str = ""
    detail: str = ""
    figures: dict[str, float]
    remarks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Leaves out figures that are not finite: JSON cannot hold them, and the cell that failed must be written."""
        finite = {name: value for name, value in self.figures.items() if math.isfinite(value)}
        object.__setattr__(self, "figures", finite)


@dataclass(frozen=True, kw_only=True)
class TargetRecord:
    """One target.

    Attributes:
        name: As given to `--targets`.
        summary: Short description.
        facts: Environment there: versions, processor, adapter.
        problem: Why it could not be used, or could not make images for the contact sheet; otherwise empty.
    """

    __pydantic_config__ = STRICT
    name: str
    summary: str
    facts: dict[str, str]
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class MatrixResult:
    """Every artifact on every target.

    Attributes:
        passed: Whether every target could be used, everything that they support ran, which is something, and no cell
            failed.
        seed: Seed of the contact sheet, which shows images 0 and up of its stream.
    """

    __pydantic_config__ = STRICT
    schema_version: int = MATRIX_SCHEMA_VERSION
    passed: bool
    bundle: str
    environment: Environment
    seed: int
    targets: tuple[TargetRecord, ...]
    cells: tuple[Cell, ...]

    def cell(self, artifact: str, target: str) -> Cell | None:
        """Returns one cell; None if the export could not make the artifact."""
        return next((cell for cell in self.cells if (cell.artifact, cell.target) == (artifact, target)), None)

    def idle(self) -> tuple[str, ...]:
        """Returns the targets on which nothing ran: those that could not be used, and those that support nothing."""
        busy = {cell.target for cell in self.cells if cell.state not in (CellState.NOT_RUN, CellState.LEFT_OUT)}
        return tuple(record.name for record in self.targets if record.name not in busy)

    def artifacts(self) -> tuple[str, ...]:
        """Returns the artifacts, in order."""
        return tuple(dict.fromkeys(cell.artifact for cell in self.cells))
