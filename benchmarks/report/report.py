"""The report: one self-contained HTML page that says whether the artifacts match, what they cost and how they look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pocketvae.benchmarks.latency.analyse.recommend import Constraints, recommend
from pocketvae.benchmarks.latency.results import BenchResult, BenchRow
from pocketvae.benchmarks.latency.show.charts import distribution_charts, duration, first_calls_chart, trade_off_chart
from pocketvae.benchmarks.latency.show.tables import environment_facts
from pocketvae.benchmarks.parity.results import Verdict, VerifyResult
from pocketvae.benchmarks.parity.tables import idle, verdict_line
from pocketvae.benchmarks.parity.worst import WorstCase
from pocketvae.benchmarks.report.contact_sheet import ContactRow, contact_rows
from pocketvae.benchmarks.report.parity import layers_figure, limits, measurements, parity_cells, worst_pictures
from pocketvae.bundle.bundle import Bundle, opened_with_damage
from pocketvae.bundle.manifest import Manifest
from pocketvae.kinds.base import AMPLIFICATION
from pocketvae.kinds.registry import described, kind_of
from pocketvae.reporting.html import Cell, Table
from pocketvae.reporting.templates import render
from pocketvae.reporting.text import format_ratio, format_us
from pocketvae.spec import Component
from pocketvae.system.environment import Environment
from pocketvae.system.files import StrPath, write_text


def write_report(
    bundle: StrPath | Bundle,
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
        pictures: PNG or SVG images by caption, for example samples of the training run.
        worst: The worst input of each artifact, with its arrays.

    Raises:
        ManifestError: the bundle is damaged.
    """
    bundle = opened_with_damage(bundle)
    sheets = {
        component: contact_rows(bundle.intact(), component) for component in (Component.DECODER, Component.GENERATOR)
    }
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
    values = {
        "title": f"{manifest.name}: pocketvae report",
        "manifest": manifest,
        "kind": kind_of(manifest.vae.data),
        "verify": verify,
        "verdict": _verdict(verify),
        "failures": _failures(verify),
        "provenance": sorted(manifest.provenance.items()),
        "key_facts": _key_facts(manifest, bench),
        "artifacts": _artifacts(manifest, verify, bench),
        "notes": [(artifact.name, "; ".join(artifact.notes)) for artifact in manifest.artifacts if artifact.notes],
        "limits": limits(verify),
        "measurements": measurements(verify),
        "amplification": AMPLIFICATION,
        "sheets": sheets,
        "worst": worst_pictures(worst, manifest.vae),
        "layers": [layers_figure(report) for report in verify.layers],
        "pictures": pictures,
        "not_run": [*verify.not_run, *idle(verify), *(bench.not_run if bench else ())],
        "environment": _environment(verify.environment, manifest),
        **_latency(verify, bench),
    }
    return render("pocketvae.benchmarks.report", "report.html.j2", values)


def _failures(verify: VerifyResult) -> list[tuple[str, str, str]]:
    """Returns what failed: file, target, and what is wrong with it or who is to blame."""
    reasons = {(item.artifact, item.target): f"{item.culprit}: {'; '.join(item.evidence)}" for item in verify.diagnoses}
    found: dict[tuple[str, str], str] = {}
    for check in verify.checks:
        key = check.artifact, check.target
        if not check.passed and key not in found:
            what = f"{check.output} {check.metric}".strip()
            found[key] = "; ".join(filter(None, [f"{what}: {check.detail}", reasons.get(key, "")]))
    return [(artifact, target, words) for (artifact, target), words in found.items()]


def _verdict(verify: VerifyResult) -> str:
    artifacts = verify.artifacts()
    if verify.passed:
        unused = ", ".join(item.target for item in idle(verify))
        return (
            f"All {len(artifacts)} artifacts match the original model{f'; nothing ran on {unused}' if unused else ''}."
        )
    if verify.verdict is Verdict.INCOMPLETE:
        return f"{verdict_line(verify)}."
    failed = {check.artifact for check in verify.checks if not check.passed} & set(artifacts)
    if not failed:  # but another file, or a control
        return f"{verdict_line(verify)}."
    return (
        f"{len(failed)} of {len(artifacts)} artifacts do not match the original model; "
        f"{len(verify.not_run)} did not run."
    )


def _key_facts(manifest: Manifest, bench: BenchResult | None) -> list[tuple[str, str]]:
    vae = manifest.vae
    facts = [("data", described(vae)), ("latent dimensions", str(vae.latent_dim))]
    if "test_negative_elbo_nats" in manifest.training:
        facts.insert(0, ("negative ELBO, test", f"{manifest.training['test_negative_elbo_nats']:.1f} nats"))
    best = _fastest_decoder(bench)
    if best:
        facts.append(("fastest decoder", duration(best.median_s)))
        facts += [(f"against {how}", f"{format_ratio(ratio.value)}x") for how, ratio in sorted(best.speedups.items())]
    return facts


def _artifacts(manifest: Manifest, verify: VerifyResult, bench: BenchResult | None) -> Table:
    timed = {row.artifact: row for row in reversed(bench.results)} if bench else {}
    headers = ["artifact", "verdict", "deviation", "limit", "kB"]
    headers += ["median µs", "p90 µs", "x tf.function", "x predict", "peak MB"] if bench else []
    rows: list[list[str | Cell]] = []
    for artifact in manifest.artifacts:
        checks = [check for check in verify.checks if check.artifact == artifact.name]
        cells = [*parity_cells(checks, verify), f"{artifact.file.size_bytes / 1000:.0f}"]
        if bench:
            cells += _latency_cells(timed.get(artifact.name))
        rows.append([artifact.name, *cells])
    return Table(caption="Size, parity and latency of every artifact", headers=headers, rows=rows)


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


def _latency(verify: VerifyResult, bench: BenchResult | None) -> dict[str, object]:
    if bench is None:
        return {"bench": None, "trade_off": None, "recommended": None}
    recommended = bench.recommendation or recommend(bench, verify, Constraints())
    return {
        "bench": bench,
        "distributions": distribution_charts(bench),
        "unstable": _unstable(bench),
        "first_calls": first_calls_chart(bench, "decoder"),
        "recommended": recommended,
        "trade_off": trade_off_chart(bench, verify, recommended.artifact),
    }


def _unstable(bench: BenchResult) -> list[str]:
    """Returns for each reason why figures may be unreliable which they are."""
    names: dict[str, list[str]] = {}
    for row in bench.results:
        for reason in row.warnings:
            names.setdefault(reason, []).append(row.target if row.is_original else row.artifact)
    return [f"{reason}: {', '.join(dict.fromkeys(found))}" for reason, found in names.items()]


def _environment(environment: Environment, manifest: Manifest) -> list[tuple[str, str]]:
    exported = ", ".join(f"{name} {version}" for name, version in sorted(manifest.versions.items()))
    return [*environment_facts(environment), ("exported with", exported)]


def _fastest_decoder(bench: BenchResult | None) -> BenchRow | None:
    rows = [row for row in bench.results if row.artifact.startswith("decoder.") and row.batch == 1] if bench else []
    return min(rows, key=lambda row: row.median_s, default=None)
