"""Results as rows of text, for the terminal and the report."""

from __future__ import annotations

from pocketvae.benchmarks.devices import ModelParity
from pocketvae.benchmarks.not_run import ALL, NotRun, summed_up
from pocketvae.benchmarks.parity.results import Check, Layer, LayerReport, Verdict, VerifyResult, verdict_of
from pocketvae.kinds.registry import deviation
from pocketvae.numerics.tolerance import error_ratio
from pocketvae.outputs import Output
from pocketvae.reporting.text import Row

# The column "limit from".
_FROM = 5
_NOT_RUN = "not run"
# The verdict on what supports none of the artifacts, which is none.
NO_VERDICT = "-"
# Multiply-adds in percent, and operators.
_INTEGERS = "in integers"
# Columns of the table that a narrow terminal can do without.
VERIFY_LESS = (_INTEGERS, "worst", "limit", "target")


def verify_table(result: VerifyResult) -> tuple[Row, list[Row]]:
    """Returns headers and one row per artifact and target.

    That is its worst check, with the limit and where it comes from, and how much of it computes in integers: the share
    of multiply-adds and the number of operators, where the bundle records them. A target on which nothing ran has a row
    too.
    """
    headers = ["artifact", "target", "worst", "value", "limit", "limit from", "verdict"]
    rows = []
    for key in dict.fromkeys((check.artifact, check.target) for check in result.checks):
        check = worst_check([check for check in result.checks if (check.artifact, check.target) == key])
        unit = result.unit_of(check.output)
        value, limit = (format_value(number, check, unit) for number in (check.value, check.limit))
        what = f"{check.output} {check.metric}".strip() + (f", batch {check.batch}" if check.batch > 1 else "")
        rows.append([*key, what, value, limit, check.detail or check.limit_source, check_verdict(check)])
    rows += [
        [item.artifact, item.target, _NOT_RUN, "", "", item.reason, Verdict.INCOMPLETE.value] for item in result.not_run
    ]
    rows += [[item.artifact, item.target, "nothing ran", "", "", item.reason, NO_VERDICT] for item in idle(result)]
    if result.integers:
        headers.insert(-1, _INTEGERS)
        for row in rows:
            share = result.integers.get(row[0])
            row.insert(-1, f"{share.percent}, {share.counts}" if share else "")
    return headers, rows


def verify_summary(result: VerifyResult) -> tuple[Row, list[Row], list[str]]:
    """Returns `verify_table` without the origin of limits, and a line for each row that failed: what was wrong."""
    headers, rows = verify_table(result)
    failed = [row for row in rows if row[-1] == Verdict.FAILED and row[_FROM]]
    problems = [f"{row[0]} on {row[1]}: {row[2]}: {row[_FROM]}" for row in failed]
    problems += [f"{item.artifact} on {item.target}: {_NOT_RUN}: {item.reason}" for item in summed_up(result.not_run)]
    shorter = [[*row[:_FROM], *row[_FROM + 1 :]] for row in (headers, *rows)]
    return shorter[0], shorter[1:], problems


def verdict_line(result: VerifyResult) -> str:
    """Returns the verdict in a sentence: how many artifacts match everywhere, and how many could not be run."""
    not_run = [item for item in result.not_run if item.artifact != ALL]
    lost = {item.artifact for item in not_run}
    artifacts = tuple(dict.fromkeys((*result.artifacts(), *(item.artifact for item in not_run))))
    failed = {check.artifact for check in result.checks if not check.passed}
    # What could not be run on one of the targets is not known to match.
    matching = [name for name in artifacts if name not in failed | lost]
    line = f"{len(matching)} of {len(artifacts)} artifacts match the original"
    others = [name for name in dict.fromkeys(check.artifact for check in result.checks) if result.is_other_file(name)]
    if others:
        line += f"; {len(others)} other {'files are' if len(others) > 1 else 'file is'} damaged: {', '.join(others)}"
    if failed - set(artifacts) - set(others):
        line += "; a control that must be told apart was not"
    if result.verdict is Verdict.INCOMPLETE:
        line = f"Incomplete: no check failed; {line}"
    checked = {check.target for check in result.checks}
    unused = [item.target for item in result.not_run if item.artifact == ALL and item.target not in checked]
    unused += [item.target for item in idle(result)]
    if unused:
        line += f"; nothing ran on {', '.join(unused)}"
    missing = len({(item.artifact, item.target) for item in not_run})
    elsewhere = len((lost - failed) & set(result.artifacts()))
    if elsewhere:
        return f"{line} on every target; {missing} could not be run, {elsewhere} of these match elsewhere"
    return f"{line}; {missing} could not be run" if missing else line


def idle(result: VerifyResult) -> list[NotRun]:
    """Returns an item for each target on which nothing ran because it supports none of the artifacts, with why.

    That is no failure, and not to be seen in checks.
    """
    busy = {check.target for check in result.checks} | {item.target for item in result.not_run}
    reasons: dict[str, list[str]] = {}
    for item in result.declined:
        if item.target not in busy:
            reasons.setdefault(item.target, []).append(item.reason)
    return [
        NotRun(artifact=ALL, target=target, reason="; ".join(dict.fromkeys(found))) for target, found in reasons.items()
    ]


def figures_table(result: VerifyResult) -> tuple[Row, list[Row]]:
    """Returns headers and one row per artifact, target and output: the figures over all golden samples."""
    kept = [figure for figure in result.figures if not figure.stratum]
    metrics = [name for name in _SHOWN_FIGURES if any(figure.metric == name for figure in kept)]
    rows = []
    for key in dict.fromkeys((figure.artifact, figure.target, figure.output) for figure in kept):
        values = {f.metric: f.value for f in kept if (f.artifact, f.target, f.output) == key}
        rows.append([*key, *(format_figure(name, values.get(name)) for name in metrics)])
    return ["artifact", "target", "output", *(_SHOWN_FIGURES[name] for name in metrics)], rows


