"""The report: one self-contained HTML page that says whether the artifacts match, what they cost and how they look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from pocketvae.benchmarks.latency.results import BenchResult, BenchRow
from pocketvae.benchmarks.latency.show.charts import distribution_charts, duration, first_calls_chart, trade_off_chart
from pocketvae.benchmarks.parity.results import Check, VerifyResult
from pocketvae.benchmarks.parity.tables import format_value, worst_check
from pocketvae.benchmarks.parity.worst import WorstCase
from pocketvae.benchmarks.report.contact_sheet import ContactRow, contact_rows
from pocketvae.benchmarks.report.parity import (
    contact_section,
    diagnoses_section,
    figures_section,
    layers_section,
    notes_section,
    worst_section,
)
from pocketvae.bundle.bundle import Bundle, opened
from pocketvae.bundle.manifest import Manifest
from pocketvae.reporting.html import document, image, table, table_row
from pocketvae.reporting.text import format_ratio, format_us
from pocketvae.spec import Component
from pocketvae.system.environment import Environment
from pocketvae.system.files import write_text


def write_report(
    bundle: Path | Bundle,
    out: Path,
    verify: VerifyResult,
    bench: BenchResult | None = None,
    pictures: Mapping[str, bytes] | None = None,
    worst: Sequence[WorstCase] = (),
) -> None:
    """Writes the report of a bundle.

    Args:
        bundle: The bundle, or its path; its decoders are run once more for the contact sheet.
        out: The HTML file.
        verify: Result of verify.
        bench: Result of bench, if it ran.
        pictures: PNG images by caption, for example samples of the training run.
        worst: The worst input of each artifact, with its arrays.

    Raises:
        ManifestError: the bundle is damaged.
    """
    bundle = opened(bundle)
    sheets = {component: contact_rows(bundle, component) for component in (Component.DECODER, Component.GENERATOR)}
    write_text(out, render_report(bundle, verify, bench, pictures or {}, sheets, worst))


def render_report(
    bundle: Bundle,
    verify: VerifyResult,
    bench: BenchResult | None,
    pictures: Mapping[str, bytes],
    sheets: Mapping[Component, Sequence[ContactRow]],
    worst: Sequence[WorstCase] = (),
) -> str:
    """Returns the page."""
    manifest = bundle.manifest
    sections = [
        _head(manifest, verify, bench),
        _artifacts(manifest, verify, bench),
        diagnoses_section(verify),
        *(contact_section(component, rows) for component, rows in sheets.items()),
        worst_section(worst, manifest.vae),
        figures_section(verify),
        layers_section(verify),
        notes_section(verify),
        _latency(bench) if bench else "",
        _trade_off(verify, bench) if bench else "",
        _pictures(pictures),
        _not_run(verify, bench),
        _environment(verify.environment, manifest),
    ]
    return document(f"{manifest.name}: pocketvae report", sections)


def _head(manifest: Manifest, verify: VerifyResult, bench: BenchResult | None) -> str:
    height, width, channels = manifest.vae.image_shape
    total = len(verify.artifacts())
    failed = {check.artifact for check in verify.checks if not check.passed} & set(verify.artifacts())
    verdict = (
        f"All {total} artifacts match the original model."
        if verify.passed
        else f"{len(failed)} of {total} artifacts do not match the original model; {len(verify.not_run)} did not run."
    )
    facts = [("image", f"{width}x{height}x{channels}"), ("latent dimensions", str(manifest.vae.latent_dim))]
    if "test_negative_elbo_nats" in manifest.training:
        facts.insert(0, ("negative ELBO, test", f"{manifest.training['test_negative_elbo_nats']:.1f} nats"))
    best = _fastest_decoder(bench)
    if best:
        facts.append(("fastest decoder", duration(best.median_s)))
        facts += [(f"against {how}", f"{format_ratio(ratio.value)}x") for how, ratio in sorted(best.speedups.items())]
    cells = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts)
    provenance = ", ".join(f"{key} {value}" for key, value in sorted(manifest.provenance.items()))
    return (
        f"<h1>{escape(manifest.name)}</h1>\n<p class='soft'>{escape(provenance)}</p>\n"
        f"<p class='verdict{'' if verify.passed else ' failed'}'>{escape(verdict)}</p>\n"
        f"<dl class='facts'>{cells}</dl>\n"
    )


def _artifacts(manifest: Manifest, verify: VerifyResult, bench: BenchResult | None) -> str:
    timed = {row.artifact: row for row in reversed(bench.results)} if bench else {}
    headers = ["artifact", "kB", "deviation", "limit", "verdict"]
    headers += ["median \u00b5s", "p90 \u00b5s", "x tf.function", "x predict", "peak MB"] if bench else []
    rows = []
    for artifact in manifest.artifacts:
        checks = [check for check in verify.checks if check.artifact == artifact.name]
        cells = [f"{artifact.file.size_bytes / 1000:.0f}", *_parity_cells(checks, verify.image_span)]
        if bench:
            cells += _latency_cells(timed.get(artifact.name))
        rows.append(table_row(artifact.name, cells))
    notes = [
        f"<li><code>{escape(artifact.name)}</code>: {escape('; '.join(artifact.notes))}</li>"
        for artifact in manifest.artifacts
        if artifact.notes
    ]
    return (
        "<h2>Artifacts</h2>\n<p>The deviation is that of the check closest to its limit, over all golden inputs, "
        "against the original Keras model. Times are for one call on one thread, including input and output "
        "copies.</p>\n"
        + table("Size, parity and latency of every artifact", headers, rows)
        + (
            f"<details><summary>How the artifacts were made</summary><ul>{''.join(notes)}</ul></details>\n"
            if notes
            else ""
        )
        + _limits(verify)
    )


def _parity_cells(checks: list[Check], span: float) -> list[str]:
    if not checks:
        return ["-", "-", "<span class='fail'>not run</span>"]
    check = worst_check(checks)
    verdict = "<span class='pass'>pass</span>" if check.passed else "<span class='fail'>FAIL</span>"
    value = format_value(check.value, check, span) if check.value is not None else escape(check.detail or "-")
    return [value, format_value(check.limit, check, span), verdict]


def _latency_cells(row: BenchRow | None) -> list[str]:
    if row is None:
        return ["-"] * 5
    predict = row.speedups.get("keras-predict")
    return [
        format_us(row.median_s),
        format_us(row.p90_s),
        format_ratio(row.speedup_vs_original),
        format_ratio(predict.value if predict else None),
        f"{row.peak_rss_bytes / 1e6:.0f}",
    ]


def _limits(verify: VerifyResult) -> str:
    numbered = [check for check in verify.checks if check.limit is not None]
    rows = [
        table_row(
            check.artifact,
            [
                f"{check.output} {check.metric}",
                format_value(check.value, check, verify.image_span),
                format_value(check.limit, check, verify.image_span),
                escape(check.limit_source),
            ],
            wrap_last=True,
        )
        for check in numbered
    ]
    listing = table("Every number that was compared", ["artifact", "metric", "value", "limit", "limit from"], rows)
    summary = f"All {len(verify.checks)} checks, and where each limit comes from"
    return f"<details><summary>{summary}</summary>{listing}</details>\n"


def _latency(bench: BenchResult) -> str:
    unstable = [row.artifact for row in bench.results if row.warnings]
    warning = f"<p class='soft'>Unstable figures: {escape(', '.join(unstable))}.</p>" if unstable else ""
    first = first_calls_chart(bench, "decoder")
    return f"<h2>Latency</h2>\n{distribution_charts(bench)}{warning}{first}"


def _trade_off(verify: VerifyResult, bench: BenchResult) -> str:
    chart = trade_off_chart(bench, verify)
    return f"<h2>What to embed</h2>\n{chart}" if chart else ""


def _pictures(pictures: Mapping[str, bytes]) -> str:
    figures = "".join(
        f"<figure>{image(png, caption, smooth=True)}<figcaption>{escape(caption)}</figcaption></figure>"
        for caption, png in pictures.items()
    )
    return f"<h2>The model</h2>\n<div class='pictures'>{figures}</div>\n" if figures else ""


def _not_run(verify: VerifyResult, bench: BenchResult | None) -> str:
    items = [*verify.not_run, *(bench.not_run if bench else ())]
    if not items:
        return ""
    rows = "".join(
        f"<li><code>{escape(item.artifact)}</code> on {escape(item.target)}: {escape(item.reason)}</li>"
        for item in items
    )
    return f"<h2>What did not run</h2>\n<ul>{rows}</ul>\n"


def _environment(environment: Environment, manifest: Manifest) -> str:
    facts = [
        ("CPU", environment.cpu),
        ("logical cores", str(environment.logical_cores)),
        ("system", f"{environment.system} {environment.machine}, Python {environment.python}"),
        ("frequency governor", environment.governor or "unknown"),
        ("load before", "unknown" if environment.load_average is None else str(environment.load_average)),
        ("run here with", ", ".join(f"{name} {version}" for name, version in sorted(environment.versions.items()))),
        ("exported with", ", ".join(f"{name} {version}" for name, version in sorted(manifest.versions.items()))),
    ]
    rows = [
        f"<tr><th scope='row'>{escape(name)}</th><td class='wrap'>{escape(value)}</td></tr>" for name, value in facts
    ]
    return f"<h2>Environment</h2>\n<div class='scroll'><table><tbody>{''.join(rows)}</tbody></table></div>\n"


def _fastest_decoder(bench: BenchResult | None) -> BenchRow | None:
    rows = [row for row in bench.results if row.artifact.startswith("decoder.") and row.batch == 1] if bench else []
    return min(rows, key=lambda row: row.median_s, default=None)
