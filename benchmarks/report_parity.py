"""The report's sections on parity: who is to blame, the worst inputs, the figures beside the checks."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from pocketvae.benchmarks.parity.worst import AMPLIFICATION, WorstCase
from pocketvae.benchmarks.report_html import image, table, table_row
from pocketvae.benchmarks.results import VerifyResult
from pocketvae.benchmarks.tables import figures_table
from pocketvae.spec import VaeSpec


def diagnoses_section(verify: VerifyResult) -> str:
    """Returns what failed and who is to blame; empty where nothing failed."""
    if not verify.diagnoses:
        return ""
    items = "".join(
        f"<li><code>{escape(item.artifact)}</code> on {escape(item.target)}: <strong>{item.culprit}</strong>. "
        f"{escape('; '.join(item.evidence))}.</li>"
        for item in verify.diagnoses
    )
    return f"<h2>Why it failed</h2>\n<ul>{items}</ul>\n"


def worst_section(worst: Sequence[WorstCase], vae: VaeSpec) -> str:
    """Returns each artifact's worst golden sample; empty where none was kept."""
    cells = []
    for case in worst:
        picture = case.picture(vae)
        if not picture:
            continue
        found = case.found
        value = "not finite" if found.value is None else f"{found.value:.2g}"
        cells.append(
            f"<figure>{image(picture, f'worst input of {found.artifact}')}<figcaption><code>{escape(found.artifact)}"
            f"</code> on {escape(found.target)}<br>{escape(found.output)} {found.metric} {value}, "
            f"sample {found.index} ({escape(found.stratum)})</figcaption></figure>"
        )
    if not cells:
        return ""
    return (
        "<h2>The worst inputs</h2>\n<p>Of each artifact the golden sample that is farthest from the original: the "
        f"original, the artifact and their difference times {AMPLIFICATION}; of an encoder its input.</p>\n"
        f"<details{' open' if len(cells) < 8 else ''}><summary>{len(cells)} artifacts</summary>"
        f"<div class='pictures'>{''.join(cells)}</div></details>\n"
    )


def figures_section(verify: VerifyResult) -> str:
    """Returns the figures beside the checks as a folded table."""
    headers, rows = figures_table(verify)
    if not rows:
        return ""
    body = [table_row(row[0], [escape(cell) for cell in row[1:]]) for row in rows]
    caption = "Figures over all golden samples; they have no limits"
    return f"<details><summary>PSNR, SSIM and other figures</summary>{table(caption, headers, body)}</details>\n"
