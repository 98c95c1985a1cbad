import numpy as np
import pytest

from pocketvae.bundle.reference import choose_reference, read_reference
from pocketvae.data.dataset import ImageSet, ImageSplits
from pocketvae.errors import ManifestError


def splits(count, labels):
    images = np.random.default_rng(0).integers(0, 256, (count, 4, 6, 3), np.uint8)
    part = ImageSet(images=images, labels=np.arange(count, dtype=np.int32) if labels else None)
    return ImageSplits(name="x", train=part, validation=part, test=part)


@pytest.mark.parametrize("labels", [True, False])
def test_what_is_written_is_read(tmp_path, labels):
    chosen = choose_reference(splits(700, labels), np.random.default_rng(1))
    assert (len(chosen.calibration), len(chosen.golden)) == (512, 256)
    (tmp_path / "reference.npz").write_bytes(chosen.archive())
    found = read_reference(tmp_path / "reference.npz", (4, 6, 3))
    for name, array in chosen.arrays().items():
        np.testing.assert_array_equal(found.arrays()[name], array)


def test_images_keep_their_labels_and_their_order():
    source = splits(40, labels=True)
    chosen = choose_reference(source, np.random.default_rng(1))
    assert chosen.golden_labels.tolist() == list(range(40))
    np.testing.assert_array_equal(chosen.golden, source.test.images)


def test_images_of_another_shape_are_refused(tmp_path):
    (tmp_path / "reference.npz").write_bytes(choose_reference(splits(9, True), np.random.default_rng(1)).archive())
    with pytest.raises(ManifestError, match=r"reference\.npz must hold uint8 images of \(6, 4, 3\)"):
        read_reference(tmp_path / "reference.npz", (6, 4, 3))
