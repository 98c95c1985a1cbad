import gzip
import struct

import numpy as np
import pytest
from PIL import Image

from pocketvae.data import image_files
from pocketvae.data.dataset import ImageSet, load_splits, to_unit_interval
from pocketvae.errors import DataError
from pocketvae.numerics.pixels import to_pixels


def idx(images):
    return b"\0\0\x08" + bytes([images.ndim]) + struct.pack(f">{images.ndim}I", *images.shape) + images.tobytes()


def write_images(folder, count=40, size=(8, 8), mode="L"):
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for index in range(count):
        shape = (*size, 3) if mode == "RGB" else size
        Image.fromarray(rng.integers(0, 256, shape, np.uint8)).save(folder / f"{index:03d}.png")


def write_classes(folder, greys, count=20):
    """Writes one subfolder per class, its images all of one grey."""
    for name, grey in greys.items():
        (folder / name).mkdir(parents=True)
        for index in range(count):
            Image.new("L", (8, 8), grey).save(folder / name / f"{index:03d}.png")


def test_mnist_is_embedded_whole_and_split():
    splits = load_splits("mnist")
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (55_000, 5_000, 10_000)
    assert splits.image_shape == (28, 28, 1)
    labels = np.concatenate([splits.train.labels, splits.validation.labels])
    # The class counts of the 60,000 training labels as published with the database.
    assert np.bincount(labels).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]


def test_splits_are_disjoint_complete_and_repeatable(tmp_path):
    images = np.arange(100, dtype=np.uint8)[:, None, None] * np.ones((1, 4, 4), np.uint8)
    np.save(tmp_path / "x.npy", images)
    first, second = load_splits(str(tmp_path / "x.npy")), load_splits(str(tmp_path / "x.npy"))
    parts = [part.images[:, 0, 0, 0] for part in (first.train, first.validation, first.test)]
    assert [len(part) for part in parts] == [80, 10, 10]
    assert sorted(np.concatenate(parts)) == list(range(100))
    np.testing.assert_array_equal(first.train.images, second.train.images)


def test_what_validation_does_not_need_is_learned_from(tmp_path):
    write_classes(tmp_path / "set", {"dark": 10, "light": 200}, count=50)
    splits = load_splits(str(tmp_path / "set"))
    fewer = splits.with_validation(3)
    assert [len(part) for part in (fewer.train, fewer.validation, fewer.test)] == [87, 3, 10]
    np.testing.assert_array_equal(fewer.test.images, splits.test.images)
    for name in ("images", "labels"):
        whole, again = (
            np.concatenate([getattr(found.train, name), getattr(found.validation, name)]) for found in (splits, fewer)
        )
        np.testing.assert_array_equal(again, whole)
    same = splits.with_validation(1000)
    assert (len(same.train), len(same.validation)) == (80, 10)


def test_a_folder_is_split_like_a_file_of_the_same_images(tmp_path):
    write_images(tmp_path / "set")
    images = [np.asarray(Image.open(file)) for file in sorted((tmp_path / "set").iterdir())]
    np.save(tmp_path / "x.npy", np.stack(images))
    folder, file = load_splits(str(tmp_path / "set")), load_splits(str(tmp_path / "x.npy"))
    for name in ("train", "validation", "test"):
        np.testing.assert_array_equal(getattr(folder, name).images, getattr(file, name).images)


def test_a_folder_s_labels_stay_with_their_images(tmp_path):
    write_classes(tmp_path / "set", {"cat": 30, "dog": 200})
    splits = load_splits(str(tmp_path / "set"))
    assert splits.label_count() == 2
    for part in (splits.train, splits.validation, splits.test):
        np.testing.assert_array_equal(part.labels, part.images[:, 0, 0, 0] == 200)


def test_the_parts_of_a_folder_share_their_classes(tmp_path):
    # "dog" comes first among the test images, and is class 1 there too.
    write_classes(tmp_path / "set" / "train", {"cat": 30, "dog": 200})
    write_classes(tmp_path / "set" / "test", {"dog": 200}, count=3)
    splits = load_splits(str(tmp_path / "set"))
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (36, 4, 3)
    assert splits.test.labels.tolist() == [1, 1, 1]


def test_a_folder_for_validation_is_validated_on(tmp_path):
    write_classes(tmp_path / "set" / "train", {"cat": 30, "dog": 200})
    write_classes(tmp_path / "set" / "val", {"dog": 201}, count=3)
    splits = load_splits(str(tmp_path / "set"))
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (36, 3, 4)
    assert set(splits.validation.images.ravel()) == {201}
    assert splits.validation.labels.tolist() == [1, 1, 1]


