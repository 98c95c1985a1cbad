"""Scores of recordings over time: the picture of a detector at work, and its scores by the truth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from pocketvae.apps.anomaly.features import Doubles
from pocketvae.apps.anomaly.score_results import ScoreResult
from pocketvae.apps.sources import SourceImages
from pocketvae.data.timeline import Timeline
from pocketvae.data.window_values import value_blocks
from pocketvae.errors import DataError
from pocketvae.numerics.normalization import in_own_unit
from pocketvae.reporting.timeline_chart import Row, TimelineChart
from pocketvae.vae_spec import VaeSpec

_Name = TypeVar("_Name", bound=str)


def separated(
    values: Mapping[_Name, Doubles], normal: Mapping[_Name, Doubles] | None, timeline: Timeline | None
) -> tuple[Mapping[_Name, Doubles], Mapping[_Name, Doubles]]:
    """Returns the scores of normal items and those of anomalies.

    Args:
        values: `[N]` scores by name.
        normal: Scores of known normal items, if all others are anomalies.
        timeline: With the truth, if it is known of every item.

    Raises:
        DataError: neither is known.
    """
    if normal is not None:
        return normal, values
    if timeline is None or timeline.truth is None:
        raise DataError("which items are anomalies is not known")
    truth = timeline.anomalous()
    normal_ones, others = ({name: value[part] for name, value in values.items()} for part in (~truth, truth))
    return normal_ones, others


def timeline_svg(items: SourceImages, values: Doubles, result: ScoreResult, vae: VaeSpec) -> str:
    """Draws the chosen score over time, with its alarms, above the channels.

    Args:
        items: Windows of recordings.
        values: `[N]`, their chosen score.
        result: Has the threshold.
        vae: Has the channels' names, if they have any.

    Raises:
        DataError: the items are no windows of recordings.
    """
    timeline = items.timeline
    if timeline is None:
        raise DataError("a timeline needs windows of recordings")
    length, channels = vae.input_shape
    named = [channel.name for channel in vae.input_channels]
    labels = named if len(named) == channels and all(named) else [str(index) for index in range(channels)]
    labels = labels if vae.log_mel is None else ["sound"]
    stride = timeline.stride()
    rate = timeline.rate_hz
    names = tuple(dict.fromkeys(timeline.names))
    found = [_limits(in_own_unit(block[:, :stride], vae.input_channels)) for _, block in value_blocks(items.images)]
    low, high = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return TimelineChart(
        title=f"{names[0] if len(names) == 1 else f'{len(names)} recordings'}: {len(items)} windows of {length} steps",
        score_name=str(result.chosen),
        scores=values,
        threshold=result.threshold,
        anomalous=timeline.anomalous(),
        parts=(np.flatnonzero(np.diff(timeline.recordings)) + 1).tolist(),
        step=stride / rate if rate else stride,
        unit="seconds" if rate else "time steps",
        rows=[
            # Of each window the steps that the next one does not hold too, so that a short event stays short.
            Row(label=label, low=low[:, index], high=high[:, index])
            for index, label in enumerate(labels)
        ],
    ).svg()


def _limits(items: npt.NDArray[np.float32]) -> tuple[Doubles, Doubles]:
    """Returns the smallest and largest value of each item's channels, `[N, C]`, of items `[N, T, C]`."""
    return items.min(axis=1).astype(np.float64), items.max(axis=1).astype(np.float64)
