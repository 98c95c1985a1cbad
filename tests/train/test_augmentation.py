import numpy as np
import pytest

from pocketvae.train import TrainConfig, with_overrides

pytestmark = pytest.mark.slow
IMAGES = np.arange(6 * 8 * 8 * 3, dtype=np.uint32).reshape(6, 8, 8, 3).astype(np.uint8)


def augmented(number=0, images=IMAGES, first=0, whole=None, **changes):
    from pocketvae.train.augmentation import augment
    from pocketvae.train.model import Noise

    noise = Noise(seed=np.array([1, number], np.int64), first=first, whole=whole)
    return np.asarray(augment(images, with_overrides(TrainConfig(), changes), noise))


def test_without_the_keys_images_stay_as_they_are():
    np.testing.assert_array_equal(augmented(), IMAGES)


def test_mirroring_turns_some_images_around_and_no_other():
    kinds = set()
    for number in range(4):
        for image, original in zip(augmented(number, mirror=True), IMAGES, strict=True):
            is_mirrored = np.array_equal(image, original[:, ::-1])
            assert is_mirrored or np.array_equal(image, original)
            kinds.add(is_mirrored)
    assert kinds == {True, False}


def test_shifts_move_the_image_and_repeat_its_edge():
    padded = np.pad(IMAGES, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="edge")
    shifts = set()
    for number in range(10):
        for image, source in zip(augmented(number, shift_pixels=2), padded, strict=True):
            found = [
                (row, column)
                for row in range(5)
                for column in range(5)
                if np.array_equal(image, source[row : row + 8, column : column + 8])
            ]
            assert len(found) == 1
            shifts.update(found)
    assert {row for row, _ in shifts} == {column for _, column in shifts} == {0, 1, 2, 3, 4}


def test_zoom_keeps_the_middle_in_place():
    dot = np.zeros((6, 9, 9, 1), np.uint8)
    dot[:, 3:6, 3:6] = 255
    counts = [int((image > 0).sum()) for number in range(5) for image in augmented(number, dot, zoom=0.6)]
    assert min(counts) < 9 < max(counts)
    assert all(image[4, 4, 0] == 255 for image in augmented(0, dot, zoom=0.6))


def test_a_step_decides_what_is_drawn_and_workers_share_it():
    keys = {"mirror": True, "shift_pixels": 3, "zoom": 0.2}
    whole = augmented(3, **keys)
    np.testing.assert_array_equal(augmented(3, **keys), whole)
    assert (augmented(4, **keys) != whole).any()
    np.testing.assert_array_equal(augmented(3, images=IMAGES[4:], first=4, whole=6, **keys), whole[4:])


def test_training_steps_see_changed_images(make_parts, small_data):
    assert make_parts().step(small_data) != make_parts(shift_pixels=3).step(small_data)
