"""A verification as Markdown, short enough for a comment on a pull request."""

from __future__ import annotations

from pocketvae.benchmarks.compare.compare import comparison_line, comparison_table
from pocketvae.benchmarks.compare.comparison import Comparison
from pocketvae.benchmarks.parity.results import Verdict, VerifyResult
from pocketvae.benchmarks.parity.tables import verdict_line, verify_table
from pocketvae.reporting.templates import render

_PACKAGE = "pocketvae.benchmarks.report"


def verify_markdown(result: VerifyResult) -> str:
    """Returns the verdict, what failed with its reason, and a folded table of all artifacts."""
    headers, rows = verify_table(result)
    environment = result.environment
    versions = ", ".join(f"{name} {version}" for name, version in sorted(environment.versions.items()))
    values = {
        "result": result,
        "verdict": verdict_line(result),
        "headers": headers,
        "rows": rows,
        "failed": [row for row in rows if row[-1] != Verdict.PASSED],
        "diagnoses": diagnosis_lines(result),
        "environment": f"{environment.system} {environment.machine}, {environment.cpu}; {versions}",
    }
    return render(_PACKAGE, "verify.md.j2", values)


def comparison_markdown(comparison: Comparison) -> str:
    """Returns what changed between two results or bundles: a line of counts and a table."""
    headers, rows = comparison_table(comparison)
    values = {"comparison": comparison, "line": comparison_line(comparison), "headers": headers, "rows": rows}
    return render(_PACKAGE, "comparison.md.j2", values)


def diagnosis_lines(result: VerifyResult) -> list[str]:
    """Returns one line per artifact that failed: who is to blame, and why."""
    return [
        f"{item.artifact} on {item.target}: {item.culprit}: {'; '.join(item.evidence)}" for item in result.diagnoses
    ]
