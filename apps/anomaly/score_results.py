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

SCHEMA_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class ImageScore:
    """One image.

    Attributes:
        name: Its file, or its number in the source.
        scores: Score to its value.
        anomalous: Whether the chosen score is above its threshold.
    """

    __pydantic_config__ = STRICT
    name: str
    scores: dict[ScoreKind, float]
    anomalous: bool


@dataclass(frozen=True, kw_only=True)
class ScoreResult:
    """What `pocketvae score` has found.

    Attributes:
        bundle: Name of the bundle's model.
        chosen: The score that decides.
        threshold: Above it an image is an anomaly.
        false_positive_rate: That the threshold was fitted to.
        images: In the order of the source.
        auroc: Score to the area under its ROC curve against known normal images; empty without such.
    """

    __pydantic_config__ = STRICT
    schema_version: int = SCHEMA_VERSION
    bundle: str
    chosen: ScoreKind
    threshold: float
    false_positive_rate: float
    images: tuple[ImageScore, ...]
    auroc: dict[ScoreKind, float]

    @property
    def anomalies(self) -> int:
        """How many images are anomalies."""
        return sum(image.anomalous for image in self.images)


def score_result(
    calibration: Calibration,
    chosen: ScoreKind,
    names: tuple[str, ...],
    values: Mapping[ScoreKind, Doubles],
    normal: Mapping[ScoreKind, Doubles] | None,
) -> ScoreResult:
    """Compares scores with the calibration's thresholds, and with the scores of known normal images where given."""
    threshold = calibration.thresholds[chosen]
    return ScoreResult(
        bundle=calibration.bundle,
        chosen=chosen,
        threshold=threshold,
        false_positive_rate=calibration.false_positive_rate,
        images=tuple(
            ImageScore(
                name=name,
                scores={kind: float(value[index]) for kind, value in values.items()},
                anomalous=bool(values[chosen][index] > threshold),
            )
            for index, name in enumerate(names)
        ),
        auroc={} if normal is None else {kind: auroc(normal[kind], value) for kind, value in values.items()},
    )


def score_csv(result: ScoreResult) -> str:
    """Returns a row for each image: its name, every score, and whether it is an anomaly."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["name", *ScoreKind, "anomalous"])
    for image in result.images:
        values = [repr(image.scores[kind]) for kind in ScoreKind]
        writer.writerow([image.name, *values, int(image.anomalous)])
    return text.getvalue()
