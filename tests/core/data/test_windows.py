"""Windows never span two recordings, and those that are held out share no time step with the others."""

import itertools

import numpy as np
import pytest

from pocketvae.data.recordings import Recording
from pocketvae.data.windows import Windowing, cut_windows, split_windows
from pocketvae.errors import DataError, SpecError


def recordings(*lengths, first=0):
    starts = np.cumsum([0, *lengths])
    return [
        Recording(name=f"r{index}", values=np.arange(begin, end, dtype=np.float32)[:, None], first=first)
        for index, (begin, end) in enumerate(itertools.pairwise(starts))
    ]


@pytest.mark.parametrize("stride", [0, 1, 3, 7])
def test_every_window_lies_in_one_recording(stride):
    parts = recordings(10, 3, 4, 17)
    found = cut_windows(parts, 4, stride)
    expected = [(index, start) for index, part in enumerate(parts) for start in range(0, len(part) - 3, stride or 4)]
    assert list(zip(found.recordings.tolist(), found.starts.tolist(), strict=True)) == expected
    for values, (index, start) in zip(found.values, expected, strict=True):
        np.testing.assert_array_equal(values, parts[index].values[start : start + 4])


def test_names_tell_file_and_time_step():
    assert cut_windows(recordings(9, first=100), 4, 0).names == ("r0:100", "r0:104")


def test_recordings_that_are_all_too_short_are_refused():
    with pytest.raises(DataError, match="at least the model's 8 time steps, but the longest, r1, has 5"):
        cut_windows(recordings(3, 5), 8)
    with pytest.raises(SpecError, match="at least 1 time step, got -1"):
        Windowing(stride=-1)


@pytest.mark.parametrize(
    ("lengths", "stride", "fewest"),
    [((400,), 1, 39), ((400,), 0, 5), ((90, 60, 120, 200), 2, 22), ((12, 300), 1, 4)],
)
def test_no_time_step_is_both_fitted_and_held_out(lengths, stride, fewest):
    windows = cut_windows(recordings(*lengths), 8, stride)
    fitted, held_out = split_windows(windows, 8)
    assert len(fitted)
    # A tenth, of recordings that are held out whole up to twice as much; a short one is enough where it has four.
    assert fewest <= len(held_out) <= 2 * round(0.1 * len(windows))
    seen, kept = (set(windows.values[part].ravel().tolist()) for part in (fitted, held_out))
    assert not seen & kept
    if len(lengths) > 1:
        assert not set(windows.recordings[fitted]) & set(windows.recordings[held_out])


@pytest.mark.parametrize("lengths", [(900, 40, 60), (40, 900, 60), (900, 10), (8, 792), (80,) * 12])
def test_about_a_tenth_is_held_out_however_long_the_recordings_are(lengths):
    windows = cut_windows(recordings(*lengths), 8)
    fitted, kept = split_windows(windows, 8)
    assert 0.05 <= len(kept) / len(windows) <= 0.2
    assert len(fitted) + len(kept) >= len(windows) - 1
    assert not set(windows.values[fitted].ravel().tolist()) & set(windows.values[kept].ravel().tolist())


def test_an_array_that_is_turned_is_told_from_a_short_one():
    turned = Recording(name="pump.npy", values=np.zeros((3, 500), np.float32))
    with pytest.raises(DataError, match=r"pump\.npy, has 3, with 500 channels: transpose it if those are its time"):
        cut_windows([turned], 64)
    short = Recording(name="pump.npy", values=np.zeros((5, 3), np.float32))
    with pytest.raises(DataError, match=r"pump\.npy, has 5$"):
        cut_windows([short], 64)
