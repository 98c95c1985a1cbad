"""What the codec's study computes beside pocketvae itself."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def study():
    spec = importlib.util.spec_from_file_location("codec_study", ROOT / "studies" / "codec.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_other_codecs_are_compared_at_equal_quality(study):
    curve = [{"sheet_psnr_db": 20.0, "sheet_bytes": 10.0}, {"sheet_psnr_db": 30.0, "sheet_bytes": 30.0}]
    assert study._bytes_at(curve, "psnr_db", 25.0, "sheet") == 20.0
    assert study._bytes_at(curve, "psnr_db", 19.0, "sheet") is None
    assert study._bytes_at(curve, "psnr_db", 31.0, "sheet") is None


def test_a_sheet_is_taken_apart_into_the_same_images(study):
    images = np.random.default_rng(0).integers(0, 256, (37, 6, 5, 1), np.uint8)
    sheet = study._sheet(images)
    assert sheet.shape == (3 * 6, 16 * 5, 1)
    tiles = sheet.reshape(-1, 6, study.SHEET_COLUMNS, 5, 1).swapaxes(1, 2).reshape(-1, 6, 5, 1)
    assert np.array_equal(tiles[:37], images)


@pytest.mark.parametrize("name", ["JPEG", "WEBP", "AVIF"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_codec_codes_grey_and_colour(study, name, channels):
    image = np.tile(np.arange(32, dtype=np.uint8)[:, None, None] * 8, (1, 32, channels))
    size, decoded = study._coded(image, name, 90)
    assert 0 < size < 5000
    assert decoded.shape == image.shape
    assert np.abs(decoded.astype(int) - image).mean() < 8


def test_binarized_pixels_are_set_with_the_probability_of_their_grey(study):
    drawn = study._drawn(np.full((100, 28, 28), 64, np.uint8), 1)
    assert set(np.unique(drawn)) == {0, 255}
    assert np.mean(drawn > 0) == pytest.approx(64 / 255, abs=0.01)
