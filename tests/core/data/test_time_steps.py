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
    assert found.rates_hz(found.parts()) == pytest.approx([50, 50, 50])
    assert list(found.numbers) == list(range(2, 2007))


def test_times_keep_all_their_bits(make):
    moment = 1.7e9 + np.arange(40) / 1024
    assert make(moment).rates_hz([(0, 40)]) == [1024]


def test_times_of_a_logger_are_rounded(make):
    assert make(np.round(STEADY_S, 2)).parts() == [(0, 1000)]
    assert make(np.arange(500) * 0.031 + np.arange(500) % 2 * 0.01).parts() == [(0, 500)]


@pytest.mark.parametrize("rate_hz", [100, 130, 300])
def test_times_may_be_rounded_to_milliseconds_and_late_by_less_than_half_a_step(make, rate_hz):
    step_s = np.arange(1000)
    late = np.random.default_rng(0).uniform(0, 0.45, (2, 1000))
    ends = (step_s == 0) | (step_s == 999)
    for times_s in (np.round(step_s / rate_hz, 3), (step_s + late[0] * ends) / rate_hz):
        assert make(times_s).parts() == [(0, 1000)]
    # Steps that are late by themselves, of which the next one is not.
    alone = step_s + np.where(step_s % 5 == 0, late[1], 0)
    assert make(alone / rate_hz).parts() == [(0, 1000)]
    # A logger that sleeps between two steps, of 4 % more or less.
    slept = np.cumsum(1 + np.random.default_rng(1).normal(0, 0.04, 1000))
    assert make(slept / rate_hz).parts() == [(0, 1000)]


def test_every_part_has_its_own_rate_and_a_short_one_that_of_the_longest(make):
    times_s = np.concatenate([np.arange(300) / 100, 50 + np.arange(400) / 101, 90 + np.arange(200) / 100])
    found = make(times_s)
    assert found.rates_hz(found.parts()) == pytest.approx([100, 101, 101])


@pytest.mark.parametrize(("steps", "rate_hz"), [(120, 109), (320, 97.5), (120, 96.5), (30, 104), (16, 108)])
def test_a_part_of_another_rate_than_the_longest_is_refused(make, steps, rate_hz):
    times_s = np.concatenate([np.arange(400) / 100, 100 + np.arange(steps) / rate_hz])
    with pytest.raises(DataError, match="row 402: the rate must be steady, got a time step every 0.01 s "):
        make(times_s).parts()


def test_parts_of_a_logger_that_sleeps_between_two_steps_have_one_rate(make):
    slept = 1 + np.random.default_rng(2).normal(0, 0.05, 3000)
    # A gap after 20, 30, ... steps.
    ends = np.cumsum(np.arange(20, 240, 10))
    slept[ends] = 40
    found = make(np.cumsum(slept) / 100)
    parts = found.parts()
    assert [last for _, last in parts] == [*ends, 3000]
    assert found.rates_hz(parts) == pytest.approx([100] * len(parts), rel=0.01)


def test_a_short_part_may_be_late_by_less_than_a_step(make):
    for steps, late_s in ((60, 0.009), (16, 0.009), (4, 0.004)):
        part_s = np.arange(steps) / 100 + np.where(np.arange(steps) == steps - 1, late_s / 2, 0)
        times_s = np.concatenate([np.arange(130) / 100, 100 + part_s])
        assert make(times_s).parts() == [(0, 130), (130, 130 + steps)]


def test_a_rate_that_drifts_is_refused(make):
    times_s = np.cumsum(1 / np.linspace(95.5, 104.9, 240))
    with pytest.raises(DataError, match=r"row 2: .* every 0.009985 s on the whole and every 0.01033 s here"):
        make(times_s).parts()
    assert make(np.cumsum(1 / np.linspace(99, 101, 240))).parts() == [(0, 240)]
    # Far from the beginning, where the first steps say nothing of it.
    times_s = np.cumsum(np.append(np.full(3000, 0.01), 1 / np.linspace(100, 109, 500)))
    with pytest.raises(DataError, match=r"row 3\d\d\d: .* every 0.009\d* s on the whole and every 0.009\d* s here"):
        make(times_s).parts()


@pytest.mark.parametrize(("rate_hz", "digits"), [(100, 0), (30, 1), (1500, 3)])
def test_a_clock_that_is_too_coarse_is_told_from_rows_that_are_there_twice(make, rate_hz, digits):
    times_s = np.floor(np.arange(480) / rate_hz * 10**digits) / 10**digits
    first = int(np.flatnonzero(np.diff(times_s) == 0)[0]) + 3
    with pytest.raises(DataError, match=rf"row {first}: .* the time of the row before, here and in \d+ of the next "):
        make(times_s).parts()
    with pytest.raises(DataError, match=r"the clock is too coarse, so write times with more digits, or leave the col"):
        make(times_s).parts()
    with pytest.raises(DataError, match=r"row 11: .* got the time of the row before: remove one of them$"):
        make(np.insert(STEADY_S, [9, 700], STEADY_S[[8, 699]])).parts()


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
