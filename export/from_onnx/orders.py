"""The order of axes of a decoder and its encoder, decided together: what one file does not show, the other may.

A convolution on one side says where the channels are, and the other side follows, which flattens the same tensor first.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from pocketvae.export.from_onnx.folding import shapes_of, store
from pocketvae.export.from_onnx.layout import Evidence, evidence, usual_order
from pocketvae.keras.model_form import DataFormat
from pocketvae.spec import Component

_LEAST_RANK = 3
_COLOURS, _LEAST_SIDE = 3, 16
_BOUNDED = frozenset({"Sigmoid", "Tanh", "Clip", "HardSigmoid", "Min", "Max"})
_MOVES = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Cast"})


class Graphs(Protocol):
    """One component: what is prepared and what it is compared with, which change alike, and the changes in words."""

    @property
    def model(self) -> Any:
        """A `ModelProto` to prepare."""

    @property
    def original(self) -> Any:
        """The one to compare with."""

    @property
    def changes(self) -> list[str]:
        """What was changed."""


@dataclass(frozen=True, kw_only=True)
class _Place:
    """An input or output: its component and side, its sizes without the batch, and what operators show of it."""

    component: Component
    name: str
    is_data: bool
    sizes: tuple[int, ...]
    seen: Evidence | None


Orders = Mapping[Component, Mapping[str, bool]]


def arranged(
    parts: Mapping[Component, Graphs],
    stated: DataFormat | None,
    *,
    is_image: bool,
    image_shape: tuple[int, int, int] | None = None,
) -> tuple[Orders, tuple[str, ...]]:
    """Returns for each input and output whether its channels are second, and what was assumed.

    Flat inputs and outputs get, in place, the axes that they have in the other file: PyTorch flattens images with their
    channels first, and artifacts have them last, so that a flat side would be in another order than the other. A latent
    of DCGAN's form `[N, D, 1, 1]` beside flat moments becomes flat.

    Args:
        parts: Encoder and decoder, or the decoder alone.
        stated: By the user, for what operators do not show.
        is_image: Whether flat data may be images.
        image_shape: Height, width and channels of flat images; None if they are square.
    """
    places = list(_places(parts))
    found, doubts = _orders(parts, places, stated)
    own = _with_axes(parts, places, found)
    is_changed, assumed = own != places, ""
    if is_image:
        has_colours, assumed = _flat_colours(parts, own, stated, image_shape)
        is_changed |= has_colours
    if is_changed:
        found, doubts = _orders(parts, list(_places(parts)), stated)
    return found, (assumed, *doubts) if assumed else doubts


def _orders(
    parts: Mapping[Component, Graphs], places: Sequence[_Place], stated: DataFormat | None
) -> tuple[Orders, tuple[str, ...]]:
    groups: dict[tuple[bool, tuple[int, ...]], list[_Place]] = {}
    for place in places:
        groups.setdefault((place.is_data, place.sizes), []).append(place)
    found: dict[Component, dict[str, bool]] = {component: {} for component in parts}
    doubts: list[str] = []
    for group in groups.values():
        decided, doubt = _decided(parts, group, stated)
        doubts += [doubt] if doubt else []
        for place, is_second in zip(group, decided, strict=True):
            found[place.component][place.name] = is_second
    return found, tuple(doubts)


def _places(parts: Mapping[Component, Graphs]) -> Iterator[_Place]:
    for component, part in parts.items():
        shapes, graph = shapes_of(part.model), part.model.graph
        for values, is_input in ((graph.input, True), (graph.output, False)):
            for value in values:
                sizes = tuple(size or 0 for size in shapes.get(value.name, [])[1:])
                is_data = is_input == (component is Component.ENCODER)
                seen = evidence(part.model, value.name, shapes)
                yield _Place(component=component, name=value.name, is_data=is_data, sizes=sizes, seen=seen)


def _decided(
    parts: Mapping[Component, Graphs], group: list[_Place], stated: DataFormat | None
) -> tuple[list[bool], str]:
    """Returns whether each tensor of a group of one shape has its channels second, and a doubt."""
    first = group[0]
    if len(first.sizes) + 1 < _LEAST_RANK:
        return [False] * len(group), ""
    seen = [place.seen for place in group]
    usual = usual_order(parts[first.component].model, first.sizes)
    for is_strong in (True, False):
        said = {item.is_second for item in seen if item is not None and item.is_strong is is_strong}
        if stated is not None and not is_strong:
            break
        if len(said) == 1:
            return [*said] * len(group), ""
        if said:
            # Each file shows its own: one of them turns what it takes or returns.
            return [bool(usual) if item is None else item.is_second for item in seen], ""
    if stated is not None:
        return [stated is DataFormat.CHANNELS_FIRST] * len(group), ""
    doubt = ""
    if usual is None and first.is_data and min(first.sizes) > 1:
        steps, channels = first.sizes
        doubt = (
            f"nothing shows which axis of {first.name!r} {list(first.sizes)} is time: {steps} time steps of {channels} "
            f"channels were assumed; state it with --data-format channels_first or channels_last"
        )
    return [bool(usual)] * len(group), doubt


def _with_axes(parts: Mapping[Component, Graphs], places: Sequence[_Place], found: Orders) -> list[_Place]:
    """Returns the same inputs and outputs, the flat ones with the axes of the other file, which they get in place."""
    sizes = {(place.component, place.name): place.sizes for place in places}
    for place in places:
        if len(place.sizes) != 1:
            continue
        for other in places:
            same = other.is_data == place.is_data and other.component is not place.component
            if not same or len(other.sizes) + 1 < _LEAST_RANK or math.prod(other.sizes) != place.sizes[0]:
                continue
            if math.prod(other.sizes[1:]) == 1 and not place.is_data:
                sizes[other.component, other.name] = place.sizes
            elif found[other.component][other.name] and other.sizes[0] > 1:
                sizes[place.component, place.name] = other.sizes
            break
    for place in places:
        if sizes[place.component, place.name] != place.sizes:
            _reshape(parts[place.component], place, sizes[place.component, place.name])
    return [replace(place, sizes=sizes[place.component, place.name]) for place in places]


def _flat_colours(
    parts: Mapping[Component, Graphs],
    places: Sequence[_Place],
    stated: DataFormat | None,
    image_shape: tuple[int, int, int] | None,
) -> tuple[bool, str]:
    """Gives flat images in colour their axes, if both files have them flat; returns whether it did, and a doubt."""
    data = [place for place in places if place.is_data]
    decoder = next((place for place in data if place.component is Component.DECODER), None)
    if decoder is None or len(decoder.sizes) != 1:
        return False, ""
    model, count = parts[Component.DECODER].model, decoder.sizes[0]
    height, width, channels = image_shape or _square(count)
    fits = height * width * channels == count and channels > 1
    is_sure = image_shape is not None or (height >= _LEAST_SIDE and _is_bounded(model.graph, decoder.name))
    if not fits or not is_sure:
        return False, ""
    sizes = (channels, height, width)
    if not (stated is DataFormat.CHANNELS_FIRST if stated else usual_order(model, sizes)):
        return False, ""
    for place in data:
        if place.sizes == decoder.sizes:
            _reshape(parts[place.component], place, sizes)
    if stated:
        return True, ""
    doubt = (
        f"the {count} values of {decoder.name!r} were assumed to be a {height}x{width} image whose {channels} channels "
        f"come first, as PyTorch flattens images: --data-format channels_last says that they come last"
    )
    return True, doubt


def _square(count: int) -> tuple[int, int, int]:
    """Returns height, width and channels of a square image in colour, or of one in grey if that fits as well."""
    if math.isqrt(count) ** 2 == count:
        return math.isqrt(count), math.isqrt(count), 1
    side = math.isqrt(count // _COLOURS)
    return side, side, _COLOURS


def _is_bounded(graph: Any, name: str) -> bool:
    makers = {output: node for node in graph.node for output in node.output}
    node = makers.get(name)
    while node is not None and node.op_type in _MOVES:
        node = makers.get(node.input[0])
    return node is not None and node.op_type in _BOUNDED


def _reshape(part: Graphs, place: _Place, sizes: tuple[int, ...]) -> None:
    """Gives an input or output other sizes, in place; the values stay in their order."""
    from onnx import helper

    name, inner = place.name, f"{place.name}_in_its_own_sizes"
    for graph in (part.model.graph, part.original.graph):
        is_input = any(value.name == name for value in graph.input)
        for node in graph.node:
            node.input[:] = [inner if item == name else item for item in node.input]
            node.output[:] = [inner if item == name else item for item in node.output]
        # Samples are reshaped alike, whatever their number.
        stored = store(graph, f"{inner}_to", np.array([-1, *(place.sizes if is_input else sizes)], np.int64))
        ends = ([name, stored], [inner]) if is_input else ([inner, stored], [name])
        node = helper.make_node("Reshape", *ends, name=f"{name}/reshaped")
        nodes = [node, *graph.node] if is_input else [*graph.node, node]
        del graph.node[:]
        graph.node.extend(nodes)
        value = next(item for item in (*graph.input, *graph.output) if item.name == name)
        if value.type.tensor_type.HasField("shape"):  # That of an output may follow from its operators.
            dims = value.type.tensor_type.shape.dim
            del dims[1:]
            for size in sizes:
                dims.add().dim_value = size
    own, new = (", ".join(map(str, axes)) for axes in (place.sizes, sizes))
    part.changes.append(f"{name} [N, {own}] is [N, {new}]")
