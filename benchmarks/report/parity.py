"""The report's sections on parity: diagnoses, worst inputs, and figures without limits."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from pocketvae.benchmarks.parity.results import LayerReport, VerifyResult
from pocketvae.benchmarks.parity.tables import figures_table
from pocketvae.benchmarks.parity.worst import AMPLIFICATION, WorstCase
from pocketvae.benchmarks.report.contact_sheet import ContactRow
from pocketvae.reporting.charts import Bar, level_chart
from pocketvae.reporting.html import image, table, table_row
from pocketvae.spec import Component, VaeSpec


def contact_section(component: Component, rows: Sequence[ContactRow]) -> str:
    """Returns the same images made by every file of a component; empty if there are none."""
    if not rows:
        return ""
    cells = [
        f"<div class='head'>{component}</div><div class='head'>image</div>"
        f"<div class='head'>difference x {AMPLIFICATION}</div>"
    ]
    for row in rows:
        difference = image(row.difference_png, f"difference of {row.name}") if row.difference_png else ""
        images = image(row.images_png, f"images made by {row.name}")
        cells.append(f"<div>{escape(row.name)}</div><div>{images}</div><div>{difference}</div>")
    same, column = (
        ("latents", "latent from the prior") if component is Component.DECODER else ("seeds", "seed and index")
    )
    return (
        f"<h2>The same {same}, every {component}</h2>\n<p>Each column is one {column}. The difference from the "
        f"original is multiplied by {AMPLIFICATION}: a step of 1/255 shows as {AMPLIFICATION}/255 grey.</p>\n"
        f"<div class='scroll'><div class='sheet'>{''.join(cells)}</div></div>\n"
    )


def diagnoses_section(verify: VerifyResult) -> str:
    """Returns what failed and what is to blame; empty if nothing failed."""
    if not verify.diagnoses:
        return ""
    items = "".join(
        f"<li><code>{escape(item.artifact)}</code> on {escape(item.target)}: <strong>{item.culprit}</strong>. "
        f"{escape('; '.join(item.evidence))}.</li>"
        for item in verify.diagnoses
    )
    return f"<h2>Why it failed</h2>\n<ul>{items}</ul>\n"


def notes_section(verify: VerifyResult) -> str:
    """Returns the notes of a thorough verification; empty if there are none."""
    items = "".join(f"<li>{escape(note)}</li>" for note in verify.notes)
    return f"<h2>Notes on the tests</h2>\n<ul>{items}</ul>\n" if items else ""


def worst_section(worst: Sequence[WorstCase], vae: VaeSpec) -> str:
    """Returns each artifact's worst golden sample; empty if there are none."""
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
        f"<h2>The worst inputs</h2>\n<p>For each artifact, the golden sample with the largest deviation: the "
        f"original, the artifact and their difference times {AMPLIFICATION}; for an encoder, its input.</p>\n"
        f"<details{' open' if len(cells) < 8 else ''}><summary>{len(cells)} artifacts</summary>"
        f"<div class='pictures'>{''.join(cells)}</div></details>\n"
    )


def layers_section(verify: VerifyResult) -> str:
    """Returns a chart for every artifact that was compared layer by layer; empty if there are none."""
    figures = "".join(_layers_figure(report) for report in verify.layers)
    if not figures:
        return ""
    return (
        "<h2>Layer by layer</h2>\n<p>Signal-to-quantization-noise ratio of every tensor that differs from the "
        "float32 file's, in order of execution, with the runtime's built-in kernels; higher is better, 6 dB are one "
        "bit. The first "
        "bad layer has another colour.</p>\n"
        f"<details><summary>{len(verify.layers)} artifacts</summary>{figures}</details>\n"
    )


def _layers_figure(report: LayerReport) -> str:
    kind = report.artifact.rsplit(".", 1)[1]
    bars = [
        Bar(
            label=layer.name.split(";")[0][-28:],
            value=max(layer.sqnr_db, 0.0),
            text=f"{layer.sqnr_db:.1f} dB",
            kind="original" if layer.name == report.first_bad else kind,
        )
        for layer in report.layers
        if layer.sqnr_db is not None
    ]
    title = f"{report.artifact}: {report.reason}" if report.reason else f"{report.artifact} against {report.reference}"
    return f"<figure>{level_chart(bars, title=title)}<figcaption>{escape(title)}</figcaption></figure>"


def figures_section(verify: VerifyResult) -> str:
    """Returns the figures without limits as a collapsed table."""
    headers, rows = figures_table(verify)
    if not rows:
        return ""
    body = [table_row(row[0], [escape(cell) for cell in row[1:]]) for row in rows]
    caption = "Figures over all golden samples; they have no limits"
    return f"<details><summary>PSNR, SSIM and other figures</summary>{table(caption, headers, body)}</details>\n"
