"""Windows are cut when they are looked at: the same values from memory and from files, a piece at a time."""

import numpy as np
import pytest

from pocketvae.data import window_values
from pocketvae.data.rows import OnDisk
from pocketvae.data.window_values import WindowValues, held, selected, value_blocks
from pocketvae.errors import SpecError
from pocketvae.fields import Channel

LENGTH, STRIDE = 6, 2


def sources(tmp_path):
    """Two recordings in memory and the same two on disk."""
    kept = [np.random.default_rng(seed).normal(size=(40 + seed, 3)).astype(np.float32) for seed in range(2)]
    stored = []
    for values in kept:
        disk = OnDisk(tmp_path / "a.csv")
        disk.add(values)
        stored.append(disk.rows())
    return kept, stored


def windows(rows, channels=()):
    starts = [np.arange(0, len(part) - LENGTH + 1, STRIDE) for part in rows]
    numbers = np.repeat([0, 1], [len(begin) for begin in starts])
    return WindowValues(rows, numbers, np.concatenate(starts), LENGTH, channels)


def expected(kept):
    return np.stack(
        [part[begin : begin + LENGTH] for part in kept for begin in range(0, len(part) - LENGTH + 1, STRIDE)]
    )


def test_windows_are_the_same_wherever_their_recordings_lie(tmp_path):
    kept, stored = sources(tmp_path)
    whole = expected(kept)
    for made in (windows(kept), windows(stored)):
        assert (made.shape, len(made), made.nbytes) == (whole.shape, len(whole), whole.nbytes)
        for indices in (slice(None), slice(3, 20), np.array([30, 2, 2, 17]), np.array([], np.intp)):
            np.testing.assert_array_equal(made[indices], whole[indices])
        for few in (0, 100):  # windows of a recording that are copied one by one
            with pytest.MonkeyPatch.context() as changed:
                changed.setattr(window_values, "_FEW", few)
                np.testing.assert_array_equal(made[np.array([30, 2, 2, 17])], whole[[30, 2, 2, 17]])
        np.testing.assert_array_equal(made[5], whole[5])
        np.testing.assert_array_equal(np.asarray(made.select(slice(1, None, 3))), whole[1::3])
        np.testing.assert_array_equal(np.concatenate([block for _, block in value_blocks(made)]), whole)


def test_units_are_those_of_the_channels_asked_for_last(tmp_path):
    kept, stored = sources(tmp_path)
    first = (Channel(mean=5.0, scale=3.0),) * 3
    channels = tuple(Channel(mean=float(index), scale=2.0) for index in range(3))
    made = windows(stored).in_units_of(first).in_units_of(channels)
    np.testing.assert_allclose(made[:], (expected(kept) - np.arange(3)) / 2, rtol=1e-6, atol=1e-7)


def test_few_windows_become_an_array_and_many_do_not(tmp_path, monkeypatch):
    made = windows(sources(tmp_path)[1])
    assert isinstance(held(made), np.ndarray)
    monkeypatch.setattr(window_values, "HELD_BYTES", 10 * LENGTH * 3 * 4)
    assert held(made) is made
    assert isinstance(selected(made, slice(11)), WindowValues)
    assert isinstance(selected(made, slice(10)), np.ndarray)


def test_blocks_of_both_kinds_are_divided_at_the_same_places(tmp_path, monkeypatch):
    monkeypatch.setattr(window_values, "_BLOCK_VALUES", 5 * LENGTH * 3)
    made = windows(sources(tmp_path)[1])
    numbers = [[first for first, _ in value_blocks(values)] for values in (made, made[:])]
    assert numbers[0] == numbers[1] == list(range(0, len(made), 5))


def test_more_windows_than_fit_into_memory_do_not_become_an_array(tmp_path, monkeypatch):
    from pocketvae.processes import guard

    made = windows(sources(tmp_path)[1])
    monkeypatch.setattr(guard, "machine_bytes", lambda: 1000.0)
    assert len(made) == 36
    with pytest.raises(SpecError, match="36 windows must fit into this machine's memory .* pass a larger --stride"):
        made.whole()
