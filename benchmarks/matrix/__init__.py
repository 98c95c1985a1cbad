"""Every artifact on every target, compared with this machine: does the same file do the same everywhere?"""

from pocketvae.benchmarks.matrix.page import matrix_page
from pocketvae.benchmarks.matrix.results import Cell, CellState, MatrixResult, TargetRecord
from pocketvae.benchmarks.matrix.run import Matrix, matrix_bundle
from pocketvae.benchmarks.matrix.table import matrix_table

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
