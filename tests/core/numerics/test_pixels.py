import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pocketvae.numerics.pixels import from_pixels, to_pixels

RANGES = [(0.0, 1.0), (-1.0, 1.0), (0.0, 255.0), (-3.5, 12.25)]


@pytest.mark.parametrize("image_range", RANGES)
def test_pixels_survive_the_way_to_real_numbers_and_back(image_range):
    pixels = np.arange(256, dtype=np.uint8)
    image = from_pixels(pixels, image_range)
    assert image.dtype == np.float32
    assert (image[0], image[-1]) == image_range
    assert np.array_equal(to_pixels(image, image_range), pixels)


@given(st.floats(0, 1, width=32))
def test_a_pixel_is_at_most_half_a_step_off(value):
    image = np.array([value], np.float32)
    assert abs(float(from_pixels(to_pixels(image))[0]) - value) <= 0.5 / 255 + 1e-7


def test_half_a_step_is_rounded_up_and_what_is_outside_is_clipped():
    steps = np.array([0.5, 1.5, 2.5, -3.0, 300.0]) / 255
    assert to_pixels(steps).tolist() == [1, 2, 3, 0, 255]


def test_every_half_step_of_32_bits_is_rounded_up():
    halves = (np.arange(255, dtype=np.float32) + np.float32(0.5)) / np.float32(255)
    assert to_pixels(halves).tolist() == list(range(1, 256))


def test_pixels_keep_the_shape_and_may_be_none():
    assert to_pixels(np.array(1.0, np.float32)).tolist() == 255
    assert to_pixels(np.zeros((0, 3, 3, 1), np.float32)).shape == (0, 3, 3, 1)
    assert to_pixels(np.ones((2, 200, 300, 1), np.float32).transpose(0, 2, 1, 3)).mean() == 255
