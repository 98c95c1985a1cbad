"""Trials of a user-supplied model: samples of what it takes, what it returns for them, and the graph that made it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.errors import ExportError
from pocketvae.export.external.graph import TracedGraph, trace
from pocketvae.export.external.not_finite import refuse_not_finite
from pocketvae.export.external.roles import listed
from pocketvae.export.original import samples
from pocketvae.export.original.cost import affordable
from pocketvae.keras.loading import OpenModel, Tensor
from pocketvae.numerics.conditions import draw
from pocketvae.numerics.latents import split_latents
from pocketvae.parsing import sentences
from pocketvae.spec import Component
from pocketvae.vae_spec import Condition, Latent

FloatArray = npt.NDArray[np.float32]

# Samples of N(0, I), and of its tails for three of them; fewer of large images, whose values are many.
_MOST_PRIOR, _LEAST_PRIOR, _PRIOR_FOR_TAIL = 48, 12, 3
# Of a model whose call takes seconds.
_FEWEST_PRIOR = 4
_PARAMETER_BYTES = 4
_SAMPLED_VALUES = 2**21
# Of a batch of images: what a network computes on the way, all of which an eager call may keep, can be a thousand times
# as large (a decoder with group normalization: 0.8 GB for an image of 256 px).
_BATCH_VALUES = 2**19


def called(opened: OpenModel, feed: list[Any]) -> list[Any]:
    """Returns the outputs for all samples, which go together, or a few at a time where images are large."""
    size, count = max(1, _BATCH_VALUES // _largest(opened)), len(feed[0])
    if size >= count:
        return [np.asarray(value) for value in opened.call(feed)]
    starts = range(0, count, size)
    parts = [opened.call([values[start : start + size] for values in feed]) for start in starts]
    return [np.concatenate([np.asarray(part) for part in output]) for output in zip(*parts, strict=True)]


def _largest(opened: OpenModel) -> int:
    """Returns how many values the largest input or output has for one sample, as far as its sizes are fixed."""
    return max(math.prod(size or 1 for size in tensor.shape[1:]) for tensor in (*opened.inputs, *opened.outputs))


def observe(component: Component, opened: OpenModel, feed: list[Any]) -> tuple[list[FloatArray], TracedGraph]:
    """Runs and traces a model.

    Raises:
        ExportError: it does not run, or returns values that are not finite, or of an encoder not float32.
    """
    try:
        values = called(opened, feed)
    except Exception as e:  # A model may raise anything.
        lines = [line for line in str(e).splitlines() if line.strip()]
        reason = sentences(lines[0] if lines else repr(e))
        raise ExportError(f"the {component} does not run on its own inputs: {reason}") from e
    for tensor, value in zip(opened.outputs, values, strict=True):
        if component is Component.ENCODER and value.dtype.kind not in "iu":
            check_float(component, tensor, value)
    refuse_not_finite(component, opened, values)
    return values, trace(opened.call, opened.inputs)


def data_sizes(encoder: OpenModel | None) -> tuple[int, ...] | None:
    """Returns the sizes of the data that an encoder takes: of its float input with the most dimensions."""
    tensors = [tensor for tensor in encoder.inputs if tensor.dtype == "float32"] if encoder else []
    largest = max(tensors, key=lambda tensor: len(tensor.shape), default=None)
    sizes = largest.shape[1:] if largest else (None,)
    return None if None in sizes else tuple(size or 0 for size in sizes)


def check_batch(component: Component, opened: OpenModel) -> None:
    """Checks that a model takes any number of samples.

    Raises:
        ExportError: its batch size is fixed.
    """
    if any(tensor.shape[0] is not None for tensor in opened.inputs):
        found = ", ".join(f"{tensor.name} [{listed(tensor.shape)}] {tensor.dtype}" for tensor in opened.inputs)
        raise ExportError(f"the {component}'s batch size must be left open (None), got {found}")


def refuse_random(component: Component, graph: TracedGraph, output: int, name: str) -> None:
    """Checks that nothing that an output depends on is drawn.

    Raises:
        ExportError: something is.
    """
    operators = graph.random_operators(output)
    if operators:
        layers = "".join(f" in {layer!r}" for layer in graph.random_layers(output)[:1])
        raise ExportError(
            f"the {component}'s {name} depends on random operators ({', '.join(operators)}){layers}: "
            f"save the model in inference mode and without sampling, or pass a whole VAE with --vae"
        )


def check_float(component: Component, tensor: Tensor, value: npt.NDArray[Any]) -> None:
    """Checks the type of an output.

    Raises:
        ExportError: it is not float32.
    """
    if value.dtype != np.float32:
        raise ExportError(f"the {component}'s output {tensor.name!r} must be float32, got {value.dtype}")


def drawn_latents(
    opened: OpenModel, latents: tuple[Latent, ...], rng: np.random.Generator, size: int
) -> list[npt.NDArray[Any]]:
    """Returns latents of N(0, I) and of their tails, and codes that are equally likely; few for a model of large size.

    Args:
        opened: The decoder.
        latents: Of it.
        rng: Draws them.
        size: Bytes of the decoder's file.
    """
    count = min(max(_SAMPLED_VALUES // _largest(opened), _LEAST_PRIOR), _MOST_PRIOR)
    count = affordable(count, _FEWEST_PRIOR, size // _PARAMETER_BYTES, _largest(opened))
    tails = count // _PRIOR_FOR_TAIL
    codes = {
        item.name: rng.integers(0, item.codes, (count + tails, *item.shape)).astype(np.int32)
        for item in latents
        if item.codes
    }
    real = [item for item in latents if not item.codes]
    dim = sum(item.size for item in real)
    noise = [samples.normal_noise(count, dim, rng), samples.tail_noise(tails, dim, rng)] if real else []
    drawn = codes | (split_latents(np.concatenate(noise), real) if real else {})
    return [drawn[item.name] for item in latents]


def spread_out(conditions: tuple[Condition, ...], count: int, rng: np.random.Generator) -> dict[str, npt.NDArray[Any]]:
    """Returns conditions for samples: every class in turn, and what calibration draws."""
    values = draw(conditions, count, rng)
    in_turn = {item.name: (np.arange(count) % item.count).astype(np.int32) for item in conditions if item.is_label}
    return {**values, **in_turn}
