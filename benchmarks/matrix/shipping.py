"""What to ship to each target, from the cells of the matrix."""

from __future__ import annotations

from pocketvae.benchmarks.matrix.results import Cell, CellState, MatrixResult
from pocketvae.benchmarks.shipping import Candidate, Choice, choose
from pocketvae.portability.chips import refused_by
from pocketvae.spec import ArtifactSpec, Component

_PASSED = (CellState.EQUAL, CellState.WITHIN)
_SHIPPED = (Component.DECODER, Component.ENCODER)


def shipping_table(result: MatrixResult) -> tuple[list[str], list[list[str]]]:
    """Returns headers and one row for each target and component that was run there."""
    rows = []
    for record in result.targets:
        for component in _SHIPPED:
            cells = _cells(result, record.name, component)
            if cells:
                choice = choose([_candidate(cell) for cell in cells if cell.state in _PASSED and _is_for_chip(cell)])
                row = _row(choice)
                if all(cell.state is CellState.NOT_RUN for cell in cells):
                    # The reason is long, and has its own line.
                    row[-1] = "No file could be run."
                rows.append([record.name, str(component), *row])
    return ["target", "component", "ship", "kB", "from this machine", "on the NPU", "time", "why"], rows


def _cells(result: MatrixResult, target: str, component: Component) -> list[Cell]:
    """Returns the cells of a component that a target runs or should run."""
    return [
        cell
        for cell in result.cells
        if cell.target == target
        and cell.state is not CellState.LEFT_OUT
        and ArtifactSpec.parse(cell.artifact).component is component
    ]


def _is_for_chip(cell: Cell) -> bool:
    return not refused_by(cell.target, ArtifactSpec.parse(cell.artifact))


def _candidate(cell: Cell) -> Candidate:
    estimate, measured = cell.figures.get("estimated_s"), cell.figures.get("measured_s")
    return Candidate(
        artifact=cell.artifact,
        size_bytes=cell.size_bytes,
        deviation="0" if cell.state is CellState.EQUAL else f"{cell.max_abs or 0:.1e}",
        npu_share=cell.figures.get("npu_share"),
        time_s=estimate if measured is None else measured,
        is_estimate=measured is None,
        cpu_operators=cell.figures.get("cpu_operators"),
    )


def _row(choice: Choice) -> list[str]:
    best = choice.candidate
    if best is None:
        return ["nothing", "", "", "", "", choice.why]
    share = "" if best.npu_share is None else f"{best.npu_share:.0%}"
    size = f"{best.size_bytes / 1e3:.0f}" if best.size_bytes else ""
    return [best.artifact, size, best.deviation, share, best.time, choice.why.rpartition(". ")[2]]
