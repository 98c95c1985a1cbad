import io

import numpy as np
import pytest
from PIL import Image

from pocketvae.data.pictures import grid, pixel_scale, png_bytes


@pytest.mark.parametrize("channels", [1, 3])
def test_a_grid_holds_every_image_in_reading_order(channels):
    images = np.random.default_rng(0).integers(0, 255, (7, 5, 4, channels), np.uint8)
    sheet = grid(images, 3)
    with Image.open(io.BytesIO(png_bytes(sheet))) as picture:
        pixels = np.asarray(picture).reshape(*picture.size[::-1], channels)
    positions = []
    for image in images:
        found = [
            (row, column)
            for row in range(pixels.shape[0] - 4)
            for column in range(pixels.shape[1] - 3)
            if np.array_equal(pixels[row : row + 5, column : column + 4], image)
        ]
        assert len(found) == 1
        positions += found
    assert positions == sorted(positions)


def test_scaling_repeats_pixels():
    sheet = np.array([[[0], [255]]], np.uint8)
    with Image.open(io.BytesIO(png_bytes(sheet, scale=3))) as picture:
        pixels = np.asarray(picture)
    assert pixels.shape == (3, 6)
    assert (pixels[:, :3] == 0).all()
    assert (pixels[:, 3:] == 255).all()


def test_small_images_are_enlarged_and_large_ones_are_not():
    assert pixel_scale(28) > pixel_scale(128) == 1
