"""The matrix as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib import resources

from pocketvae.benchmarks.matrix.results import Cell, CellState, MatrixResult
from pocketvae.benchmarks.matrix.sheet import SheetRow
from pocketvae.benchmarks.matrix.table import describe, problem_lines
from pocketvae.reporting.html import image, table, table_row

_CLASSES = {CellState.EQUAL: "pass", CellState.FAILED: "fail", CellState.NOT_RUN: "fail", CellState.LEFT_OUT: "soft"}
_FIGURES = {
    "arena_bytes": "smallest arena, bytes",
    "builtin_max_abs": "from LiteRT's built-in kernels",
    "reference_max_abs": "from LiteRT's reference kernels",
    "fully_accelerated": "share of WebGPU: all (1) or part (0)",
}


def matrix_page(result: MatrixResult, sheet: Sequence[SheetRow]) -> str:
    """Returns the page."""
    style = resources.files("pocketvae.reporting").joinpath("report.css").read_text("utf-8")
    sections = (_head(result), _cells(result), _sheet(result, sheet), _figures(result), _targets(result))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(result.bundle)}: every artifact on every target</title>\n<style>\n{style}</style>\n</head>\n"
        f"<body>\n<main>\n{''.join(sections)}</main>\n</body>\n</html>\n"
    )


def _head(result: MatrixResult) -> str:
    ran = [cell for cell in result.cells if cell.state in (CellState.EQUAL, CellState.WITHIN, CellState.FAILED)]
    equal = sum(cell.state is CellState.EQUAL for cell in ran)
    failed = sum(cell.state is CellState.FAILED for cell in ran)
    missing = sum(cell.state is CellState.NOT_RUN for cell in result.cells)
    verdict = (
        f"All {len(ran)} results are within their limits; {equal} are bit-identical to this machine's."
        if result.passed
        else f"{failed} of {len(ran)} results are outside their limits; {missing} could not be run."
    )
    return (
        f"<h1>{escape(result.bundle)}</h1>\n<p class='soft'>every artifact on every target</p>\n"
        f"<p class='verdict{'' if result.passed else ' failed'}'>{escape(verdict)}</p>\n"
    )


def _cells(result: MatrixResult) -> str:
    names = [record.name for record in result.targets]
    rows = []
    for artifact in result.artifacts():
        found = [result.cell(artifact, name) for name in names]
        rows.append(table_row(artifact, [_cell(cell) if cell else "" for cell in found]))
    problems = "".join(f"<li>{escape(line)}</li>" for line in problem_lines(result))
    return (
        "<h2>Deviation from this machine</h2>\n<p>The largest difference of any output over all golden inputs. 0 "
        "means bit-identical; a dash means that the target does not support the file. Each result must also be "
        "within the limits of the manifest, against the original model.</p>\n"
        + table("Largest deviation of every artifact on every target", ["artifact", *names], rows)
        + (f"<ul>{problems}</ul>\n" if problems else "")
    )


def _cell(cell: Cell) -> str:
    kind = _CLASSES.get(cell.state, "")
    title = escape(cell.detail or (f"limit {cell.limit:.2g}: {cell.limit_source}" if cell.limit else ""), quote=True)
    return f"<span class='{kind}' title='{title}'>{escape(describe(cell))}</span>"


def _sheet(result: MatrixResult, sheet: Sequence[SheetRow]) -> str:
    if not sheet:
        return ""
    cells = ["<span class=head></span><span class=head>images</span><span class=head>difference x 16</span>"]
    for row in sheet:
        name = f"{row.target}, {row.artifact}"
        cells.append(
            f"<span><strong>{escape(row.target)}</strong><br><code>{escape(row.artifact)}</code></span>"
            + image(row.images_png, f"images of {name}")
            + image(row.difference_png, f"difference of {name} from this machine, at most {row.max_abs:.1e}")
        )
    return (
        f"<h2>The same images</h2>\n<p>Images 0 to 9 of the stream {result.seed}. A generator gets the two numbers; "
        "where a target has none, the decoder gets the latents that they stand for.</p>\n"
        f"<div class='scroll'><div class='sheet'>{''.join(cells)}</div></div>\n"
    )


def _figures(result: MatrixResult) -> str:
    cells = [cell for cell in result.cells if cell.figures]
    names = [name for name in _FIGURES if any(name in cell.figures for cell in cells)]
    if not names:
        return ""
    rows = [
        table_row(f"{cell.artifact} {cell.target}", [_number(cell.figures.get(name)) for name in names])
        for cell in cells
    ]
    return "<h2>What the targets measured</h2>\n" + table(
        "Figures by artifact and target", ["artifact and target", *(_FIGURES[name] for name in names)], rows
    )


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.0f}" if value == int(value) else f"{value:.1e}"


def _targets(result: MatrixResult) -> str:
    rows = []
    for record in result.targets:
        facts = ", ".join(f"{name} {value}" for name, value in sorted(record.facts.items()))
        rows.append(table_row(record.name, [escape(record.problem or facts or record.summary)], wrap_last=True))
    return "<h2>Targets</h2>\n" + table("What ran where", ["target", "what ran there"], rows)
