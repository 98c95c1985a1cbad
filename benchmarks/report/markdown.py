"""A verification as Markdown, short enough for a comment on a pull request."""

from __future__ import annotations

from pocketvae.benchmarks.compare.compare import comparison_line, comparison_table
from pocketvae.benchmarks.compare.comparison import Comparison
from pocketvae.benchmarks.parity.results import VerifyResult
from pocketvae.benchmarks.parity.tables import verdict_line, verify_table
from pocketvae.reporting.markdown import markdown_table, plain_text


def verify_markdown(result: VerifyResult) -> str:
    """Returns the verdict, what failed with its reason, and a folded table of all artifacts."""
    headers, rows = verify_table(result)
    failed = [row for row in rows if row[-1] == "FAIL"]
    parts = [f"### pocketvae: {plain_text(result.bundle)}", verdict_line(result)]
    if failed:
        parts.append(markdown_table(headers, failed))
    if result.diagnoses:
        parts.append("\n".join(f"- {plain_text(line)}" for line in diagnosis_lines(result)))
    if result.notes:
        parts.append("\n".join(f"- {plain_text(note)}" for note in result.notes))
    table = markdown_table(headers, rows)
    parts.append(f"<details><summary>All artifacts</summary>\n\n{table}\n\n</details>")
    versions = ", ".join(f"{name} {version}" for name, version in sorted(result.environment.versions.items()))
    environment = result.environment
    parts.append(
        f"<sub>{plain_text(f'{environment.system} {environment.machine}, {environment.cpu}; {versions}')}</sub>"
    )
    return "\n\n".join(parts) + "\n"


def comparison_markdown(comparison: Comparison) -> str:
    """Returns what changed between two results or bundles: a line of counts and a table."""
    headers, rows = comparison_table(comparison)
    parts = [
        f"### pocketvae: {plain_text(comparison.before)} to {plain_text(comparison.after)}",
        comparison_line(comparison),
    ]
    if rows:
        parts.append(markdown_table(headers, rows))
    parts += [f"<sub>{plain_text(note)}</sub>" for note in comparison.notes]
    return "\n\n".join(parts) + "\n"


def diagnosis_lines(result: VerifyResult) -> list[str]:
    """Returns one line per artifact that failed: who is to blame, and why."""
    return [
        f"{item.artifact} on {item.target}: {item.culprit}: {'; '.join(item.evidence)}" for item in result.diagnoses
    ]