def test_a_part_of_what_a_folder_has_for_validation_is_of_all_its_classes(tmp_path):
    greys = {name: 20 + 40 * index for index, name in enumerate("abcde")}
    for part in ("train", "validation", "test"):
        write_classes(tmp_path / "set" / part, greys)
    splits = load_splits(str(tmp_path / "set"))
    fewer = splits.with_validation(20)
    assert set(fewer.validation.labels) == set(range(5))
    assert set(splits.test.labels[:20]) == set(range(5))
    for part in (fewer.train, fewer.validation, fewer.test):
        np.testing.assert_array_equal(20 + 40 * part.labels, part.images[:, 0, 0, 0])


def test_validation_images_in_no_class_leave_training_images_without(tmp_path):
    write_classes(tmp_path / "set" / "train", {"cat": 30, "dog": 200})
    write_images(tmp_path / "set" / "validation", count=9)
    splits = load_splits(str(tmp_path / "set"))
    assert splits.train.labels is not None
    fewer = splits.with_validation(4)
    assert (len(fewer.train), len(fewer.validation), fewer.train.labels) == (len(splits.train) + 5, 4, None)


def test_a_class_may_have_the_name_of_a_split(tmp_path):
    write_classes(tmp_path / "set", {"bus": 30, "car": 90, "train": 200})
    splits = load_splits(str(tmp_path / "set"))
    assert splits.label_count() == 3
    assert len(splits.train) + len(splits.validation) + len(splits.test) == 60


def test_splits_without_one_for_training_are_refused(tmp_path):
    write_classes(tmp_path / "set" / "test", {"cat": 30})
    write_classes(tmp_path / "set" / "val", {"cat": 30})
    with pytest.raises(DataError, match="must have the split train/ beside val/ and test/"):
        load_splits(str(tmp_path / "set"))


def test_a_class_that_only_the_test_images_have_is_refused(tmp_path):
    write_classes(tmp_path / "set" / "train", {"cat": 30, "dog": 200})
    write_classes(tmp_path / "set" / "test", {"cow": 90})
    with pytest.raises(DataError, match="has the subfolder 'cow', which the training images do not have"):
        load_splits(str(tmp_path / "set"))


def test_corrupt_images_that_are_left_out_are_named_for_both_parts(tmp_path):
    write_classes(tmp_path / "set" / "train", {"cat": 30, "dog": 200})
    write_classes(tmp_path / "set" / "test", {"cat": 30, "dog": 200}, count=4)
    for broken in ("train/dog/007.png", "test/cat/002.png"):
        (tmp_path / "set" / broken).write_bytes(b"no image")
    splits = load_splits(str(tmp_path / "set"), skip_corrupt=True)
    assert len(splits.train) + len(splits.validation) + len(splits.test) == 46
    assert [reason.partition(" cannot be read")[0][-11:] for reason in splits.skipped] == ["dog/007.png", "cat/002.png"]
    for part in (splits.train, splits.validation, splits.test):
        np.testing.assert_array_equal(part.labels, part.images[:, 0, 0, 0] == 200)


def test_too_few_images_are_left_when_the_corrupt_ones_are_out(tmp_path):
    write_images(tmp_path / "set", 33)
    for index in range(5):
        (tmp_path / "set" / f"{index:03d}.png").write_bytes(b"no image")
    with pytest.raises(DataError, match="at least 32 images are needed for training and testing, got 28"):
        load_splits(str(tmp_path / "set"), skip_corrupt=True)


def test_a_folder_of_colour_images_has_three_channels(tmp_path):
    write_images(tmp_path / "set", mode="RGB")
    assert load_splits(str(tmp_path / "set")).image_shape == (8, 8, 3)


