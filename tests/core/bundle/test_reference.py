import numpy as np
import pytest

from pocketvae.bundle.reference import choose_reference, held_out_count, read_reference
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
    source = splits(80, labels=True)
    chosen = choose_reference(source, np.random.default_rng(1))
    assert len(chosen.golden) == len(chosen.held_out) == 40  # of few, as many are goldens as are held out
    assert sorted([*chosen.golden_labels, *chosen.held_out_labels]) == list(range(80))
    for items, labels in ((chosen.golden, chosen.golden_labels), (chosen.held_out, chosen.held_out_labels)):
        assert list(labels) == sorted(labels)
        np.testing.assert_array_equal(items, source.test.images[labels])


def test_the_first_items_are_goldens():
    chosen = choose_reference(splits(30, labels=True), np.random.default_rng(1))
    assert (len(chosen.golden), len(chosen.held_out)) == (30, 0)


def test_goldens_of_a_run_are_not_held_out_too(tmp_path):
    chosen = choose_reference(splits(2000, labels=True), np.random.default_rng(1))
    assert (len(chosen.golden), len(chosen.held_out)) == (256, 1000)
    assert not set(chosen.golden_labels) & set(chosen.held_out_labels)
    (tmp_path / "reference.npz").write_bytes(chosen.archive())
    assert held_out_count(tmp_path / "reference.npz") == 1000


def test_runs_of_older_versions_hold_nothing_out(tmp_path):
    arrays = choose_reference(splits(40, labels=True), np.random.default_rng(1)).arrays()
    np.savez(tmp_path / "reference.npz", **{n: v for n, v in arrays.items() if not n.startswith("held_out")})
    assert len(read_reference(tmp_path / "reference.npz", (4, 6, 3)).held_out) == 0
    assert held_out_count(tmp_path / "reference.npz") == 0


def test_images_of_another_shape_are_refused(tmp_path):
    (tmp_path / "reference.npz").write_bytes(choose_reference(splits(9, True), np.random.default_rng(1)).archive())
    with pytest.raises(ManifestError, match=r"reference\.npz must hold uint8 images of \(6, 4, 3\)"):
        read_reference(tmp_path / "reference.npz", (6, 4, 3))
