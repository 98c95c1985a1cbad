"""The output of `score` about anomalies that are known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pocketvae.cli.terminal import Terminal
from pocketvae.kinds.registry import kind_of

if TYPE_CHECKING:
    from pocketvae.apps.anomaly.detection import Alarms, Detection
    from pocketvae.apps.anomaly.score_results import ScoreResult

_HEADINGS = ("score", "AUROC", "AUPRC", "partial AUROC (10 %)")


def print_detection(result: ScoreResult, terminal: Terminal) -> None:
    """Prints how well each score detects known anomalies, with intervals of 95 %, and what the threshold does."""
    if not result.detection:
        return
    chosen, plural = result.detection[result.chosen], kind_of(result.data).plural
    if chosen.auroc is None:
        kind = "an anomaly" if chosen.anomalous else "normal"
        terminal.line(f"no areas under curves, which compare normal {plural} with anomalies: every one is {kind}")
    else:
        rows = [
            (str(kind), str(found.auroc), str(found.auprc), str(found.partial_auroc))
            for kind, found in result.detection.items()
        ]
        terminal.table(_HEADINGS, rows)
    terminal.line(_shares(chosen, plural))
    if chosen.alarms is not None:
        terminal.line(_described(chosen.alarms))


def _shares(found: Detection, plural: str) -> str:
    shares = (
        (found.recall, f"{found.anomalous} anomalies"),
        (found.false_positive_rate, f"{found.normal} normal {plural}"),
    )
    known = [f"{100 * share:.3g} % of {whose}" for share, whose in shares if share is not None]
    return f"{' and '.join(known)} lie above the threshold"


def _described(alarms: Alarms) -> str:
    unit = "s" if alarms.rate_hz is not None else "time steps"
    delay = alarms.median_delay_s
    late = "" if delay is None else f", half of them within {delay:.3g} {unit}"
    one = "lies in a part of a recording that is" if alarms.too_short == 1 else "lie in parts of recordings that are"
    short = f"; {alarms.too_short} {one} shorter than a window, so cannot be" if alarms.too_short else ""
    a_day = alarms.false_alarms_per_day
    rate = "" if a_day is None else f", {a_day:.3g} a day"
    plural = "" if alarms.false_alarms == 1 else "s"
    watched = f"{alarms.watched_s:.4g} {unit} of normal operation"
    return (
        f"{alarms.detected} of {alarms.events} events detected{late}{short}; {alarms.false_alarms} false alarm{plural} "
        f"in {watched}{rate}"
    )
