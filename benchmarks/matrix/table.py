"""The matrix as rows of text, for the terminal."""

from __future__ import annotations

from pocketvae.benchmarks.matrix.results import Cell, CellState, MatrixResult

_FEW = 3


def matrix_table(result: MatrixResult) -> tuple[list[str], list[list[str]]]:
    """Returns headers and one row per artifact, one column per target."""
    names = [record.name for record in result.targets]
    rows = []
    for artifact in result.artifacts():
        cells = [result.cell(artifact, name) for name in names]
        rows.append([artifact, *(describe(cell) if cell else "" for cell in cells)])
    return ["artifact", *names], rows


def describe(cell: Cell) -> str:
    """Returns a cell as text: its deviation or state, the share that an NPU takes, and an estimated time."""
    taken = cell.figures.get("npu_share")
    parts = [_deviation(cell), "" if taken is None else f"{taken:.0%} on the NPU"]
    if "estimated_s" in cell.figures:
        parts.append(f"estimated {1e6 * cell.figures['estimated_s']:.0f} µs")
    return ", ".join(part for part in parts if part)


def _deviation(cell: Cell) -> str:
    """Returns a cell's state, or the largest deviation from this machine."""
    words = {CellState.EQUAL: "0", CellState.NOT_RUN: "not run", CellState.LEFT_OUT: "-"}
    if cell.state in words:
        return words[cell.state]
    number = "" if cell.max_abs is None else f"{cell.max_abs:.1e}"
    return f"{number} FAIL".strip() if cell.state is CellState.FAILED else number


def problem_lines(result: MatrixResult) -> list[str]:
    """Returns one line for each reason why something failed or did not run, and for each target that ran nothing."""
    groups: dict[tuple[str, str], list[str]] = {}
    for cell in result.cells:
        if cell.state in (CellState.FAILED, CellState.NOT_RUN):
            groups.setdefault((cell.target, cell.detail), []).append(cell.artifact)
    lines = [f"{target}: {_some(names)}: {detail}" for (target, detail), names in groups.items()]
    others = [record for record in result.targets if record.problem and (record.name, record.problem) not in groups]
    lines += [f"{record.name}: {record.problem}" for record in others]
    told = {record.name for record in result.targets if record.problem} | {target for target, _ in groups}
    return [*lines, *(_left_out(result, name) for name in result.idle() if name not in told)]


def _left_out(result: MatrixResult, target: str) -> str:
    """Returns that a target supports none of the artifacts, and why."""
    reasons = dict.fromkeys(cell.detail for cell in result.cells if cell.target == target)
    return f"{target}: nothing ran: {'; '.join(reasons)}"


def _some(names: list[str]) -> str:
    return ", ".join(names) if len(names) <= _FEW else f"{len(names)} artifacts"


def remark_lines(result: MatrixResult) -> list[str]:
    """Returns one line for each remark of a target's tools."""
    return [f"{cell.artifact} on {cell.target}: {text}" for cell in result.cells for text in cell.remarks]


def arena_line(result: MatrixResult) -> str:
    """Returns the arena sizes that a microcontroller's interpreter needs; empty if none was measured."""
    sizes = {cell.artifact: cell.figures["arena_bytes"] for cell in result.cells if "arena_bytes" in cell.figures}
    return ", ".join(f"{name} {size / 1000:.1f} kB" for name, size in sizes.items())
