"""Sizes that a model leaves open, such as the height and width of a convolutional decoder's latent.

An artifact has one size. The user states the latent's; the sizes of the data follow from it, and an encoder takes
those.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pocketvae.errors import ExportError
from pocketvae.export.external.graph import trace
from pocketvae.export.external.roles import listed
from pocketvae.keras.loading import OpenModel, Tensor
from pocketvae.spec import Component

# What a message suggests where nothing is known.
_EXAMPLE = 32

Shape = tuple[int | None, ...]


def with_latent_shape(opened: OpenModel, stated: tuple[int, ...] | None) -> OpenModel:
    """Returns a decoder whose latent has the stated sizes; the same one where nothing is stated.

    Other inputs of as many dimensions, such as labels as image planes, have the latent's sizes at the same places.

    Args:
        opened: The decoder.
        stated: The sizes of its latent, without the batch.

    Raises:
        ExportError: no input has room for these sizes, or the decoder does not run with them.
    """
    if stated is None:
        return opened
    if not any(_fits(tensor.shape[1:], stated) for tensor in opened.inputs):
        found = ", ".join(f"{tensor.name} [{listed(tensor.shape)}]" for tensor in opened.inputs)
        raise ExportError(f"--latent-shape {_text(stated)} does not fit the decoder, which takes {found}")
    return _sized(Component.DECODER, opened, stated)


def with_data_shape(opened: OpenModel, data_shape: tuple[int, ...]) -> OpenModel:
    """Returns an encoder that takes data of the decoder's sizes where it leaves its own open.

    Raises:
        ExportError: it does not run with them.
    """
    return _sized(Component.ENCODER, opened, data_shape)


def fixed_sizes(component: Component, tensor: Tensor) -> tuple[int, ...]:
    """Returns the sizes of an input without the batch.

    Raises:
        ExportError: one is open.
    """
    sizes = tuple(size for size in tensor.shape[1:] if size is not None)
    if len(sizes) == len(tensor.shape) - 1:
        return sizes
    found = f"the {component}'s input must have fixed sizes, got {tensor.name} [{listed(tensor.shape)}]"
    if component is Component.DECODER:
        shown = tuple(_EXAMPLE if size is None else size for size in tensor.shape[1:])
        raise ExportError(f"{found}: state them, such as with --latent-shape {_text(shown)}")
    raise ExportError(f"{found}, which does not fit the decoder's data")


def _sized(component: Component, opened: OpenModel, sizes: tuple[int, ...]) -> OpenModel:
    inputs = tuple(replace(tensor, shape=_filled(tensor.shape, sizes)) for tensor in opened.inputs)
    if inputs == opened.inputs:
        return opened
    try:
        shapes = trace(opened.call, inputs).shapes
    except ExportError as e:
        raise ExportError(f"the {component} does not take {_text(sizes)}: {e}") from e
    outputs = (replace(tensor, shape=(None, *shape[1:])) for tensor, shape in zip(opened.outputs, shapes, strict=True))
    return replace(opened, inputs=inputs, outputs=tuple(outputs))


def _filled(shape: Shape, sizes: tuple[int, ...]) -> Shape:
    """Returns a shape with the batch whose open sizes are those at the same places."""
    own = shape[1:]
    if None not in own or len(own) != len(sizes):
        return shape
    return (shape[0], *(new if size is None else size for size, new in zip(own, sizes, strict=True)))


def _fits(shape: Shape, sizes: Sequence[int]) -> bool:
    return len(shape) == len(sizes) and all(own in (None, new) for own, new in zip(shape, sizes, strict=True))


def _text(sizes: Sequence[int | None]) -> str:
    return ",".join(map(str, sizes))
