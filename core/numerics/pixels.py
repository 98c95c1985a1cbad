"""Conversion between real-valued images and pixels, as in the uint8 variants of artifacts."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.numerics.chunks import chunks

WHITE = 255


def to_pixels(image: npt.NDArray[Any], image_range: tuple[float, float] = (0.0, 1.0)) -> npt.NDArray[np.uint8]:
    """Returns the nearest pixels, half a step rounded up and values outside the range clipped.

    Numbers of 32 bits are computed with in 32 bits, as the uint8 variants of artifacts do, so that both agree on
    which numbers lie half a step off.

    Args:
        image: Real numbers of any shape.
        image_range: The values that 0 and 255 represent.
    """
    low, high = image_range
    kind: type[np.floating[Any]] = np.float64 if image.dtype == np.float64 else np.float32
    scale, shift = kind(WHITE / (high - low)), kind(0.5 - low * WHITE / (high - low))
    pixels = np.empty(image.shape, np.uint8)
    values, flat = image.reshape(-1), pixels.reshape(-1)
    with np.errstate(over="ignore"):  # What overflows is clipped.
        for part in chunks(len(values), 1):
            steps: npt.NDArray[Any] = values[part].astype(kind)
            flat[part] = np.clip(np.floor(steps * scale + shift), 0, WHITE)
    return pixels


def from_pixels(pixels: npt.NDArray[Any], image_range: tuple[float, float] = (0.0, 1.0)) -> npt.NDArray[np.float32]:
    """Returns the real numbers that pixels represent, float32, computed as the encoders' uint8 variants do."""
    low, high = image_range
    unit = pixels.astype(np.float32) / np.float32(WHITE)
    return unit if image_range == (0.0, 1.0) else unit * np.float32(high - low) + np.float32(low)
