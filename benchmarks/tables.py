"""Results as rows of text, for the terminal and the report."""

from __future__ import annotations

import math

from pocketvae.benchmarks.results import Check, VerifyResult

Row = list[str]


def verify_table(result: VerifyResult) -> tuple[Row, list[Row]]:
    """Returns headers and one row per artifact and target: its worst check, with the limit and where it comes from."""
    headers = ["artifact", "target", "worst", "value", "limit", "limit from", "verdict"]
    rows = []
    for key in dict.fromkeys((check.artifact, check.target) for check in result.checks):
        check = worst_check([check for check in result.checks if (check.artifact, check.target) == key])
        value, limit = format_value(check.value, check), format_value(check.limit, check)
        what = f"{check.output} {check.metric}".strip()
        rows.append([*key, what, value, limit, check.detail or check.limit_source, "pass" if check.passed else "FAIL"])
    rows += [[item.artifact, item.target, "not run", "", "", item.reason, "FAIL"] for item in result.not_run]
    return headers, rows


def worst_check(checks: list[Check]) -> Check:
    """Returns the failed check that comes first, or else the one closest to its limit."""
    failed = [check for check in checks if not check.passed]
    return failed[0] if failed else max(checks, key=used_share)


def used_share(check: Check) -> float:
    """Returns how much of its limit a check uses; -1 for a check without a number."""
    if check.value is None or check.limit is None:
        return -1.0
    if check.limit == 0:
        return 0.0 if check.value == 0 else math.inf
    return check.value / check.limit


def format_value(value: float | None, check: Check) -> str:
    """Returns a deviation in the unit its users think in: pixel steps of 1/255 for images, nats for posteriors."""
    if value is None:
        return "-"
    if check.metric.startswith("kl_"):
        return f"{value:.2g} nats"
    if check.output == "image" and value >= 1e-4 and not check.metric.startswith("share"):
        return f"{value * 255:.2f}/255"
    return f"{value:.1e}"


def format_us(seconds: float) -> str:
    """Returns microseconds, to a tenth below 100."""
    microseconds = seconds * 1e6
    return f"{microseconds:.1f}" if microseconds < 100 else f"{microseconds:.0f}"


def format_ratio(ratio: float | None) -> str:
    """Returns a speed-up with two or three significant digits; `-` where there is none."""
    if ratio is None:
        return "-"
    return f"{ratio:.0f}" if ratio >= 100 else f"{ratio:.1f}"
