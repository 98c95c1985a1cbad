"""The document behind `score --json`, and the same as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass

from pocketvae.apps.anomaly.calibration import Calibration
from pocketvae.apps.anomaly.features import Doubles
from pocketvae.apps.anomaly.roc import auroc
from pocketvae.apps.anomaly.scores import ScoreKind
from pocketvae.spec import STRICT
from pocketvae.vae_spec import DataKind

SCHEMA_VERSION = 2


@dataclass(frozen=True, kw_only=True)
class ItemScore:
    """The scores of one item.

    Attributes:
        name: Name of its file, or its number in the source.
        scores: The value of each score.
        anomalous: Whether the chosen score is above its threshold.
    """

    __pydantic_config__ = STRICT
    name: str
    scores: dict[ScoreKind, float]
    anomalous: bool


@dataclass(frozen=True, kw_only=True)
class ScoreResult:
    """The result of `pocketvae score`.

    Attributes:
        bundle: Name of the bundle's model.
        chosen: The score that decides.
        threshold: The value above which an item is an anomaly.
        false_positive_rate: The rate that the threshold was fitted to.
        data: The kind of data.
        items: The items, in the order of the source.
        auroc: The area under each score's ROC curve against known normal items; empty without normal items.
    """

    __pydantic_config__ = STRICT
    schema_version: int = SCHEMA_VERSION
    bundle: str
    chosen: ScoreKind
    threshold: float
    false_positive_rate: float
    data: DataKind
    items: tuple[ItemScore, ...]
    auroc: dict[ScoreKind, float]

    @property
    def anomalies(self) -> int:
        """Number of items that are anomalies."""
        return sum(item.anomalous for item in self.items)


def score_result(
    calibration: Calibration,
    chosen: ScoreKind,
    names: tuple[str, ...],
    values: Mapping[ScoreKind, Doubles],
    normal: Mapping[ScoreKind, Doubles] | None,
) -> ScoreResult:
    """Compares scores with the calibration's thresholds and, if given, with the scores of known normal items."""
    threshold = calibration.thresholds[chosen]
    return ScoreResult(
        bundle=calibration.bundle,
        chosen=chosen,
        threshold=threshold,
        false_positive_rate=calibration.false_positive_rate,
        data=calibration.data,
        items=tuple(
            ItemScore(
                name=name,
                scores={kind: float(value[index]) for kind, value in values.items()},
                anomalous=bool(values[chosen][index] > threshold),
            )
            for index, name in enumerate(names)
        ),
        auroc={} if normal is None else {kind: auroc(normal[kind], value) for kind, value in values.items()},
    )


def score_csv(result: ScoreResult) -> str:
    """Returns a CSV row for each item: its name, every score, and whether it is an anomaly."""
    kinds = list(result.items[0].scores)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["name", *kinds, "anomalous"])
    for item in result.items:
        values = [repr(item.scores[kind]) for kind in kinds]
        writer.writerow([item.name, *values, int(item.anomalous)])
    return text.getvalue()
