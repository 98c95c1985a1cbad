"""Whether an encoder takes other numbers for black and white than its decoder returns, as its first operators show it.

An encoder that divides pixels of 0 to 255 itself is common, beside a decoder that ends in a sigmoid.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from pocketvae.export.external.bounds import SELECTING, Interval, constant, divide, multiply, negative, subtract
from pocketvae.export.external.bounds import add as add_intervals
from pocketvae.export.external.graph import TracedGraph
from pocketvae.keras.model_form import Port

_PIXELS: Interval = (0.0, 255.0)
# Networks are trained on values of about 1: an encoder that makes less of an image than this does not see it, ...
_FLAT = 0.1
# ... nor one that moves it farther from 0 than this many times what is left of its range.
_MOVED = 20.0
# What pixels of 0 to 255 become: 0 to 1, -1 to 1, or values with a mean of 0 and a variance of 1.
_LEAST_SPAN, _MOST_VALUE = 0.5, 4.0
# What reads sizes alone.
_SIZES = frozenset({"Shape", "ShapeN", "Rank", "Size"})


@dataclass(frozen=True, kw_only=True)
class Front:
    """What an encoder does first to each value: times `factor`, plus `offset`, each different for channels at most."""

    factor: Interval = (1.0, 1.0)
    offset: Interval = (0.0, 0.0)

    def of(self, limits: Interval) -> Interval:
        """Returns the range of what it makes of values in a range."""
        return add_intervals(multiply(limits, self.factor), self.offset)

    @property
    def takes_pixels(self) -> bool:
        """Whether it makes numbers for a network out of 0 to 255."""
        low, high = self.of(_PIXELS)
        return high - low >= _LEAST_SPAN and max(abs(low), abs(high)) <= _MOST_VALUE and low <= _LEAST_SPAN

    def loses(self, limits: Interval) -> bool:
        """Whether hardly anything is left of values in a range."""
        low, high = self.of(limits)
        slope = max(map(abs, self.factor)) * (limits[1] - limits[0])
        return slope < _FLAT or abs(low + high) / 2 > _MOVED * slope


def for_pixels(port: Port, graph: TracedGraph, place: int, limits: Interval) -> tuple[Port, str]:
    """Returns the input of an encoder that takes the images of its decoder, and what was changed in words.

    Args:
        port: The input.
        graph: Of the encoder.
        place: The position of the input among the encoder's.
        limits: Black and white of the decoder's images.
    """
    found = front(graph, place)
    if port.dtype != "float32" or not found.takes_pixels or not found.loses(limits):
        return port, ""
    low, high = limits
    scale = (high - low) / _PIXELS[1]
    change = f"with images in [{low:g}, {high:g}] like the decoder's, scaled to its pixels of 0 to 255"
    return replace(port, scale=scale, shift=-low / scale), change


def front(graph: TracedGraph, place: int) -> Front:
    """Returns what the first operators do to the values of an input, up to the first that does anything else."""
    node, found = graph.inputs[place], Front()
    followers: dict[str, list[str]] = {}
    for name in sorted(graph.needed):
        kind, sources = graph.operators[name]
        for source in dict.fromkeys(sources if kind not in _SIZES else ()):
            followers.setdefault(source, []).append(name)
    while len(followers.get(node, [])) == 1:
        (after,) = followers[node]
        kind, sources = graph.operators[after]
        if kind not in SELECTING:
            changed = _changed(graph, kind, sources, node, found)
            if changed is None:
                break
            found = changed
        node = after
    return found


def _changed(graph: TracedGraph, kind: str, sources: tuple[str, ...], node: str, so_far: Front) -> Front | None:
    """Returns the front with a step of arithmetic with a constant behind it; None where the step is none."""
    if len(sources) != 2 or sources[0] == sources[1]:  # Two operands.
        return None
    is_first = sources[0] == node
    number = constant(graph, sources[1] if is_first else sources[0])
    if number is None:
        return None
    factor, offset = so_far.factor, so_far.offset
    if kind in ("Add", "AddV2", "BiasAdd"):
        return Front(factor=factor, offset=add_intervals(offset, number))
    if kind == "Sub" and is_first:
        return Front(factor=factor, offset=subtract(offset, number))
    if kind == "Sub":
        return Front(factor=negative(factor), offset=subtract(number, offset))
    if kind == "Mul":
        return Front(factor=multiply(factor, number), offset=multiply(offset, number))
    if kind == "RealDiv" and is_first:
        return Front(factor=divide(factor, number), offset=divide(offset, number))
    return None