def test_idx_files_are_read_with_their_labels_and_test_split(tmp_path):
    rng = np.random.default_rng(0)
    for prefix, count in (("train", 40), ("t10k", 12)):
        images, labels = rng.integers(0, 256, (count, 6, 6), np.uint8), rng.integers(0, 10, count).astype(np.uint8)
        (tmp_path / f"{prefix}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images)))
        (tmp_path / f"{prefix}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(labels)))
    splits = load_splits(str(tmp_path))
    assert len(splits.test) == 12
    np.testing.assert_array_equal(splits.test.labels, labels)


def test_float_pixels_in_the_unit_interval_keep_their_8_bit_values(tmp_path):
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16).repeat(40, axis=0)
    np.save(tmp_path / "x.npy", pixels / 255)
    np.testing.assert_array_equal(load_splits(str(tmp_path / "x.npy")).test.images[0, ..., 0], pixels[0])


def test_float_pixels_half_a_step_off_are_rounded_up(tmp_path):
    halves = (np.arange(225, dtype=np.float32) + np.float32(0.5)) / np.float32(255)
    np.save(tmp_path / "x.npy", halves.reshape(1, 15, 15).repeat(40, axis=0))
    images = load_splits(str(tmp_path / "x.npy")).test.images
    np.testing.assert_array_equal(images[0].ravel(), np.arange(1, 226))


def test_pixels_survive_the_way_to_intensities_and_back():
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    np.testing.assert_array_equal(to_pixels(to_unit_interval(pixels)), pixels)


def bad_sources(folder):
    np.save(folder / "nan.npy", np.full((40, 4, 4), np.nan, np.float32))
    np.save(folder / "range.npy", np.full((40, 4, 4), 2.0, np.float32))
    np.save(folder / "ints.npy", np.zeros((40, 4, 4), np.int64))
    np.save(folder / "few.npy", np.zeros((5, 4, 4), np.uint8))
    np.save(folder / "flat.npy", np.zeros((40, 16), np.uint8))
    np.save(folder / "objects.npy", np.array([{"a": 1}]), allow_pickle=True)
    np.savez(folder / "names.npz", something=np.zeros(3))
    (folder / "broken.npz").write_bytes(b"PK\x03\x04 no archive")
    (folder / "short-images-idx3-ubyte").write_bytes(idx(np.zeros((40, 4, 4), np.uint8))[:-1])
    (folder / "other.idx").write_bytes(b"hello")
    (folder / "broken.gz").write_bytes(b"\x1f\x8b broken")
    (folder / "empty").mkdir()
    write_images(folder / "mixed", 40)
    write_images(folder / "mixed" / "wide", 1, size=(8, 9))
    write_images(folder / "corrupt", 40)
    (folder / "corrupt" / "zzz.png").write_bytes(b"\x89PNG broken")
    write_images(folder / "clear", 40)
    Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(folder / "clear" / "zzz.png")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing", "does not exist"),
        ("nan.npy", "640 pixels that are NaN"),
        ("range.npy", r"must be in \[0, 1\], got 2 to 2"),
        ("ints.npy", "must be uint8 or float, got int64"),
        ("few.npy", "at least 32 images are needed for training and testing, got 5"),
        ("flat.npy", r"must be \[N, H, W\]"),
        ("objects.npy", "cannot be read as numpy data"),
        ("names.npz", "must hold an array named images"),
        ("broken.npz", "cannot be read as numpy data"),
        ("short-images-idx3-ubyte", "must hold 640 bytes"),
        ("other.idx", "is not an image file, .npz, .npy or idx file"),
        ("broken.gz", "cannot be read"),
        ("empty", "does not contain images"),
        ("mixed", "images must all have the same size: .*8x8, .*9x8"),
        ("corrupt", r"zzz\.png cannot be read as an image"),
        ("clear", "has transparent pixels"),
    ],
)
def test_data_that_cannot_be_used_is_refused_in_words(tmp_path, name, message):
    bad_sources(tmp_path)
    with pytest.raises(DataError, match=message) as caught:
        load_splits(str(tmp_path / name))
    assert len(str(caught.value).splitlines()) <= 2


def test_a_damaged_embedded_file_is_noticed(monkeypatch):
    monkeypatch.setitem(image_files._MNIST_SHA256, "t10k-labels-idx1-ubyte", "0" * 64)
    with pytest.raises(DataError, match="wrong SHA-256: reinstall"):
        image_files.read_mnist()


def test_labels_must_be_one_per_image():
    with pytest.raises(DataError, match="one per image"):
        ImageSet(images=np.zeros((3, 4, 4, 1), np.uint8), labels=np.zeros(2, np.int32))


def test_labels_must_be_class_indices():
    with pytest.raises(DataError, match="class indices from 0 up, got -1"):
        ImageSet(images=np.zeros((2, 4, 4, 1), np.uint8), labels=np.array([0, -1], np.int32))


def test_images_of_mixed_sizes_are_scaled_on_request(tmp_path):
    for index in range(36):
        Image.new("L" if index else "RGB", (6 + index, 9), 5 * index if index else None).save(tmp_path / f"{index}.png")
    with pytest.raises(DataError, match=r"must all have the same size: .*; train --resize 64 scales all to 64x64"):
        load_splits(str(tmp_path))
    splits = load_splits(str(tmp_path), size=(4, 5))
    assert splits.image_shape == (4, 5, 3)
    greys = np.concatenate([part.images[:, 0, 0, 0] for part in (splits.train, splits.validation, splits.test)])
    assert sorted(greys.tolist()) == [5 * index for index in range(36)]


def test_arrays_are_scaled_on_request(tmp_path):
    np.save(tmp_path / "a.npy", np.full((36, 6, 6), 7, np.uint8))
    splits = load_splits(str(tmp_path / "a.npy"), size=(3, 4))
    assert splits.image_shape == (3, 4, 1)
    assert (splits.train.images == 7).all()
