"""What an encoder does to its pixels first, and what it takes to fit the images of its decoder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pocketvae.export.external.flat_graph import FlatGraph, count_of, inputs_of, layer_of, size_of
from pocketvae.export.external.roles import DecoderOutput
from pocketvae.keras.io import import_flavour

_UNIT, _TANH, _PIXELS = (0.0, 1.0), (-1.0, 1.0), (0.0, 255.0)
_LIMITS = {
    "sigmoid": _UNIT,
    "hard_sigmoid": _UNIT,
    "softmax": _UNIT,
    "tanh": _TANH,
}
# A layer that takes pixels of 0 to 255 leaves less than this of its decoder's range, or takes off more than that, and
# more than any of the decoder's values.
_SMALL_SPAN, _LARGE_MEAN = 0.1, 2.0
_IMAGE_RANK = 4
_PASSING = ("Random", "Resizing", "CenterCrop", "Cast", "InputLayer", "Dropout", "ZeroPadding2D")


def _nothing_skipped(_: Any) -> bool:
    return False


@dataclass(frozen=True, kw_only=True)
class Adaptation:
    """What is changed at the front of an encoder.

    Attributes:
        shapes: Other shapes of inputs, with the batch, by the identity of the tensor.
        entering: What is done with images first; None for nothing.
        skipped: Whether a layer is left out.
        changes: All this in words.
        doubts: What was assumed.
    """

    shapes: Mapping[int, tuple[int | None, ...]] = field(default_factory=dict)
    entering: Callable[[Any], Any] | None = None
    skipped: Callable[[Any], bool] = _nothing_skipped
    changes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


def encoder_adaptation(
    graph: FlatGraph, outputs: Sequence[Any], decoder: FlatGraph | None, named: DecoderOutput | None
) -> Adaptation:
    """Returns what has to be changed so that an encoder takes the images that its decoder returns.

    A resizing in front of an encoder of another size is left out; one of pixels 0 to 255 gets a scaling in front.

    Args:
        graph: The encoder's graph.
        outputs: What it returns.
        decoder: The decoder's graph; None if it is not known.
        named: What the decoder returns, as named by the user.
    """
    images = [tensor for tensor in graph.inputs if len(tensor.shape) == _IMAGE_RANK]
    if graph.turned and len(images) == 1:
        return _turned(graph, images[0])
    if decoder is None or len(images) != 1:
        return Adaptation()
    image = images[0]
    decoded = _decoded(decoder, image)
    target = size_of(decoded)
    changes: list[str] = []
    shapes: dict[int, tuple[int | None, ...]] = {}
    resizing = _first(graph, image, "Resizing")
    has_other_size = size_of(image) != target and len(target) == len(size_of(image))
    skips_resizing = has_other_size and resizing is not None and _size_of_resizing(resizing) == target[:2]
    if skips_resizing or (has_other_size and None in size_of(image)[:2] and size_of(image)[2] in (None, target[2])):
        shapes[id(image)] = (None, *target)
        how = f"without its resizing {getattr(resizing, 'name', '')!r}, " if skips_resizing else ""
        changes.append(f"{how}for images of {'x'.join(str(size) for size in target)}")
    limits = decoder_limits(decoded, named)
    entering = None
    if limits not in (None, _PIXELS) and _takes_pixels(graph, image, limits):
        scale, offset = 255.0 / (limits[1] - limits[0]), -255.0 * limits[0] / (limits[1] - limits[0])
        entering = _rescaling(graph, scale, offset)
        changes.append(
            f"with images in [{limits[0]:g}, {limits[1]:g}] like the decoder's, scaled to its pixels of 0 to 255"
        )
    return Adaptation(
        shapes=shapes,
        entering=entering,
        skipped=(lambda layer: layer is resizing) if skips_resizing else _nothing_skipped,
        changes=tuple(changes),
    )


def _decoded(decoder: FlatGraph, image: Any) -> Any:
    """Returns the decoder's image: of several outputs one of the encoder's size, else the largest."""
    alike = [tensor for tensor in decoder.outputs if size_of(tensor) == size_of(image)]
    bounded = [tensor for tensor in alike if decoder_limits(tensor, None) is not None]
    return (bounded or alike or [max(decoder.outputs, key=count_of)])[0]


def _turned(graph: FlatGraph, image: Any) -> Adaptation:
    channels, *sizes = size_of(image)
    permute = import_flavour(graph.flavour).layers.Permute((3, 1, 2))
    return Adaptation(
        shapes={id(image): (None, *sizes, channels)},
        entering=lambda tensor: permute(tensor),
        changes=("with the channels of images last",),
    )


def turned_output(graph: FlatGraph, tensor: Any) -> Any:
    """Returns a decoder's image with its channels last, if it has them first."""
    if not graph.turned or len(tensor.shape) != _IMAGE_RANK:
        return tensor
    return import_flavour(graph.flavour).layers.Permute((2, 3, 1), name="channels_last")(tensor)


