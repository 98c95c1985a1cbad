"""The document behind `score --json`, and the same as CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import overload

import numpy as np

from pocketvae.apps.anomaly.calibration import Calibration
from pocketvae.apps.anomaly.detection import Detection, detect
from pocketvae.apps.anomaly.features import Doubles
from pocketvae.apps.anomaly.scores import ScoreKind
from pocketvae.data.timeline import Timeline
from pocketvae.documents import encode
from pocketvae.spec import STRICT
from pocketvae.vae_spec import DataKind

# 3: `detection` says more than `auroc`, with intervals.
# 4: shares above the threshold, events too short to be scored, no areas where all items are normal or all anomalies.
SCHEMA_VERSION = 4
_ROWS_AT_ONCE = 1024
_NO_ITEMS = '"items": []'


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


class ItemScores(Sequence[ItemScore]):
    """The scores of all items, each made when it is looked at: there are many windows in a long recording."""

    def __init__(
        self, names: Sequence[str], values: Mapping[ScoreKind, Doubles], chosen: ScoreKind, threshold: float
    ) -> None:
        """Keeps what is known of the items: their names, their `[N]` scores, and how the chosen one decides."""
        self._names, self._values, self._chosen, self._threshold = names, values, chosen, threshold

    def __len__(self) -> int:
        return len(self._names)

    @property
    def anomalies(self) -> int:
        """How many of them are anomalies."""
        return int(np.count_nonzero(self._values[self._chosen] > self._threshold))

    def rows(self, part: slice) -> Iterable[Sequence[object]]:
        """Returns name, scores and decision, 1 for an anomaly, of some of them."""
        columns = [value[part].tolist() for value in self._values.values()]
        anomalous = (self._values[self._chosen][part] > self._threshold).astype(np.int64).tolist()
        return zip(self._names[part], *columns, anomalous, strict=True)

    @overload
    def __getitem__(self, index: int) -> ItemScore: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[ItemScore, ...]: ...

    def __getitem__(self, index: int | slice) -> ItemScore | tuple[ItemScore, ...]:
        if isinstance(index, slice):
            return tuple(self[number] for number in range(*index.indices(len(self))))
        return ItemScore(
            name=self._names[index],
            scores={kind: float(value[index]) for kind, value in self._values.items()},
            anomalous=bool(self._values[self._chosen][index] > self._threshold),
        )


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
        auroc: The area under each score's ROC curve against normal items; empty without these or without anomalies.
        detection: How well each score detects anomalies that are known; empty where none are.
    """

    __pydantic_config__ = STRICT
    schema_version: int = SCHEMA_VERSION
    bundle: str
    chosen: ScoreKind
    threshold: float
    false_positive_rate: float
    data: DataKind
    items: Sequence[ItemScore]
    auroc: dict[ScoreKind, float]
    detection: dict[ScoreKind, Detection]

    @property
    def anomalies(self) -> int:
        """Number of items that are anomalies."""
        if isinstance(self.items, ItemScores):
            return self.items.anomalies
        return sum(item.anomalous for item in self.items)


def score_result(
    calibration: Calibration,
    chosen: ScoreKind,
    names: Sequence[str],
    values: Mapping[ScoreKind, Doubles],
    normal: Mapping[ScoreKind, Doubles] | None = None,
    timeline: Timeline | None = None,
    normal_timeline: Timeline | None = None,
) -> ScoreResult:
    """Compares scores with the calibration's thresholds, and with the truth where it is known.

    Args:
        calibration: Has the thresholds.
        chosen: The score that decides.
        names: Of the items.
        values: `[N]` scores.
        normal: Scores of known normal items: all others are anomalies then.
        timeline: Of items that are windows of recordings, with the truth.
        normal_timeline: Of the known normal items, if they are windows of recordings.
    """
    threshold = calibration.thresholds[chosen]
    detection = _detection(calibration.thresholds, values, normal, timeline, normal_timeline)
    return ScoreResult(
        bundle=calibration.bundle,
        chosen=chosen,
        threshold=threshold,
        false_positive_rate=calibration.false_positive_rate,
        data=calibration.data,
        items=ItemScores(names, values, chosen, threshold),
        auroc={kind: found.auroc.value for kind, found in detection.items() if found.auroc is not None},
        detection=detection,
    )


def _detection(
    thresholds: Mapping[ScoreKind, float],
    values: Mapping[ScoreKind, Doubles],
    normal: Mapping[ScoreKind, Doubles] | None,
    timeline: Timeline | None,
    normal_timeline: Timeline | None,
) -> dict[ScoreKind, Detection]:
    if timeline is not None and timeline.truth is not None:
        truth = timeline.anomalous()
        return {kind: detect(value, truth, thresholds[kind], timeline) for kind, value in values.items()}
    if normal is None:
        return {}
    return {
        kind: detect(
            np.concatenate([normal[kind], value]),
            np.arange(len(normal[kind]) + len(value)) >= len(normal[kind]),
            thresholds[kind],
            None,
            sources=(normal_timeline or len(normal[kind]), timeline or len(value)),
        )
        for kind, value in values.items()
    }


def score_csv(result: ScoreResult) -> Iterator[str]:
    """Yields CSV rows, one for each item: its name, every score, and whether it is an anomaly; first the header."""
    kinds = list(result.items[0].scores)
    yield _rows([["name", *kinds, "anomalous"]])
    for first in range(0, len(result.items), _ROWS_AT_ONCE):
        yield _rows(_cells(result.items, first, kinds))


def _cells(items: Sequence[ItemScore], first: int, kinds: Sequence[ScoreKind]) -> Iterable[Sequence[object]]:
    """Returns the cells of some rows, from item `first` on; many at a time, where they are columns."""
    part = slice(first, first + _ROWS_AT_ONCE)
    if isinstance(items, ItemScores):
        return items.rows(part)
    return ([item.name, *(item.scores[kind] for kind in kinds), int(item.anomalous)] for item in items[part])


def _rows(rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    # A float is written as its repr.
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def score_json(result: ScoreResult) -> Iterator[str]:
    """Yields the result as JSON, piece by piece; together they are what `encode` returns."""
    head, _, tail = encode(replace(result, items=())).rpartition(_NO_ITEMS)
    yield f'{head}"items": ['
    for index, item in enumerate(result.items):
        text = json.dumps(asdict(item), sort_keys=True, indent=2, allow_nan=False).replace("\n", "\n    ")
        yield f"{',' if index else ''}\n    {text}"
    yield f"\n  ]{tail}"
