"""Conversion between the unit of the user's data and that in which a model computes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.fields import Channel
from pocketvae.numerics.chunks import chunks
from pocketvae.vae_spec import VaeSpec

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]


def normalized(values: npt.NDArray[Any], channels: Sequence[Channel]) -> Floats:
    """Returns `[..., C] float32` in units of the model; the same values where no channels are known.

    Args:
        values: `[..., C]` in their own unit.
        channels: Together of width C, or none.
    """
    if not channels:
        return np.asarray(values, np.float32)
    means, scales = scales_of(channels)
    # In float64, because a small change of a large value is what a sensor is watched for.
    return _converted(values, lambda part: (part - means) / scales)


def in_own_unit(values: npt.NDArray[Any], channels: Sequence[Channel]) -> Floats:
    """Returns `[..., C] float32` in the unit of the user's data: undoes `normalized`."""
    if not channels:
        return np.asarray(values, np.float32)
    means, scales = scales_of(channels)
    return _converted(values, lambda part: part * scales + means)


def _converted(values: npt.NDArray[Any], convert: Callable[[Doubles], Doubles]) -> Floats:
    """Returns converted values; some items at a time, since in float64 they take twice the memory."""
    found = np.empty(values.shape, np.float32)
    rows, made = values.reshape(-1, values.shape[-1]), found.reshape(-1, values.shape[-1])
    for part in chunks(len(rows), rows.shape[1]):
        made[part] = convert(rows[part].astype(np.float64))
    return found


def for_user(items: npt.NDArray[Any], vae: VaeSpec) -> npt.NDArray[Any]:
    """Returns items of a model as a user is given them: in their own unit; those without channels as they are.

    Args:
        items: `[N, *data_shape]`.
        vae: The interface of the model.
    """
    return in_own_unit(items, vae.channels) if vae.channels else items


def scales_of(channels: Sequence[Channel]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Returns mean and scale, `[C]` each, of every value of a model's last dimension."""
    widths = [channel.width for channel in channels]
    means, scales = ([getattr(channel, name) for channel in channels] for name in ("mean", "scale"))
    return np.repeat(np.array(means, np.float64), widths), np.repeat(np.array(scales, np.float64), widths)
