"""Rows in files: slices are what was written, and a file that is cut short or a disk that is full is named."""

import errno

import numpy as np
import pytest

from pocketvae.data import rows
from pocketvae.data.rows import FileRows, InMemory, OnDisk, blocks, part_of
from pocketvae.errors import DataError, NoSpaceError


@pytest.mark.parametrize("dtype", ["<f4", "<f8", ">f4", "<i2"])
def test_slices_are_those_of_the_array(tmp_path, dtype):
    values = np.arange(60).reshape(20, 3).astype(dtype)
    path = tmp_path / "a.bin"
    path.write_bytes(b"head" + values.tobytes())
    with path.open("rb", buffering=0) as file:
        found = FileRows(file, np.dtype(dtype), 4, (20, 3))
        for part in (slice(None), slice(3, 7), slice(18, 99), slice(5, 5)):
            np.testing.assert_array_equal(found[part], values[part].astype(np.float32))
            assert found[part].dtype == np.float32
        inner = part_of(found, 4, 9)
        np.testing.assert_array_equal(inner[1:3], values[5:7])
        assert (len(inner), inner.shape) == (5, (5, 3))


def test_both_collectors_return_what_they_were_given(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "BLOCK_ROWS", 4)
    given = [
        np.random.default_rng(index).normal(size=(count, 2)).astype(np.float32) for index, count in enumerate((3, 0, 8))
    ]
    for collector in (InMemory(), OnDisk(tmp_path / "a.csv")):
        for block in given:
            collector.add(block)
        found = collector.rows()
        np.testing.assert_array_equal(found[:], np.concatenate(given))
        assert [len(block) for block in blocks(found)] == [4, 4, 3]


def test_a_file_that_becomes_shorter_is_named(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(bytes(40))
    with path.open("rb", buffering=0) as file:
        found = FileRows(file, np.dtype(np.float32), 0, (10, 1))
        with path.open("r+b") as other:
            other.truncate(20)
        with pytest.raises(DataError, match="a.bin became shorter while it was read"):
            found[:]


def test_a_full_disk_is_named(tmp_path, monkeypatch):
    class Full:
        def write(self, data):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(rows.tempfile, "TemporaryFile", lambda **options: Full())
    collector = OnDisk(tmp_path / "a.csv")
    with pytest.raises(NoSpaceError, match="a.csv is unpacked to a file in .*No space left on device.*TMPDIR"):
        collector.add(np.zeros((2, 1), np.float32))
