"""The page of a fleet and its summary: latencies over the devices of a model, its worst parity, lost devices."""

from __future__ import annotations

import numpy as np

from pocketvae.benchmarks.devices import Device, DeviceState, Fleet, ModelLatency
from pocketvae.benchmarks.fleet.outliers import RULE
from pocketvae.benchmarks.fleet.tables import (
    device_lines,
    devices_table,
    failure_lines,
    fleet_line,
    labels_text,
    latency_models_table,
    outliers_table,
    parity_artifacts_table,
    parity_line,
    parity_models_table,
)
from pocketvae.benchmarks.latency.results import BenchResult
from pocketvae.benchmarks.latency.show.charts import duration
from pocketvae.benchmarks.latency.show.tables import environment_facts
from pocketvae.benchmarks.parity.results import Verdict, VerifyResult
from pocketvae.reporting.charts import Range, range_chart
from pocketvae.reporting.html import Figure, Table
from pocketvae.reporting.templates import render
from pocketvae.reporting.text import Row, count_of
from pocketvae.system.environment import Environment

_PACKAGE = "pocketvae.benchmarks.fleet"
# Classes of the style sheet.
_LOOKS = {Verdict.PASSED: "", Verdict.FAILED: "failed", Verdict.INCOMPLETE: "incomplete"}
_QUARTILES = (0.0, 0.25, 0.5, 0.75, 1.0)


def parity_page(result: VerifyResult, fleet: Fleet) -> str:
    """Returns the page of a verification on a fleet.

    Args:
        result: The verification.
        fleet: Its devices.
    """
    values = {
        "title": f"{result.bundle}: parity on {fleet.name}",
        "verdict": f"{parity_line(result, fleet)}.",
        "look": _LOOKS[result.verdict],
        "failures": failure_lines(fleet),
        "models": _table("The check that is closest to its limit on any device", parity_models_table(result, fleet)),
        "artifacts": _table("Every artifact on every model", parity_artifacts_table(result, fleet)),
        "devices": _table("", devices_table(fleet, result)),
        "charts": {},
        "outliers": None,
        "rule": "",
        **_common(fleet, result.environment),
    }
    return render(_PACKAGE, "fleet.html.j2", values)


def latency_page(result: BenchResult, fleet: Fleet) -> str:
    """Returns the page of a benchmark on a fleet.

    Args:
        result: The benchmark.
        fleet: Its devices.
    """
    outliers = outliers_table(fleet)
    values = {
        "title": f"{result.bundle}: latency on {fleet.name}",
        "verdict": f"{fleet_line(fleet)}.",
        "look": _LOOKS[Verdict.INCOMPLETE if result.not_run else Verdict.PASSED],
        "failures": [],
        "models": None,
        "artifacts": _table("Every artifact on every model: medians of devices", latency_models_table(fleet)),
        "devices": _table("", devices_table(fleet)),
        "charts": {model: _charts(fleet, model) for model in fleet.models},
        "outliers": _table("Devices that are not like the others of their model", outliers) if outliers[1] else None,
        "rule": RULE,
        **_common(fleet, result.environment),
    }
    return render(_PACKAGE, "fleet.html.j2", values)


def parity_markdown(result: VerifyResult, fleet: Fleet) -> str:
    """Returns a summary of a verification on a fleet, short enough for a comment on a pull request."""
    lines = [*failure_lines(fleet), *device_lines(fleet)]
    table = parity_models_table(result, fleet)
    verdict = f"{parity_line(result, fleet)}."
    return _markdown(result.bundle, fleet, verdict, lines, table, devices_table(fleet, result))


def latency_markdown(result: BenchResult, fleet: Fleet) -> str:
    """Returns a summary of a benchmark on a fleet, short enough for a comment on a pull request."""
    table = latency_models_table(fleet)
    return _markdown(
        result.bundle, fleet, f"{fleet_line(fleet)}.", device_lines(fleet), table, devices_table(fleet), rule=RULE
    )


def _markdown(
    bundle: str,
    fleet: Fleet,
    verdict: str,
    lines: list[str],
    models: tuple[Row, list[Row]],
    devices: tuple[Row, list[Row]],
    rule: str = "",
) -> str:
    values = {"bundle": bundle, "fleet": fleet, "verdict": verdict, "lines": lines, "rule": rule}
    values |= {"headers": models[0], "rows": models[1], "device_headers": devices[0], "devices": devices[1]}
    return render(_PACKAGE, "fleet.md.j2", values)


def _common(fleet: Fleet, environment: Environment) -> dict[str, object]:
    lost = [
        [device.name, device.state.value, device.reason, device.model, labels_text(device)] for device in _lost(fleet)
    ]
    headers = ["device", "state", "reason", "model", "labels"]
    facts = [("devices", str(len(fleet.devices))), ("models", str(len(fleet.models))), ("unfinished", str(len(lost)))]
    apart = {outlier.device for item in fleet.latency for outlier in item.outliers}
    facts += [("outliers", str(len(apart)))] if fleet.latency else []
    return {
        "fleet": fleet,
        "lost": _table("", (headers, lost)) if lost else None,
        "facts": [*facts, ("took", f"{fleet.elapsed_s:.0f} s")],
        "environment": environment_facts(environment),
    }


def _lost(fleet: Fleet) -> list[Device]:
    return sorted(fleet.unfinished, key=lambda device: device.state is not DeviceState.LOST)


def _table(caption: str, table: tuple[Row, list[Row]]) -> Table:
    headers, rows = table
    return Table(caption=caption, headers=headers, rows=rows)


def _charts(fleet: Fleet, model: str) -> list[Figure]:
    """Returns one chart for each component and number of threads: an artifact in each row, the fastest first."""
    groups: dict[tuple[str, int], list[ModelLatency]] = {}
    for item in fleet.latency:
        if item.model == model:
            groups.setdefault((item.artifact.partition(".")[0], item.threads), []).append(item)
    several = len({threads for _, threads in groups}) > 1
    figures = []
    for (component, threads), items in groups.items():
        setting = f", {threads} threads" if several and threads > 1 else ""
        count = max(len(item.medians_s) for item in items)
        devices = count_of(count, "device")
        title = f"{component}{setting} on {devices} of {model} [µs], logarithmic: the median of each"
        ranges = [_range(item) for item in sorted(items, key=lambda item: item.median_s)]
        figures.append(
            Figure(
                svg=range_chart(ranges, title=title),
                narrow=range_chart(ranges, title=title, is_narrow=True),
                caption=title,
            )
        )
    return figures


def _range(item: ModelLatency) -> Range:
    apart = {outlier.device for outlier in item.outliers}
    near = [value for device, value in item.medians_s.items() if device not in apart]
    lowest, low, middle, high, highest = (float(value) * 1e6 for value in np.quantile(near, _QUARTILES))
    component, _, rest = item.artifact.partition(".")
    return Range(
        label=rest or component,
        quantiles=(lowest, low, middle, high, highest),
        text=duration(item.median_s),
        kind=item.artifact.rpartition(".")[2],
        apart=tuple(
            (f"{outlier.device}: {duration(outlier.median_s)}", outlier.median_s * 1e6) for outlier in item.outliers
        ),
    )
