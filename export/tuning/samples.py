"""Values inside a graph on calibration samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.export.rewrites.frozen import FrozenGraph
from pocketvae.keras.io import open_graph

Inputs = Mapping[str, npt.NDArray[Any]]

# Ranges of channels are about right with fewer samples than ranges of tensors, which integers must cover.
_MOST_SAMPLES = 128


def largest_values(
    graph: FrozenGraph, tensors: Sequence[Any], samples: Inputs, most: int = _MOST_SAMPLES
) -> list[npt.NDArray[np.float64]]:
    """Returns the largest absolute value of each channel, `[C]` for each of some tensors `[1, ..., C]`.

    Args:
        graph: The graph.
        tensors: Of the graph.
        samples: Input name to `[N, ...]`.
        most: Number of samples that is enough.

    Raises:
        FloatingPointError: a value is not finite.
    """
    count = len(next(iter(samples.values())))
    largest = [np.zeros(int(tensor.shape[-1])) for tensor in tensors]
    with open_graph(graph.graph) as session:
        for index in range(0, count, max(1, count // most)):
            feed = {name: samples[name.split(":")[0]][index : index + 1] for name in graph.inputs}
            for known, values in zip(largest, session.run(list(tensors), feed), strict=True):
                np.maximum(known, np.abs(values).reshape(-1, values.shape[-1]).max(axis=0), out=known)
    if not all(np.isfinite(known).all() for known in largest):
        raise FloatingPointError("a layer's output is not finite")
    return largest


def value_ranges(graph: FrozenGraph, tensors: Sequence[Any], samples: Inputs) -> list[tuple[float, float]]:
    """Returns the smallest and largest value of tensors on all samples.

    Raises:
        FloatingPointError: a value is not finite.
    """
    lows, highs = np.full(len(tensors), np.inf), np.full(len(tensors), -np.inf)
    with open_graph(graph.graph) as session:
        for index in range(len(next(iter(samples.values())))):
            feed = {name: samples[name.split(":")[0]][index : index + 1] for name in graph.inputs}
            values = session.run(list(tensors), feed)
            lows = np.minimum(lows, [value.min() for value in values])
            highs = np.maximum(highs, [value.max() for value in values])
    if not (np.isfinite(lows).all() and np.isfinite(highs).all()):
        raise FloatingPointError("a layer's output is not finite")
    return [(float(low), float(high)) for low, high in zip(lows, highs, strict=True)]
