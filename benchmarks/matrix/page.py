"""The matrix as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Sequence

from pocketvae.benchmarks.matrix import results
from pocketvae.benchmarks.matrix.results import CellState, MatrixResult
from pocketvae.benchmarks.matrix.sheet import SheetRow
from pocketvae.benchmarks.matrix.shipping import shipping_table
from pocketvae.benchmarks.matrix.table import describe, problem_lines, remark_lines
from pocketvae.reporting.html import Cell, Table
from pocketvae.reporting.templates import render

_KINDS = {
    CellState.EQUAL: "pass",
    CellState.FAILED: "fail",
    CellState.NOT_RUN: "incomplete",
    CellState.LEFT_OUT: "soft",
}
_FIGURES = {
    "arena_bytes": "smallest arena, bytes",
    "builtin_max_abs": "from LiteRT's built-in kernels",
    "reference_max_abs": "from LiteRT's reference kernels",
    "cpu_max_abs": "from this machine's CPU",
    "fully_accelerated": "share of WebGPU: all (1) or part (0)",
    "npu_share": "share of operators on the NPU",
    "cpu_operators": "operators on the CPU, without a float interface",
    "estimated_cycles": "cycles, estimated",
    "estimated_s": "µs, estimated",
    "measured_s": "µs, median of a few calls",
    "sram_bytes": "SRAM, bytes",
    "flash_bytes": "flash, bytes",
}


def matrix_page(result: MatrixResult, sheet: Sequence[SheetRow]) -> str:
    """Returns the page."""
    states, shipping = [cell.state for cell in result.cells], shipping_table(result)
    values = {
        "title": f"{result.bundle}: every artifact on every target",
        "result": result,
        "ran": sum(state in (CellState.EQUAL, CellState.WITHIN, CellState.FAILED) for state in states),
        "equal": states.count(CellState.EQUAL),
        "failed": states.count(CellState.FAILED),
        "idle": result.idle(),
        "missing": states.count(CellState.NOT_RUN),
        "shipping": Table(caption="What to ship to each target", headers=shipping[0], rows=shipping[1]),
        "cells": _cells(result),
        "problems": problem_lines(result),
        "sheet": sheet,
        "figures": _figures(result),
        "remarks": remark_lines(result),
        "targets": _targets(result),
    }
    return render("pocketvae.benchmarks.matrix", "matrix.html.j2", values)


def _cells(result: MatrixResult) -> Table:
    names = [record.name for record in result.targets]
    rows: list[list[str | Cell]] = []
    for artifact in result.artifacts():
        found = [result.cell(artifact, name) for name in names]
        rows.append([artifact, *(_cell(cell) if cell else "" for cell in found)])
    caption = "Largest deviation of every artifact on every target"
    return Table(caption=caption, headers=["artifact", *names], rows=rows)


def _cell(cell: results.Cell) -> Cell:
    title = cell.detail or (f"limit {cell.limit:.2g}: {cell.limit_source}" if cell.limit else "")
    return Cell(text=describe(cell), kind=_KINDS.get(cell.state, ""), title=title)


def _figures(result: MatrixResult) -> list[Table]:
    """Returns a table for each target that measured or estimated more than the share that the first table has."""
    tables = []
    for record in result.targets:
        cells = [cell for cell in result.cells if cell.target == record.name and cell.figures]
        names = [name for name in _FIGURES if any(name in cell.figures for cell in cells)]
        if not set(names) - {"npu_share", "measured_s"}:
            continue
        rows = [[cell.artifact, *(_number(name, cell.figures.get(name)) for name in names)] for cell in cells]
        headers = ["artifact", *(_FIGURES[name] for name in names)]
        tables.append(Table(caption=record.name, headers=headers, rows=rows))
    return tables


def _number(name: str, value: float | None) -> str:
    if value is None:
        return ""
    if name == "npu_share":
        return f"{value:.0%}"
    if name in ("estimated_s", "measured_s"):
        return f"{1e6 * value:.0f}"
    return f"{value:.0f}" if value == int(value) else f"{value:.1e}"


def _targets(result: MatrixResult) -> Table:
    rows = []
    for record in result.targets:
        facts = ", ".join(f"{name} {value}" for name, value in sorted(record.facts.items()))
        rows.append([record.name, record.problem or facts or record.summary])
    return Table(caption="What ran where", headers=["target", "what ran there"], rows=rows)
