from dataclasses import replace

import numpy as np
import pytest

from pocketvae.data.timeline import Event, Timeline


@pytest.mark.parametrize(
    ("events", "counted"),
    [
        ([(5, 6)], [(5, 6)]),
        # Those between windows are missed. What begins behind the last window is of windows that were not taken.
        ([(12, 39), (44, 44), (91, 92), (95, 99)], [(12, 39), (44, 44), (91, 92)]),
    ],
)
def test_events_are_all_those_up_to_the_last_window(events, counted):
    truth = np.zeros(100, np.bool_)
    for first, last in events:
        truth[first : last + 1] = True
    timeline = Timeline(
        names=("a.csv",),
        recordings=np.zeros(3, np.int32),
        starts=np.array([80, 0, 40]),
        length=12,
        truth=(truth,),
    )
    assert timeline.events() == tuple(Event(recording=0, first=first, last=last) for first, last in counted)


def test_events_of_recordings_shorter_than_a_window_count():
    truth = (np.arange(9) > 2, np.zeros(8, np.bool_), np.isin(np.arange(30), (1, 5, 6)), np.ones(11, np.bool_))
    timeline = Timeline(
        names=("a", "a", "a", "b"),
        recordings=np.array([2, 2], np.int32),
        starts=np.array([0, 12], np.int64),
        length=12,
        truth=truth,
    )
    found = [(event.recording, event.first, event.last) for event in timeline.events()]
    assert found == [(0, 3, 8), (2, 1, 1), (2, 5, 6), (3, 0, 10)]
    assert [timeline.is_too_short(event) for event in timeline.events()] == [True, False, False, True]
    assert replace(timeline, truth=None).events() == ()


def test_windows_of_many_recordings_are_told_apart_by_their_own_truth():
    truth = tuple(np.arange(6) == number % 7 for number in range(20))
    # Neither in order, nor of all recordings.
    recordings = np.array([13, 2, 13, 0, 19, 2], np.int32)
    timeline = Timeline(
        names=tuple(map(str, range(20))),
        recordings=recordings,
        starts=np.array([3, 0, 5, 0, 4, 2], np.int64),
        length=1,
        truth=truth,
    )
    expected = [bool(truth[number][start]) for number, start in zip(recordings, timeline.starts, strict=True)]
    assert timeline.anomalous().tolist() == expected
    assert replace(timeline, truth=None).anomalous().tolist() == [False] * 6
    assert [(event.recording, event.first) for event in timeline.events()] == [(0, 0), (2, 2)]


def test_time_steps_since_the_last_anomaly_are_those_of_the_own_recording():
    truth = (np.isin(np.arange(20), (0, 4, 5, 12)), np.zeros(20, np.bool_))
    starts = np.array([0, 1, 4, 6, 12, 13, 19, 7], np.int64)
    timeline = Timeline(
        names=("a", "b"), recordings=np.array([0] * 7 + [1], np.int32), starts=starts, length=1, truth=truth
    )
    assert timeline.steps_since_anomaly().tolist() == [-1, 1, 4, 1, 7, 1, 7, -1]
    assert replace(timeline, truth=None).steps_since_anomaly().tolist() == [-1] * 8


def test_a_last_window_that_begins_earlier_is_no_overlap_of_all():
    recordings, starts = np.array([0, 0, 0, 1, 1, 1], np.int32), np.array([0, 10, 13, 0, 10, 11], np.int64)
    timeline = Timeline(names=("a", "b"), recordings=recordings, starts=starts, length=10)
    assert (timeline.stride(), timeline.overlap()) == (10, 1)
    half = Timeline(names=("a", "b"), recordings=recordings, starts=starts // 2, length=10)
    assert (half.stride(), half.overlap()) == (5, 2)
    two = Timeline(names=("a",), recordings=np.zeros(2, np.int32), starts=np.array([0, 3], np.int64), length=10)
    assert (two.stride(), two.overlap()) == (3, 4)
    assert timeline.take(slice(1)).stride() == 10
