"""The time steps of a table: the same parts and faults, however many are looked at together and wherever they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pocketvae.data import time_steps
from pocketvae.data.rows import InMemory, OnDisk
from pocketvae.data.time_steps import TimeSteps
from pocketvae.errors import DataError

PATH = Path("pump.csv")
STEADY_S = np.arange(1000) / 50


def steps_of(times_s, *, on_disk=False, block=100):
    found = TimeSteps(PATH, OnDisk(PATH) if on_disk else InMemory())
    for first in range(0, len(times_s), block):
        part = np.asarray(times_s[first : first + block], np.float64)
        found.add(range(2 + first, 2 + first + len(part)), part)
    return found


@pytest.fixture(params=[(False, 1 << 16), (True, 1 << 16), (False, 32), (True, 48)], ids=str)
def make(request, monkeypatch):
    on_disk, rows = request.param
    monkeypatch.setattr(time_steps, "BLOCK_ROWS", rows)
    return lambda times_s: steps_of(times_s, on_disk=on_disk)


def test_gaps_divide_what_is_steady(make):
    times_s = np.concatenate([STEADY_S, STEADY_S + 100, STEADY_S[:5] + 300])
    found = make(times_s)
    assert found.parts() == [(0, 1000), (1000, 2000), (2000, 2005)]
    assert found.rate_hz(1000, 2000) == pytest.approx(50)
    assert list(found.numbers) == list(range(2, 2007))


def test_times_keep_all_their_bits(make):
    moment = 1.7e9 + np.arange(40) / 1024
    assert make(moment).rate_hz(0, 40) == 1024


def test_times_of_a_logger_are_rounded(make):
    assert make(np.round(STEADY_S, 2)).parts() == [(0, 1000)]
    assert make(np.arange(500) * 0.031 + np.arange(500) % 2 * 0.01).parts() == [(0, 500)]


@pytest.mark.parametrize("place", [1, 31, 32, 33, 500, 999])
def test_time_must_rise_anywhere(make, place):
    times_s = STEADY_S.copy()
    times_s[place] = times_s[place - 1]
    with pytest.raises(DataError, match=f"row {place + 2}: time must rise from row to row, got the time of the row b"):
        make(times_s).parts()


@pytest.mark.parametrize("place", [64, 320, 960])
def test_a_rate_that_changes_is_found_anywhere(make, place):
    times_s = np.cumsum(np.where(np.arange(1000) < place, 0.02, 0.016))
    with pytest.raises(DataError, match="the rate must be steady, got a time step every 0.02 s before and every 0.01"):
        make(times_s).parts()


def test_a_slower_rate_is_no_row_of_gaps(make):
    times_s = np.cumsum(np.where(np.arange(1000) < 700, 0.02, 0.05))
    with pytest.raises(DataError, match=r"row 701: .* every 0.02 s elsewhere and every 0.05 s here"):
        make(times_s).parts()


def test_the_usual_step_of_very_many_is_that_of_some(monkeypatch):
    monkeypatch.setattr(time_steps, "BLOCK_ROWS", 32)
    monkeypatch.setattr(time_steps, "_MOST_COMPARED", 64)
    times_s = np.concatenate([STEADY_S, STEADY_S + 100])
    assert steps_of(times_s).parts() == [(0, 1000), (1000, 2000)]


def test_without_times_there_is_no_rate():
    found = TimeSteps(PATH, InMemory())
    found.add(range(10), None)
    assert not found.have_rate
    assert not steps_of([0.0, 1.0]).have_rate
    assert steps_of([0.0, 1.0, 2.0]).have_rate
