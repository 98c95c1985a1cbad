"""Structural similarity of images, after Wang, Bovik, Sheikh and Simoncelli, Image Quality Assessment, 2004."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

DoubleArray = npt.NDArray[np.float64]

# The constants of the paper: an 11x11 Gaussian window of deviation 1.5, K1 and K2.
_WINDOW, _SIGMA, _K1, _K2 = 11, 1.5, 0.01, 0.03


def ssim(first: npt.NDArray[np.floating], second: npt.NDArray[np.floating], *, span: float = 1.0) -> DoubleArray:
    """Returns the structural similarity of each pair, averaged over channels and over every place of the window.

    The window lies inside the image; for an image smaller than 11 pixels it is cut to the largest odd size that fits.

    Args:
        first: `[N, H, W, C]`.
        second: `[N, H, W, C]`.
        span: White minus black.

    Returns:
        `[N]`, 1 for equal images.
    """
    count, height, width, _ = first.shape
    shorter = min(height, width)
    window = min(_WINDOW, shorter if shorter % 2 else shorter - 1)
    rows, columns = _filter(height, window), _filter(width, window)

    def blurred(images: DoubleArray) -> DoubleArray:
        # A valid correlation with a separable window is one matrix from the left and one from the right.
        result: DoubleArray = rows @ images @ columns.T
        return result

    x, y = (np.moveaxis(images.astype(np.float64), 3, 1) for images in (first, second))
    mean_x, mean_y = blurred(x), blurred(y)
    var_x, var_y = blurred(x * x) - mean_x**2, blurred(y * y) - mean_y**2
    covariance = blurred(x * y) - mean_x * mean_y
    c1, c2 = (_K1 * span) ** 2, (_K2 * span) ** 2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    structure = (2 * covariance + c2) / (var_x + var_y + c2)
    similarity: DoubleArray = (luminance * structure).reshape(count, -1).mean(axis=1)
    return similarity


def _filter(size: int, window: int) -> DoubleArray:
    """Returns the matrix `[size - window + 1, size]` that applies the window along one axis."""
    offsets = np.arange(window) - window // 2
    weights = np.exp(-(offsets**2) / (2 * _SIGMA**2))
    weights /= weights.sum()
    matrix = np.zeros((size - window + 1, size))
    for row in range(len(matrix)):
        matrix[row, row : row + window] = weights
    return matrix
