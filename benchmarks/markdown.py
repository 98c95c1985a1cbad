"""A verification as Markdown, short enough for a comment on a pull request."""

from __future__ import annotations

from collections.abc import Sequence

from pocketvae.benchmarks.compare import comparison_line, comparison_table
from pocketvae.benchmarks.comparison import Comparison
from pocketvae.benchmarks.results import VerifyResult
from pocketvae.benchmarks.tables import Row, verdict_line, verify_table

_ESCAPES = str.maketrans(
    {**{character: f"\\{character}" for character in "\\`*_[]|#~"}, "<": "&lt;", ">": "&gt;", "@": "&#64;"}
)


def verify_markdown(result: VerifyResult) -> str:
    """Returns the verdict, what failed with its reason, and a folded table of all artifacts."""
    headers, rows = verify_table(result)
    failed = [row for row in rows if row[-1] == "FAIL"]
    parts = [f"### pocketvae: {_text(result.bundle)}", verdict_line(result)]
    if failed:
        parts.append(markdown_table(headers, failed))
    if result.diagnoses:
        parts.append("\n".join(f"- {_text(line)}" for line in diagnosis_lines(result)))
    if result.notes:
        parts.append("\n".join(f"- {_text(note)}" for note in result.notes))
    table = markdown_table(headers, rows)
    parts.append(f"<details><summary>All artifacts</summary>\n\n{table}\n\n</details>")
    versions = ", ".join(f"{name} {version}" for name, version in sorted(result.environment.versions.items()))
    environment = result.environment
    parts.append(f"<sub>{_text(f'{environment.system} {environment.machine}, {environment.cpu}; {versions}')}</sub>")
    return "\n\n".join(parts) + "\n"


def comparison_markdown(comparison: Comparison) -> str:
    """Returns what changed between two results or bundles: a line of counts and a table."""
    headers, rows = comparison_table(comparison)
    parts = [f"### pocketvae: {_text(comparison.before)} to {_text(comparison.after)}", comparison_line(comparison)]
    if rows:
        parts.append(markdown_table(headers, rows))
    parts += [f"<sub>{_text(note)}</sub>" for note in comparison.notes]
    return "\n\n".join(parts) + "\n"


def diagnosis_lines(result: VerifyResult) -> list[str]:
    """Returns one line per artifact that failed: who is to blame, and why."""
    return [
        f"{item.artifact} on {item.target}: {item.culprit}: {'; '.join(item.evidence)}" for item in result.diagnoses
    ]


def markdown_table(headers: Sequence[str], rows: Sequence[Row]) -> str:
    """Returns a table; what would end a cell is escaped."""
    lines = [headers, ["---"] * len(headers), *rows]
    return "\n".join(f"| {' | '.join(_text(cell) for cell in line)} |" for line in lines)


def _text(text: str) -> str:
    """Returns text that stands for itself: no markup, no link, no mention."""
    return " ".join(text.translate(_ESCAPES).split())
