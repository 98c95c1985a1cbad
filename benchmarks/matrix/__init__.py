"""The matrix: every artifact on every target, compared with this machine."""

from typing import TYPE_CHECKING

from pocketvae.lazy_names import lazy_names

if TYPE_CHECKING:
    from pocketvae.benchmarks.matrix.page import matrix_page
    from pocketvae.benchmarks.matrix.results import Cell, CellState, MatrixResult, TargetRecord
    from pocketvae.benchmarks.matrix.run import Matrix, matrix_bundle
    from pocketvae.benchmarks.matrix.table import matrix_table

_MODULES = {
    "pocketvae.benchmarks.matrix.page": ("matrix_page",),
    "pocketvae.benchmarks.matrix.results": (
        "Cell",
        "CellState",
        "MatrixResult",
        "TargetRecord",
    ),
    "pocketvae.benchmarks.matrix.run": (
        "Matrix",
        "matrix_bundle",
    ),
    "pocketvae.benchmarks.matrix.table": ("matrix_table",),
}

__all__ = [
    "Cell",
    "CellState",
    "Matrix",
    "MatrixResult",
    "TargetRecord",
    "matrix_bundle",
    "matrix_page",
    "matrix_table",
]

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
