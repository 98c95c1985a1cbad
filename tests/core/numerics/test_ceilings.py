import numpy as np
import pytest

from pocketvae.numerics.ceilings import FLOAT_CEILING, HALF_CEILING, float_ceiling, output_range
from pocketvae.spec import ImageDtype, Precision


def test_the_range_is_what_an_output_is_made_for_or_what_the_original_s_values_take():
    narrow, wide = np.float32([[0.2, 0.3]]), np.float32([[-5, 5]])
    assert output_range(narrow, 2.0) == 2.0
    assert output_range(narrow, 1.0) == 1.0
    assert output_range(wide, 1.0) == output_range(wide, 2.0) == 10.0
    assert output_range(np.zeros((0, 4), np.float32), 1.0) == 1.0


def test_half_precision_and_whole_pixels_have_more_room():
    assert float_ceiling(Precision.FLOAT32, "image", 1.0) == FLOAT_CEILING
    assert float_ceiling(Precision.FLOAT16, "image", 2.0) == 2 * HALF_CEILING
    rounded = float_ceiling(Precision.FLOAT32, "image", 1.0, ImageDtype.UINT8)
    assert rounded == pytest.approx(FLOAT_CEILING + 0.5 / 255)
    assert float_ceiling(Precision.FLOAT32, "z_mean", 1.0, ImageDtype.UINT8) == FLOAT_CEILING
