import numpy as np
import pytest

from pocketvae.data.item_files import ItemFile
from pocketvae.errors import DataError


@pytest.fixture
def values():
    return np.random.default_rng(0).random((50, 3, 2))


@pytest.fixture
def path(tmp_path, values):
    np.save(tmp_path / "x.npy", values)
    return tmp_path / "x.npy"


@pytest.mark.parametrize("part", [slice(0, 7), slice(45, 60), slice(None), slice(50, 50), slice(9, 3), slice(-4, None)])
def test_slices_are_those_of_the_array(path, values, part):
    found = ItemFile(path)[part]
    np.testing.assert_array_equal(found, values[part])
    assert found.dtype == values.dtype


def test_single_items_and_their_number(path, values):
    items = ItemFile(path)
    assert (len(items), items.shape, items.dtype) == (50, (50, 3, 2), values.dtype)
    np.testing.assert_array_equal(items[-1], values[-1])
    with pytest.raises(IndexError):
        items[50]


def test_the_first_items_alone(path, values):
    assert len(ItemFile(path).first(None)) == len(ItemFile(path).first(99)) == 50
    some = ItemFile(path).first(4)
    np.testing.assert_array_equal(some[:], values[:4])
    assert some[2:9].shape == (2, 3, 2)


def test_big_endian_numbers_are_read_as_such(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(6, dtype=">i4").reshape(3, 2))
    assert ItemFile(tmp_path / "x.npy")[1:].tolist() == [[2, 3], [4, 5]]


def test_files_that_do_not_hold_items_one_after_another_are_refused(tmp_path, path):
    np.save(tmp_path / "f.npy", np.asfortranarray(np.zeros((4, 3))))
    with pytest.raises(ValueError, match="do not lie one after another: write it in C order"):
        ItemFile(tmp_path / "f.npy")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match="its header claims 2400 bytes of values, but it holds 2399"):
        ItemFile(path)


def test_a_file_that_becomes_shorter_is_named(path):
    items = ItemFile(path)
    path.open("r+b").truncate(200)
    with pytest.raises(DataError, match=r"x\.npy became shorter while it was read"):
        items[:]
