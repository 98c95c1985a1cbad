"""A verification as a notebook shows it."""

from __future__ import annotations

from pocketvae.benchmarks.parity.results import VerifyResult
from pocketvae.benchmarks.parity.tables import verdict_line, verify_summary
from pocketvae.reporting.html import Table, fragment


def verify_html(result: VerifyResult) -> str:
    """Returns the verdict, a row for each artifact and target, and a line for each that failed."""
    headers, rows, problems = verify_summary(result)
    return fragment(verdict_line(result), Table(caption="", headers=headers, rows=rows), problems)
