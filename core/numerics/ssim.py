"""Structural similarity of images, after Wang, Bovik, Sheikh and Simoncelli, Image Quality Assessment, 2004."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from pocketvae.numerics.chunks import chunks

DoubleArray = npt.NDArray[np.float64]

# The constants of the paper: an 11x11 Gaussian window of deviation 1.5, K1 and K2.
_WINDOW, _SIGMA, _K1, _K2 = 11, 1.5, 0.01, 0.03
_TILE = 64


def ssim(first: npt.NDArray[np.floating], second: npt.NDArray[np.floating], *, span: float = 1.0) -> DoubleArray:
    """Returns the structural similarity of each pair, averaged over channels and over all positions of the window.

    The window stays inside the image; for an image smaller than 11 pixels it is cut to the largest odd size that fits.

    Args:
        first: `[N, H, W, C]`.
        second: `[N, H, W, C]`.
        span: White minus black.

    Returns:
        `[N]`, 1 for equal images.
    """
    count, height, width, channels = first.shape
    shorter = min(height, width)
    window = min(_WINDOW, shorter if shorter % 2 else shorter - 1)
    similarity = np.zeros(count)
    for channel in range(channels):
        for few in chunks(count, height * width):
            x, y = (images[few, :, :, channel].astype(np.float64, order="C") for images in (first, second))
            similarity[few] += _similarity(x, y, window, span) / channels
    return similarity


def _similarity(x: DoubleArray, y: DoubleArray, window: int, span: float) -> DoubleArray:
    mean_x, mean_y = _blurred(x, window), _blurred(y, window)
    var_x, var_y = _blurred(x * x, window) - mean_x**2, _blurred(y * y, window) - mean_y**2
    covariance = _blurred(x * y, window) - mean_x * mean_y
    c1, c2 = (_K1 * span) ** 2, (_K2 * span) ** 2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    structure = (2 * covariance + c2) / (var_x + var_y + c2)
    similarity: DoubleArray = (luminance * structure).reshape(len(x), -1).mean(axis=1)
    return similarity


def _blurred(planes: DoubleArray, window: int) -> DoubleArray:
    """Returns the valid correlation of `[..., H, W]` with a separable window.

    Along one axis it is a product with a band matrix, which is cut into tiles: the work grows with the number of
    pixels, not with the pixels times the side.
    """
    rows = [tile @ planes[..., here, :] for tile, here in _tiles(planes.shape[-2], window)]
    narrow = np.concatenate(rows, axis=-2)
    return np.concatenate([narrow[..., here] @ tile.T for tile, here in _tiles(planes.shape[-1], window)], axis=-1)


@lru_cache(maxsize=8)
def _tiles(size: int, window: int) -> list[tuple[DoubleArray, slice]]:
    """Returns matrices `[n, n + window - 1]` that apply the window, and the positions on the axis that each covers."""
    offsets = np.arange(window) - window // 2
    weights = np.exp(-(offsets**2) / (2 * _SIGMA**2))
    weights /= weights.sum()
    tiles = []
    count = size - window + 1
    for start in range(0, count, _TILE):
        rows = min(_TILE, count - start)
        matrix = np.zeros((rows, rows + window - 1))
        for row in range(rows):
            matrix[row, row : row + window] = weights
        tiles.append((matrix, slice(start, start + matrix.shape[1])))
    return tiles