def remark_lines(result: VerifyResult) -> list[str]:
    """Returns one line for each remark of a target's tools."""
    return [f"{item.artifact} on {item.target}: {item.text}" for item in result.remarks]


def layer_lines(result: VerifyResult) -> list[str]:
    """Returns one line per artifact that was compared layer by layer: the first bad layer, and caveats."""
    return [f"{report.artifact} layer by layer: {_layers_text(report)}" for report in result.layers]


def _layers_text(report: LayerReport) -> str:
    if report.reason:
        return f"not compared: {report.reason}"
    layers = [layer for layer in report.layers if layer.sqnr_db is not None]
    lowest = min(layers, key=lambda layer: layer.sqnr_db or 0.0, default=None)
    figures = ", all equal" if lowest is None else f", lowest {ratio_text(lowest)}, output {ratio_text(layers[-1])}"
    parts = [f"{len(report.layers)} layers{figures}"]
    if report.first_bad is not None:
        parts.append(f"first bad layer {report.first_bad.split(';')[0]}")
    if report.unmatched:
        parts.append(f"{len(report.unmatched)} without a counterpart")
    if report.looking_changed is None:
        parts.append("keeping all tensors changed which values of the output are finite")
    elif report.looking_changed > 0:
        parts.append(f"keeping all tensors changed the output by {report.looking_changed:.1e}")
    return "; ".join(parts)


def ratio_text(layer: Layer) -> str:
    """Returns the ratio of a layer that is not equal to that of the float32 file."""
    return "not finite" if layer.max_abs is None else f"{layer.sqnr_db:.1f} dB"


def format_figure(metric: str, value: float | None) -> str:
    """Returns a figure formatted for users; empty if there is none."""
    if value is None:
        return ""
    if metric.startswith("share") or metric == "npu_share":
        return f"{value:.2%}"
    if metric == "psnr_db":
        return f"{value:.1f}"
    if metric.startswith("ssim"):
        return f"{value:.4f}"
    if metric == "fully_accelerated":
        return "yes" if value else "no"
    if metric in ("elbo_change_mean", "nll_change_mean", "diversity_ratio"):
        return f"{value:.3f}"
    return f"{value:.0f}" if metric in _WHOLE else f"{value:.1e}"


_WHOLE = ("active_units_changed", "arena_bytes", "estimated_cycles", "sram_bytes", "flash_bytes", "cpu_operators")
# Figures in the unit of a pixel; the others are shares or have their own unit.
_PIXEL_METRICS = ("max_abs", "mean_abs", "p99_abs", "rmse")
_SHOWN_FIGURES = {
    "max_abs": "max",
    "mean_abs": "mean",
    "p99_abs": "p99",
    "rmse": "RMSE",
    "cosine_loss": "1 - cos",
    "psnr_db": "PSNR dB",
    "ssim": "SSIM",
    "ssim_worst": "SSIM, worst",
    "share_off_by_1": "> 1/255",
    "share_off_by_4": "> 4/255",
    "kl_mean": "KL nats",
    "kl_max": "KL, worst",
    "active_units_changed": "units changed",
    "jump_rmse": "jump",
    "repeat_max_abs": "repeats differ",
    "elbo_change_mean": "ELBO lost, nats",
    "nll_change_mean": "-log p(x), nats",
    "diversity_ratio": "diversity",
    "arena_bytes": "arena bytes",
    "fully_accelerated": "all on WebGPU",
    "npu_share": "on the NPU",
    "cpu_operators": "on the CPU, inside",
    "estimated_cycles": "cycles, estimated",
    "estimated_s": "seconds, estimated",
    "sram_bytes": "SRAM bytes",
    "flash_bytes": "flash bytes",
}


def check_verdict(check: Check) -> str:
    """Returns the verdict of one check that ran."""
    return verdict_of(failed=not check.passed, complete=True).value


def worst_check(checks: list[Check]) -> Check:
    """Returns the first failed check, or else the one closest to its limit."""
    failed = [check for check in checks if not check.passed]
    return failed[0] if failed else max(checks, key=check_error_ratio)


def check_error_ratio(check: Check | ModelParity) -> float:
    """Returns the error ratio of a check; -1 for a check without a number."""
    if check.value is None or check.limit is None:
        return -1.0
    return error_ratio(check.value, check.limit)


def format_value(value: float | None, check: Check | ModelParity, unit: Output | None) -> str:
    """Returns a deviation in the unit that users think in.

    It is steps of 1/255 for images, shares of the range for other data, nats for posteriors. A check's value and its
    limit have the same unit, that of the larger one.

    Args:
        value: The check's value or its limit.
        check: The check.
        unit: The decoder's output that it is about; None of others.
    """
    if value is None:
        return "-"
    if check.metric.startswith(("kl_", "elbo_", "nll_")):
        return f"{value:.2g} nats"
    largest = max(number for number in (value, check.value, check.limit) if number is not None)
    if unit is not None and largest / unit.span >= 1e-4 and check.metric in _PIXEL_METRICS:
        return deviation(unit, value / unit.span)
    return f"{value:.1e}"


def declined_lines(result: VerifyResult) -> list[str]:
    """Returns a line per target and reason: which artifacts the target does not support."""
    groups: dict[tuple[str, str], list[str]] = {}
    for item in result.declined:
        groups.setdefault((item.target, item.reason), []).append(item.artifact)
    return [f"{target}: left out {', '.join(names)}: {reason}" for (target, reason), names in groups.items()]
