"""Grids of images as PNG."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt

from pocketvae.errors import DataError


def grid(images: npt.NDArray[np.uint8], columns: int, *, gap: int = 2) -> npt.NDArray[np.uint8]:
    """Lays images out row by row on a white sheet.

    Args:
        images: `[N, H, W, 1 or 3] uint8`.
        columns: Images in a row.
        gap: Pixels between images and around the sheet.

    Returns:
        `[rows * (H + gap) + gap, columns * (W + gap) + gap, C] uint8`.
    """
    count, height, width, channels = images.shape
    if count < 1 or columns < 1:
        raise DataError(f"a grid needs at least one image and one column, got {count} images and {columns} columns")
    rows = -(-count // columns)
    sheet = np.full((rows * (height + gap) + gap, columns * (width + gap) + gap, channels), 255, np.uint8)
    for index, image in enumerate(images):
        top, left = (index // columns) * (height + gap) + gap, (index % columns) * (width + gap) + gap
        sheet[top : top + height, left : left + width] = image
    return sheet


def png_bytes(image: npt.NDArray[np.uint8], *, scale: int = 1) -> bytes:
    """Encodes `[H, W, 1 or 3] uint8` as PNG, each pixel repeated `scale` times in both directions."""
    from PIL import Image

    enlarged = image.repeat(scale, axis=0).repeat(scale, axis=1)
    file = io.BytesIO()
    Image.fromarray(enlarged[..., 0] if enlarged.shape[2] == 1 else enlarged).save(file, "PNG", optimize=True)
    return file.getvalue()


def pixel_scale(height: int) -> int:
    """Returns the magnification for showing a small image: 2 below 48 pixels, else 1."""
    return 2 if height < 48 else 1
