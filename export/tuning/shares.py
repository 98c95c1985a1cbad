"""How much of the range of a tensor integers should cover, by the error that is left in the outputs.

A narrower range has finer steps and clips what is rare. What that is worth at one place depends on all that lies behind
it, so it is tried there: the tensor alone is rounded to integers, everything else is computed in float, and the share
of the range with the smallest error is taken. That needs neither a quantized file nor gradients.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.export.rewrites.frozen import FrozenGraph
from pocketvae.export.tuning.samples import Inputs
from pocketvae.keras.io import open_graph

LEVELS = 255
_PRODUCTS = frozenset({"Conv2D", "Conv2DBackpropInput", "MatMul"})
_BIASES = frozenset({"AddV2", "BiasAdd"})
_SHARES = (1.0, 0.8, 0.63, 0.5, 0.4, 0.32, 0.25)
_MOST_SAMPLES = 48
_FEWEST_SAMPLES = 8
# Of the outputs that are compared: 42 images of 64 px in colour.
_MOST_VALUES = 2**19


@dataclass(frozen=True, kw_only=True)
class Place:
    """A tensor that is to be rounded.

    Attributes:
        tensor: Its name in the graph.
        low: Smallest value.
        high: Largest value.
        levels: Number of steps between them.
    """

    tensor: str
    low: float
    high: float
    levels: int = LEVELS

    def rounded(self, values: npt.NDArray[Any], share: float) -> npt.NDArray[np.float32]:
        """Returns the values as integers that cover a share of the range, of which 0 is one, tell them apart."""
        low, high = min(self.low, 0.0) * share, max(self.high, 0.0) * share
        step = (high - low) / self.levels
        zero = np.round(-low / step)
        integers = np.clip(np.round(values / step) + zero, 0, self.levels) - zero
        return np.asarray(integers * step, np.float32)


def last_output(graph: FrozenGraph, names: Collection[str]) -> str | None:
    """Returns the tensor that a converter's layer computes; None where it cannot be found or must keep its range.

    Args:
        graph: The graph that was converted.
        names: Of operators that the layer was made of, some of which may not be the graph's.
    """
    made_of = [operator for operator in graph.operators if operator.name in names and operator.outputs]
    # Each part of a sum ends where the next one begins.
    if not made_of or any(operator.type == "Relu6" for operator in made_of):
        return None
    tensor = made_of[-1].outputs[0]
    following = graph.only_consumer(tensor)
    if tensor.op.type in _PRODUCTS and following is not None and following.type in _BIASES:
        tensor = following.outputs[0]
    return str(tensor.name)


def best_shares(
    graph: FrozenGraph,
    places: Sequence[Place],
    samples: Inputs,
    is_over: Callable[[], bool] = lambda: False,
    on_runs: Callable[[int], None] = lambda _: None,
) -> list[float]:
    """Returns the share of each place's range with which the outputs have the smallest error.

    Args:
        graph: The network in float.
        places: Each is rounded by itself.
        samples: Calibration samples, input name to `[N, ...]`; some of them are enough.
        is_over: Whether the choice has to end; what was not looked at keeps its whole range.
        on_runs: Is told of how many samples the network is given.

    Raises:
        FloatingPointError: an output is not finite.
    """
    with open_graph(graph.graph) as session:
        outputs = _Outputs(session, graph, samples, on_runs)
        return [1.0 if is_over() else outputs.best_share(place, is_over) for place in places]


class _Outputs:
    """The outputs on some samples, and how far they move with a rounded tensor."""

    def __init__(self, session: Any, graph: FrozenGraph, samples: Inputs, on_runs: Callable[[int], None]) -> None:
        self._session, self._on_runs = session, on_runs
        self._outputs = [graph.graph.get_tensor_by_name(name) for name in graph.outputs]
        self._feeds = list(_feeds(graph, samples, self._outputs))
        self._expected = [session.run(self._outputs, feed) for feed in self._feeds]
        if not all(np.isfinite(values).all() for row in self._expected for values in row):
            raise FloatingPointError("an output is not finite")

    def best_share(self, place: Place, is_over: Callable[[], bool]) -> float:
        """Returns the best share of one place's range; from the whole range on until the error grows or it is late."""
        if not max(place.high, 0.0) > min(place.low, 0.0):
            return 1.0
        values = [self._session.run(place.tensor, feed) for feed in self._feeds]
        best, smallest = 1.0, math.inf
        for share in _SHARES:
            error = self._error(place, values, share)
            if not error < smallest:
                break
            best, smallest = share, error
            if is_over():
                break
        return best

    def _error(self, place: Place, values: list[npt.NDArray[Any]], share: float) -> float:
        total = 0.0
        self._on_runs(len(self._feeds))
        for feed, value, expected in zip(self._feeds, values, self._expected, strict=True):
            found = self._session.run(self._outputs, {**feed, place.tensor: place.rounded(value, share)})
            total += sum(float(np.mean(np.square(a - b))) for a, b in zip(found, expected, strict=True))
        return total


def _feeds(graph: FrozenGraph, samples: Inputs, outputs: Sequence[Any]) -> list[Mapping[str, npt.NDArray[Any]]]:
    """Returns what is fed for each of some samples; fewer of them where the outputs are large."""
    values = sum(math.prod(tensor.shape.as_list()) for tensor in outputs)
    most = max(_FEWEST_SAMPLES, min(_MOST_SAMPLES, _MOST_VALUES // max(1, values)))
    count = len(next(iter(samples.values())))
    chosen = np.unique(np.linspace(0, count - 1, most).round().astype(int))
    return [{name: samples[name.split(":")[0]][index : index + 1] for name in graph.inputs} for index in chosen]
