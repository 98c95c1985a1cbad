"""Images as pixels: what the uint8 variants of artifacts take and return."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

WHITE = 255


def to_pixels(image: npt.NDArray[Any], image_range: tuple[float, float] = (0.0, 1.0)) -> npt.NDArray[np.uint8]:
    """Returns the nearest pixels, half a step rounded up and values outside the range clipped.

    Args:
        image: Real numbers of any shape.
        image_range: What 0 and 255 stand for.
    """
    low, high = image_range
    steps = (image.astype(np.float64) - low) * (WHITE / (high - low))
    return np.clip(np.floor(steps + 0.5), 0, WHITE).astype(np.uint8)


def from_pixels(pixels: npt.NDArray[Any], image_range: tuple[float, float] = (0.0, 1.0)) -> npt.NDArray[np.float32]:
    """Returns the real numbers that pixels stand for, float32, computed as the encoders' uint8 variants do."""
    low, high = image_range
    unit = pixels.astype(np.float32) / np.float32(WHITE)
    return unit if image_range == (0.0, 1.0) else unit * np.float32(high - low) + np.float32(low)
