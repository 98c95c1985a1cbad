"""Curves: how vectors and sequences are drawn and compared."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.kinds.base import AMPLIFICATION, FloatArray, Kind, unit
from pocketvae.vae_spec import VaeSpec

_HEIGHT, _LEAST_WIDTH, _MOST_WIDTH = 64, 96, 512
# Told apart by the colour-blind (Okabe and Ito 2008): black, blue, vermilion, green, purple, orange, sky blue, yellow.
_COLOURS = np.array(
    [
        (0.0, 0.0, 0.0),
        (0.0, 0.45, 0.7),
        (0.84, 0.37, 0.0),
        (0.0, 0.62, 0.45),
        (0.8, 0.47, 0.65),
        (0.9, 0.62, 0.0),
        (0.34, 0.71, 0.91),
        (0.94, 0.89, 0.26),
    ],
    np.float32,
)


class Curves(Kind):
    """Values along an axis, drawn as lines and compared as a share of their range."""

    def shown(self, values: npt.NDArray[Any], vae: VaeSpec) -> FloatArray:
        """See `Kind.shown`: a line for each channel, from left to right; what leaves the range runs along the edge."""
        return np.stack([_drawn(item) for item in unit(self.lines(values, vae), vae)])

    def shown_difference(self, values: npt.NDArray[Any], expected: npt.NDArray[Any], vae: VaeSpec) -> FloatArray:
        """See `Kind.shown_difference`: the bottom is no difference; along the top where a value is not finite."""
        with np.errstate(over="ignore", invalid="ignore"):
            difference = np.abs(self.lines(values, vae) - self.lines(expected, vae)) / np.float32(vae.range_span)
            return np.stack([_drawn(item * AMPLIFICATION) for item in difference])

    def lines(self, values: npt.NDArray[Any], vae: VaeSpec) -> FloatArray:
        """Returns items as `[N, T, C]`."""
        folded: FloatArray = values.reshape(len(values), vae.data_shape[0], -1).astype(np.float32)
        return folded


def _drawn(lines: FloatArray) -> FloatArray:
    """Draws `[T, C]` values of 0 to 1 as `[H, W, 3]`, dark lines on white."""
    count, channels = lines.shape
    width = int(np.clip(count, _LEAST_WIDTH, _MOST_WIDTH))
    edges = np.linspace(0, count - 1, width + 1)
    picture = np.ones((_HEIGHT, width, 3), np.float32)
    rows = np.arange(_HEIGHT)[:, None]
    for channel in range(channels):
        values = np.clip(np.nan_to_num(lines[:, channel], nan=1.0, posinf=1.0, neginf=0.0), 0, 1)
        heights = np.rint((1 - np.interp(edges, np.arange(count), values)) * (_HEIGHT - 1))
        top, bottom = np.minimum(heights[:-1], heights[1:]), np.maximum(heights[:-1], heights[1:])
        picture[(rows >= top) & (rows <= bottom)] = _COLOURS[channel % len(_COLOURS)]
    return picture