def decoder_limits(output: Any, named: DecoderOutput | None) -> tuple[float, float] | None:
    """Returns the range of a decoder's images as far as its last layers show it; None if they do not."""
    if named is not None:
        return {DecoderOutput.TANH: _TANH, DecoderOutput.IMAGE: None}.get(named, _UNIT)
    layer = layer_of(output)
    kind = type(layer).__name__
    if kind == "Rescaling" and isinstance(layer.scale, (int, float)):
        inner = decoder_limits(inputs_of(output)[0], None)
        return inner and (inner[0] * layer.scale + layer.offset, inner[1] * layer.scale + layer.offset)
    if kind.startswith(("Cropping", "Reshape", "Permute", "UpSampling", "Cast")):
        return decoder_limits(inputs_of(output)[0], None)
    activation = str(getattr(getattr(layer, "activation", None), "__name__", "")) or kind.lower()
    return _LIMITS.get(activation)


def float_output(tensor: Any) -> Any:
    """Returns an output before it was cast to integers."""
    layer = layer_of(tensor)
    is_integer = "int" in str(getattr(tensor.dtype, "name", tensor.dtype))
    return inputs_of(tensor)[0] if type(layer).__name__ == "Cast" and is_integer else tensor


def _takes_pixels(graph: FlatGraph, image: Any, limits: tuple[float, float]) -> bool:
    for layer in _front(graph, image):
        kind = type(layer).__name__
        if kind == "Rescaling" and isinstance(layer.scale, (int, float)):
            return bool(abs(layer.scale) * (limits[1] - limits[0]) < _SMALL_SPAN)
        if kind == "Normalization":
            mean = layer.input_mean if getattr(layer, "input_mean", None) is not None else layer.mean
            return float(_array(mean).max()) > max(_LARGE_MEAN, limits[1])
    return False


def _array(value: Any) -> Any:
    import numpy as np

    return np.asarray(value, np.float32)


def _first(graph: FlatGraph, image: Any, kind: str) -> Any:
    return next((layer for layer in _front(graph, image) if type(layer).__name__ == kind), None)


def _front(graph: FlatGraph, image: Any) -> list[Any]:
    """Returns the layers that see the image one after the other, up to the first that is not preprocessing."""
    layers: list[Any] = []
    tensor = image
    while True:
        followers = graph.consumers(tensor)
        if len(followers) != 1 or len(inputs_of(followers[0])) != 1:
            return layers
        (tensor,) = followers
        layers.append(layer_of(tensor))
        if not type(layers[-1]).__name__.startswith((*_PASSING, "Rescaling", "Normalization")):
            return layers


def _size_of_resizing(layer: Any) -> tuple[int, int]:
    return int(layer.height), int(layer.width)


def _rescaling(graph: FlatGraph, scale: float, offset: float) -> Callable[[Any], Any]:
    layer = import_flavour(graph.flavour).layers.Rescaling(scale, offset, name="to_pixels")
    return lambda tensor: layer(tensor)
