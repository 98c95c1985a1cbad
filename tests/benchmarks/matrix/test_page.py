"""The page of the matrix: what a target measured is a table of its own, and what its tools said is on the page."""

import re

import pytest

from pocketvae.benchmarks.matrix.page import matrix_page
from pocketvae.benchmarks.matrix.results import MATRIX_SCHEMA_VERSION, Cell, CellState, MatrixResult, TargetRecord
from pocketvae.system.environment import current_environment


def cell(target, **figures):
    left = ("DEPTH_TO_SPACE stays on the CPU",) if "estimated_s" in figures else ()
    return Cell(
        artifact="decoder.int8.tflite",
        target=target,
        state=CellState.WITHIN,
        max_abs=0.01,
        figures=figures,
        remarks=left,
    )


@pytest.fixture
def page():
    cells = (
        cell("hexagon", npu_share=1.0),
        cell("ethos-u55-128", npu_share=0.8, estimated_cycles=1000.0, estimated_s=2e-6),
        cell("tflm", arena_bytes=9616.0),
    )
    targets = tuple(TargetRecord(name=item.target, summary="", facts={}) for item in cells)
    result = MatrixResult(
        schema_version=MATRIX_SCHEMA_VERSION,
        passed=True,
        bundle="digits",
        seed=0,
        environment=current_environment(),
        targets=targets,
        cells=cells,
    )
    return matrix_page(result, ())


def test_each_target_has_a_table_of_what_it_measured(page):
    tables = re.findall(r"<table>.*?</table>", page, re.DOTALL)
    found = {name: [table for table in tables if f"<caption>{name}" in table] for name in ("ethos-u55-128", "tflm")}
    cells = re.findall(r"<td[^>]*>(.*?)</td>", found["ethos-u55-128"][0])
    assert cells == ["80%", "1000", "2"]
    assert "arena" not in found["ethos-u55-128"][0]
    assert "9616" in found["tflm"][0]
    # Its share is in the first table.
    assert not [table for table in tables if "<caption>hexagon" in table]
    assert "80% on the NPU" in tables[0]


def test_what_stays_on_a_cpu_is_on_the_page(page):
    assert "decoder.int8.tflite on ethos-u55-128: DEPTH_TO_SPACE stays on the CPU" in page
