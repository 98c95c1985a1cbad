"""Numbers half a step between two pixels: a TFLite file rounds as `to_pixels` does."""

import numpy as np
import pytest

from pocketvae.export.convert.pixels_tflite import with_pixels
from pocketvae.numerics.pixels import to_pixels
from pocketvae.runtimes.opening import open_runner
from pocketvae.spec import Component, Format


@pytest.mark.parametrize("high", [1.0, 255.0, 7.3])
def test_a_file_rounds_half_a_step_like_the_function(tflite_models, high):
    halves = (np.arange(255, dtype=np.float32)[None] + np.float32(0.5)) * np.float32(high) / np.float32(255)
    content = with_pixels(tflite_models.one_operator("ABS", shape=(1, 255)), Component.DECODER, (0.0, high))
    with open_runner(content, Format.TFLITE) as runner:
        found = runner.run({"z": halves})["image"]
    np.testing.assert_array_equal(found, to_pixels(halves, (0.0, high)))
    if high != 7.3:
        np.testing.assert_array_equal(found[0], np.arange(1, 256))
