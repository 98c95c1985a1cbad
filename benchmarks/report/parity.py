"""The report's sections on parity: checks, figures without limits, worst inputs, layers."""

from __future__ import annotations

from collections.abc import Sequence

from pocketvae.benchmarks.parity.results import Check, LayerReport, Verdict, VerifyResult, WorstInput
from pocketvae.benchmarks.parity.tables import check_verdict, figures_table, format_value, ratio_text, worst_check
from pocketvae.benchmarks.parity.worst import WorstCase
from pocketvae.reporting.charts import Bar, level_chart
from pocketvae.reporting.html import Figure, Table
from pocketvae.vae_spec import VaeSpec


def parity_cells(checks: Sequence[Check], verify: VerifyResult) -> list[str]:
    """Returns the verdict on an artifact, its worst deviation and the limit."""
    if not checks:
        return [Verdict.INCOMPLETE.value, "not run", "-"]
    check = worst_check(list(checks))
    unit = verify.unit_of(check.output)
    value = format_value(check.value, check, unit) if check.value is not None else check.detail or "-"
    return [check_verdict(check), value, format_value(check.limit, check, unit)]


def limits(verify: VerifyResult) -> Table:
    """Returns every number that was compared, and where its limit comes from."""
    rows = [
        [
            check.artifact,
            f"{check.output} {check.metric}",
            format_value(check.value, check, verify.unit_of(check.output)),
            format_value(check.limit, check, verify.unit_of(check.output)),
            check.limit_source,
        ]
        for check in verify.checks
        if check.limit is not None
    ]
    headers = ["artifact", "metric", "value", "limit", "limit from"]
    return Table(caption="Every number that was compared", headers=headers, rows=rows)


def measurements(verify: VerifyResult) -> Table | None:
    """Returns the figures without limits; None if there are none."""
    headers, rows = figures_table(verify)
    caption = "Figures over all golden samples; they have no limits"
    return Table(caption=caption, headers=headers, rows=rows) if rows else None


def worst_pictures(worst: Sequence[WorstCase], vae: VaeSpec) -> list[tuple[bytes, WorstInput, str]]:
    """Returns each artifact's worst golden sample that can be shown: its picture, what it is and its value."""
    found = [(case.picture(vae), case.found, case.found.value) for case in worst]
    return [
        (picture, each, "not finite" if value is None else f"{value:.2g}") for picture, each, value in found if picture
    ]


def layers_figure(report: LayerReport) -> Figure:
    """Returns a chart of an artifact that was compared layer by layer."""
    kind = report.artifact.rsplit(".", 1)[1]
    bars = [
        Bar(
            label=layer.name.split(";")[0][-28:],
            value=max(layer.sqnr_db, 0.0),
            text=ratio_text(layer),
            kind="original" if layer.name == report.first_bad else kind,
        )
        for layer in report.layers
        if layer.sqnr_db is not None
    ]
    title = f"{report.artifact}: {report.reason}" if report.reason else f"{report.artifact} against {report.reference}"
    return Figure(svg=level_chart(bars, title=title), caption=title)
