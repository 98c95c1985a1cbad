"""Which column is the time, and how many seconds its numbers and texts are."""

import datetime

import pytest

from pocketvae.data.clocks import UnknownUnitError, clock_of, is_time


@pytest.mark.parametrize(
    ("name", "unit_s"),
    [
        ("time", None),
        ("Time_ms", 1e-3),
        ("t (s)", 1),
        ("timestamp_utc", None),
        ("TIMESTAMP_UTC", None),
        ("timestamp_ms_utc", 1e-3),
        ("elapsed_s", 1),
        ("Elapsed Time (min)", 60),
        ("time_min", 60),
        ("Time [h]", 3600),
        ("time_days", 86400),
        ("Time (\u00b5s)", 1e-6),
        ("time_millis", 1e-3),
        ("Zeit", None),
        ("Zeit/ms", 1e-3),
        ("t/s", 1),
        ("t [min]", 60),
        ("epoch", None),
        ("epoch_ms", 1e-3),
        ("unixTimeNs", 1e-9),
        ("Date/Time", None),
        ("Local Time", None),
        ("utc", None),
        ("time_of_day", None),
        ("time_of_day_s", 1),
    ],
)
def test_a_time_is_known_by_its_name_and_its_unit_too(name, unit_s):
    clock = clock_of(["ax", name, "ay"])
    assert (clock.name, clock.unit_s) == (name, unit_s)
    assert clock_of(["ax", name], [name]) is None or is_time(name)


@pytest.mark.parametrize(
    "name",
    [
        "T",
        "t_min",
        "T_min",
        "T_local",
        "t_0",
        "temperature",
        "times_fed",
        "time_frames",
        "time2",
        "utc_offset",
        "hour",
        "max_time_s",
        "date_of_birth",
        "seconds",
        "epoch_1",
        "ms",
        "local",
        "time_um",
        "day",
    ],
)
def test_other_columns_are_no_time(name):
    assert clock_of([name]) is None


def test_a_usual_name_goes_before_another_wherever_it_stands():
    assert clock_of(["elapsed_s", "epoch", "time", "t"]).name == "time"
    assert clock_of(["elapsed_s", "epoch"]).name == "elapsed_s"
    assert clock_of(["elapsed_s", "epoch"], ["elapsed_s"]).name == "epoch"
    # As always: it was never a channel.
    assert clock_of(["time", "epoch"], ["time"]).name == "time"
    assert [is_time(name) for name in ("time", "ts_ns", "elapsed_s")] == [True, True, False]


@pytest.mark.parametrize(
    ("name", "cell", "expected_s"),
    [
        ("Time [h]", "1.5", 5400),
        ("time_min", 2, 120),
        ("epoch_ms", 1_767_225_600_500, 1_767_225_600.5),
        ("timestamp_utc", "2026-01-01T00:00:00.5", 1_767_225_600.5),
        ("epoch", "1767225600.5", 1_767_225_600.5),
        ("time_of_day", "12:00:01.5", 43_201.5),
        ("Uhrzeit", "9:00:00,25", 32_400.25),
        ("time_of_day", datetime.time(12, 0, 1, 500_000), 43_201.5),
        ("time_of_day_s", 43_201.5, 43_201.5),
        ("elapsed", "2026-01-01 00:00:00+00:00", 1_767_225_600),
    ],
)
def test_times_are_seconds(name, cell, expected_s):
    assert clock_of([name]).seconds(cell) == pytest.approx(expected_s, abs=1e-6)


@pytest.mark.parametrize("cell", ["", "noon", None, "12:00:00", "inf"])
def test_what_is_no_time_is_refused(cell):
    with pytest.raises(ValueError, match=r"."):
        clock_of(["time"]).seconds(cell)


def test_numbers_that_need_not_be_seconds_are_refused():
    for name in ("elapsed", "Uhrzeit"):
        with pytest.raises(UnknownUnitError, match=f"the column '{name}' must be called after the unit of its numbers"):
            clock_of([name]).seconds(3)
    for name in ("time", "epoch"):
        with pytest.raises(UnknownUnitError, match=f"'{name}' must hold seconds, got 1.767e.12: .* such as {name}_ms"):
            clock_of([name]).seconds(1_767_225_600_000)
