import hashlib
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from pocketvae.data.dataset import ImageSet, ImageSplits
from pocketvae.train.data import binarize_once, identify, sha256_of


def splits(grey, count=300):
    part = ImageSet(images=np.full((count, 4, 4, 1), grey, np.uint8), labels=np.arange(count, dtype=np.int32) % 3)
    return ImageSplits(name="x", train=part, validation=part, test=part)


@pytest.mark.parametrize(("grey", "share"), [(0, 0.0), (77, 77 / 255), (255, 1.0)])
def test_static_binarization_turns_a_pixel_on_as_often_as_its_grey_value_says(grey, share):
    data = binarize_once(splits(grey), 0)
    assert set(np.unique(data.train.images)) <= {0, 255}
    assert np.mean(data.train.images == 255) == pytest.approx(share, abs=0.03)


def test_every_split_has_its_own_draws_and_its_labels():
    data = binarize_once(splits(128), 0)
    assert np.any(data.train.images != data.validation.images)
    assert np.any(data.validation.images != data.test.images)
    np.testing.assert_array_equal(data.train.labels, splits(128).train.labels)


def test_the_seed_decides_the_draws():
    one, same, other = (binarize_once(splits(128), seed).test.images for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert np.any(one != other)


@pytest.mark.slow
def test_static_pixels_are_the_same_at_every_epoch_and_dynamic_ones_are_not(make_parts, small_data):
    from pocketvae.train.model import Noise

    model = make_parts().model
    static = binarize_once(small_data, 0)

    def observed(data):
        return [
            np.asarray(model.observe(data.train.images[:8], Noise(seed=np.array([0, number]))))
            for number in (0, 100, 200)
        ]

    first, second, third = observed(static)
    np.testing.assert_array_equal(first, static.train.images[:8] / 255)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first, third)
    first, second, _ = observed(small_data)
    assert np.any(first != second)


def test_the_same_data_has_the_same_identity_wherever_it_lies():
    assert identify(splits(3, 5000)) == identify(splits(3, 5000))


@pytest.mark.parametrize("change", ["pixel", "label", "count", "name", "validation", "test"])
def test_other_data_has_another_identity(change):
    data = splits(3)
    images, labels = data.train.images.copy(), data.train.labels.copy()
    if change == "pixel":
        images[299, 3, 3, 0] += 1
    if change == "label":
        labels[299] += 1
    other = replace(data, train=ImageSet(images=images, labels=labels))
    if change == "count":
        other = replace(other, test=data.test.take(slice(10)))
    if change in ("validation", "test"):
        part = getattr(data, change)
        held_out = part.images.copy()
        held_out[-1, 3, 3, 0] += 1
        other = replace(data, **{change: replace(part, images=held_out)})
    if change == "name":
        other = replace(other, name="y")
    assert identify(other) != identify(data)


def test_large_images_are_hashed_and_binarized_a_few_at_a_time():
    images = np.random.default_rng(0).integers(0, 256, (16, 1024, 1024, 1), np.uint8)
    part = ImageSet(images=images)
    tracemalloc.start()
    digest = sha256_of(part)
    hashing = tracemalloc.get_traced_memory()[1]
    binary = binarize_once(
        ImageSplits(name="x", train=part, validation=part.take(slice(1)), test=part.take(slice(1))), 0
    )
    drawing = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert hashing < images.nbytes / 4
    # Less than a float64 for each pixel.
    assert drawing < 5 * images.nbytes
    assert digest == hashlib.sha256(images.tobytes() + bytes(4 * 16)).hexdigest()
    draws = np.random.default_rng([0, 4, 0]).random(images.shape)
    np.testing.assert_array_equal(binary.train.images, np.where(draws * 255 < images, 255, 0))
