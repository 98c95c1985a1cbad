"""Short runs of missing values become straight lines, wherever the data are divided; others are named."""

import numpy as np
import pytest

from pocketvae.data import recordings, rows
from pocketvae.data.missing import NotFilledError, filled, has_missing
from pocketvae.data.recordings import Wanted, read_recordings
from pocketvae.data.rows import InMemory
from pocketvae.errors import DataError

NAN = np.nan


def test_values_lie_on_the_line_between_their_neighbours():
    values = np.array([[0, 5], [NAN, 5], [NAN, 8], [3, NAN], [4, 2]], np.float32)
    found = filled(values, 2, InMemory())
    np.testing.assert_array_equal(found, [[0, 5], [1, 5], [2, 8], [3, 5], [4, 2]])
    assert (has_missing(values), has_missing(found)) == (True, False)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 100])
def test_blocks_do_not_matter(monkeypatch, size):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(40, 3)).astype(np.float32)
    for channel in range(3):
        values[rng.choice(np.arange(1, 39), 12, replace=False), channel] = NAN
    whole = filled(values, 20, InMemory())
    expected = np.column_stack([_line(column) for column in values.T])
    np.testing.assert_allclose(whole, expected, rtol=1e-5)
    monkeypatch.setattr(rows, "BLOCK_ROWS", size)
    np.testing.assert_array_equal(filled(values, 20, InMemory()), whole)


def _line(column):
    known = np.flatnonzero(~np.isnan(column))
    return np.interp(np.arange(len(column)), known, column[known])


@pytest.mark.parametrize(
    ("column", "step", "reason"),
    [
        ([1, NAN, NAN, NAN, 2], 1, "3 time steps, more than 2,"),
        ([NAN, 1, 2, 3, 4], 0, "the 1 with no value before them"),
        ([1, 2, 3, NAN, NAN], 3, "the 2 with no value behind them"),
        ([NAN] * 5, 0, "5 time steps, more than 2,"),
    ],
)
def test_what_no_line_can_fill_is_refused(column, step, reason):
    with pytest.raises(NotFilledError) as e:
        filled(np.array(column, np.float32)[:, None], 2, InMemory())
    assert (e.value.step, e.value.channel, e.value.reason) == (step, 0, reason)


@pytest.mark.parametrize("large", [False, True])
def test_cells_of_tables_are_filled_in_but_not_across_a_gap(tmp_path, monkeypatch, large):
    if large:
        monkeypatch.setattr(recordings, "LARGE_BYTES", 0)
        monkeypatch.setattr(recordings, "BLOCK_ROWS", 3)
    path = tmp_path / "a.csv"
    lines = ["time,x,y", "0,0,1", "1,,1", "2,2,1", "3,3,nan", "4,4,2", "60,9,9", "61,,9", "62,7,9"]
    path.write_text("\n".join(lines), "utf-8")
    first, second = read_recordings(path, Wanted(fill_gaps=1))
    np.testing.assert_array_equal(first.values[:], [[0, 1], [1, 1], [2, 1], [3, 1.5], [4, 2]])
    np.testing.assert_array_equal(second.values[:], [[9, 9], [8, 9], [7, 9]])
    path.write_text("\n".join([*lines[:5], "4,4,", *lines[6:]]), "utf-8")
    with pytest.raises(
        DataError, match="a.csv, row 5, column y: missing values .* at most 2 .*the 2 with no value behi"
    ):
        read_recordings(path, Wanted(fill_gaps=2))


def test_a_text_is_not_a_missing_value(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("x,y\n1,1\n2,broken\n3,3\n", "utf-8")
    with pytest.raises(DataError, match="row 3, column y: must be a finite number, got 'broken'"):
        read_recordings(path, Wanted(fill_gaps=5))


def test_arrays_are_filled_in_and_infinite_values_are_refused(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.array([[0.0], [NAN], [1.0]]))
    (found,) = read_recordings(path, Wanted(fill_gaps=1))
    np.testing.assert_array_equal(found.values, [[0], [0.5], [1]])
    with pytest.raises(DataError, match="time step 1, channel 0 .*got nan: fill it in, or pass --fill-gaps"):
        read_recordings(path, Wanted())
    np.save(path, np.array([[0.0], [np.inf], [1.0]]))
    with pytest.raises(DataError, match="got inf$"):
        read_recordings(path, Wanted(fill_gaps=1))
