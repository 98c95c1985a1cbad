"""Figures of a detector, against scikit-learn and against timelines worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest

from pocketvae.apps.anomaly.detection import alarms, detect
from pocketvae.apps.anomaly.separation import (
    Ranking,
    auroc_of,
    average_precision,
    beta_quantile,
    estimates,
    partial_auroc,
    student_quantile,
)
from pocketvae.data.timeline import Event, Timeline
from pocketvae.numerics.ranking import auroc


def _timeline(**changes: object) -> Timeline:
    """Two recordings of 40 and 20 time steps at 10 Hz, windows of 10 at a stride of 5, steps 12 to 14 anomalous."""
    truth = (np.zeros(40, np.bool_), np.zeros(20, np.bool_))
    truth[0][12:15] = True
    values: dict[str, object] = {
        "names": ("a.csv", "b.csv"),
        "recordings": np.repeat(np.array([0, 1], np.int32), [7, 3]),
        "starts": np.array([0, 5, 10, 15, 20, 25, 30, 0, 5, 10], np.int32),
        "length": 10,
        "rate_hz": 10.0,
        "truth": truth,
    }
    return Timeline(**{**values, **changes})  # type: ignore[arg-type]


def _flags(*indices: int) -> np.ndarray:
    flags = np.zeros(10, np.bool_)
    flags[list(indices)] = True
    return flags


@pytest.mark.parametrize("levels", [3, 1000])
def test_areas_are_those_of_scikit_learn(levels: int) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(levels)
    normal, anomalous = rng.integers(0, levels, 300) * 1.0, rng.integers(levels // 3, levels + 1, 40) * 1.0
    truth, values = np.repeat([0, 1], [300, 40]), np.concatenate([normal, anomalous])
    assert average_precision(normal, anomalous) == pytest.approx(metrics.average_precision_score(truth, values))
    expected = metrics.roc_auc_score(truth, values, max_fpr=0.1)
    assert partial_auroc(normal, anomalous) == pytest.approx(expected)
    # Items that count several times, or not at all.
    weights = rng.integers(0, 3, 340)
    counts = Ranking(values, truth == 1).counts(weights)
    assert auroc_of(counts) == pytest.approx(metrics.roc_auc_score(truth, values, sample_weight=weights))
    assert auroc_of(Ranking(values, truth == 1).counts()) == auroc(normal, anomalous)


@pytest.mark.parametrize("count", [10, 15, 20])
def test_a_step_of_the_curve_at_the_share_counts_up_to_it(count: int) -> None:
    # One normal item is above 3 of the 4 anomalies, the others below all: at a share of 0.1 the curve may step up.
    normal = np.r_[np.zeros(count - 1), 3.5]
    anomalous = np.arange(1.0, 5)
    # Up to 1 / count false alarms a quarter of the anomalies is above, from there on all.
    share = 0.1
    inside = min(share, 1 / count)
    area = 0.25 * inside + (share - inside)
    least = share**2 / 2
    assert partial_auroc(normal, anomalous) == pytest.approx(0.5 * (1 + (area - least) / (share - least)))


def test_perfect_and_random_scores_have_known_areas() -> None:
    assert partial_auroc(np.arange(50.0), np.arange(50.0, 60)) == 1.0
    assert partial_auroc(np.zeros(50), np.zeros(10)) == pytest.approx(0.5)


def test_a_window_with_one_anomalous_step_is_anomalous() -> None:
    assert np.flatnonzero(_timeline().anomalous()).tolist() == [1, 2]
    assert _timeline().events() == (Event(recording=0, first=12, last=14),)


def test_the_delay_ends_with_the_first_window_that_alarms() -> None:
    found = alarms(_flags(2), _timeline().anomalous(), _timeline())
    # The window of steps 10 to 19 is over at step 19: the 8th from step 12 on, at 10 Hz.
    assert (found.detected, found.events, found.delays_s) == (1, 1, (0.8,))
    assert found.false_alarms == 0
    first = alarms(_flags(1, 2), _timeline().anomalous(), _timeline())
    assert first.delays_s == (pytest.approx(0.3),)


def test_neighbouring_windows_are_one_alarm_but_not_across_recordings() -> None:
    timeline = _timeline()
    assert alarms(_flags(4, 5), timeline.anomalous(), timeline).false_alarms == 1
    assert alarms(_flags(4, 6), timeline.anomalous(), timeline).false_alarms == 2
    assert alarms(_flags(6, 7), timeline.anomalous(), timeline).false_alarms == 2


def test_an_alarm_that_began_in_an_event_ends_a_windows_length_behind_it() -> None:
    timeline = _timeline()

    def count(*indices: int) -> int:
        return alarms(_flags(*indices), timeline.anomalous(), timeline).false_alarms

    # The event ends at step 14: windows from step 24 or before follow it, here those of 15 and 20.
    assert (count(2, 3), count(1, 2, 3, 4)) == (0, 0)
    assert count(2, 3, 4, 5) == count(2, 3, 4, 5, 6) == 1
    # The event has no part in an alarm that begins behind it, or goes on in the next recording.
    assert (count(3, 4), count(2, 4), count(0, 1, 2), count(2, 3, 4, 5, 6, 7)) == (1, 1, 1, 2)
    # One that is always there: before the event, behind it, and in the other recording.
    assert count(*range(10)) == 3


def test_a_detector_that_is_always_on_has_false_alarms_and_a_share() -> None:
    truth = np.zeros(12_000, np.bool_)
    truth[1200:1260] = True
    timeline = _timeline(
        names=("a",), recordings=np.zeros(1000, np.int32), starts=np.arange(1000) * 12, length=12, truth=(truth,)
    )
    values = np.where(np.arange(1000) >= 100, 2.0, 0.0)
    found = detect(values, timeline.anomalous(), 1.0, timeline)
    assert found.alarms is not None
    assert (found.alarms.detected, found.alarms.false_alarms) == (1, 1)
    # 5 windows of 1,000 hold the event; of the others, 100 lie before the alarm.
    assert (found.recall, found.false_positive_rate) == (1.0, pytest.approx(895 / 995))


def test_alarms_a_day_are_of_the_time_that_was_watched() -> None:
    found = alarms(_flags(4), _timeline().anomalous(), _timeline())
    # Normal windows cover steps 0 to 9 and 15 to 39 of one recording and all 20 of the other: 5.5 s.
    assert found.watched_s == pytest.approx(5.5)
    assert found.false_alarms_per_day == pytest.approx(86_400 / 5.5)
    assert alarms(_flags(4), _timeline().anomalous(), _timeline(rate_hz=None)).false_alarms_per_day is None


def test_an_event_without_an_alarm_is_missed() -> None:
    found = alarms(_flags(9), _timeline().anomalous(), _timeline())
    assert (found.detected, found.delays_s, found.median_delay_s) == (0, (), None)


def test_events_in_parts_shorter_than_a_window_are_missed_and_told() -> None:
    truth = (*(_timeline().truth or ()), np.ones(9, np.bool_))
    timeline = _timeline(names=("a.csv", "b.csv", "b.csv"), truth=truth)
    found = alarms(_flags(2), timeline.anomalous(), timeline)
    assert (found.events, found.detected, found.too_short) == (2, 1, 1)


def test_intervals_hold_the_value_and_widen_where_neighbours_are_alike() -> None:
    rng = np.random.default_rng(0)
    levels = np.repeat(rng.normal(size=50), 20)
    truth = np.repeat(np.arange(50) % 7 == 0, 20)
    values = levels + truth * 0.5
    steps = np.arange(0, 10_000, 10, dtype=np.int32)
    timeline = _timeline(
        recordings=np.zeros(1000, np.int32),
        starts=steps,
        names=("a",),
        truth=(np.repeat(truth, 10),),
    )
    apart, together = detect(values, truth, 1.0, None), detect(values, truth, 1.0, timeline)
    for found in (apart, together):
        assert found.auroc.low <= found.auroc.value <= found.auroc.high
    assert apart.auroc.value == together.auroc.value
    assert together.auroc.high - together.auroc.low > apart.auroc.high - apart.auroc.low


def test_three_anomalies_above_all_normal_items_do_not_prove_that_all_are() -> None:
    for count in (3, 10):
        values, truth = np.arange(200.0 + count), np.arange(200 + count) >= 200
        found = detect(values, truth, 1e9, None)
        assert found.auroc is not None
        assert (found.auroc.value, found.auroc.high) == (1.0, 1.0)
        # Were a share p of all anomalies above, so many would be with the chance p ** count.
        assert found.auroc.low == pytest.approx(0.025 ** (1 / count), abs=1e-4)
        turned = detect(-values, truth, 1e9, None)
        assert turned.auroc is not None
        assert (turned.auroc.low, turned.auroc.high) == (0.0, pytest.approx(1 - 0.025 ** (1 / count), abs=1e-4))


def test_one_anomaly_says_nothing_of_others() -> None:
    for values in (np.arange(201.0), -np.arange(201.0), np.zeros(201)):
        for truth in (np.arange(201) == 200, np.arange(201) != 200):
            assert [(one.low, one.high) for one in estimates(values, truth, np.arange(201), overlap=False)] == [
                (0, 1)
            ] * 3


# Of N(d, 1) above N(0, 1), by the normal distribution of their difference.
@pytest.mark.parametrize(("count", "distance", "expected", "width"), [(3, 1.0, 0.76025, 0.95), (10, 2.5, 0.96145, 0.2)])
def test_intervals_of_few_anomalies_hold_the_area_as_often_as_stated(
    count: int, distance: float, expected: float, width: float
) -> None:
    held = 0
    widths: list[float] = []
    truth = np.arange(200 + count) >= 200
    for seed in range(60):
        rng = np.random.default_rng(seed)
        values = np.concatenate([rng.normal(size=200), rng.normal(distance, 1, count)])
        area, _, _ = estimates(values, truth, np.arange(200 + count), overlap=False)
        held += area.low <= expected <= area.high
        widths.append(area.high - area.low)
    # Percentiles of a bootstrap hold it 43 and 53 times.
    assert held >= 56
    assert np.median(widths) < width


def test_blocks_of_items_that_are_alike_count_once() -> None:
    rng = np.random.default_rng(0)
    values, truth = rng.normal(size=120), np.arange(120) >= 100
    once = estimates(values, truth, np.arange(120), overlap=False)
    often = estimates(np.repeat(values, 5), np.repeat(truth, 5), np.repeat(np.arange(120), 5), overlap=False)
    for one, other in zip(once, often, strict=True):
        assert (one.value, one.low, one.high) == pytest.approx((other.value, other.low, other.high), abs=1e-9)


def test_quantiles_are_those_of_tables() -> None:
    # Abramowitz and Stegun, table 26.10.
    for degrees, quantile in ((1, 12.706), (2, 4.303), (10, 2.228), (120, 1.980)):
        assert student_quantile(degrees) == pytest.approx(quantile, rel=3e-4)
    assert beta_quantile(0.025, 7.0, 1.0) == pytest.approx(0.025 ** (1 / 7), abs=1e-4)
    assert beta_quantile(0.975, 1.0, 40.0) == pytest.approx(1 - 0.025 ** (1 / 40), abs=1e-4)
    # Of 20 draws 15 hit: Clopper and Pearson's interval is 0.509 to 0.913.
    assert (beta_quantile(0.025, 15, 6), beta_quantile(0.975, 16, 5)) == pytest.approx((0.50895, 0.91343), abs=1e-4)


def _watched(count: int, stride: int, seed: int) -> tuple[np.ndarray, Timeline]:
    """Scores of one recording's windows of 64 steps that know nothing: means of squared noise."""
    squares = np.square(np.random.default_rng(seed).normal(size=(count - 1) * stride + 64))
    sums, starts = np.concatenate([[0.0], np.cumsum(squares)]), np.arange(count) * stride
    timeline = _timeline(recordings=np.zeros(count, np.int32), starts=starts, names=("a",), length=64, truth=None)
    return sums[starts + 64] - sums[starts], timeline


def test_intervals_of_overlapping_windows_hold_as_often_as_stated() -> None:
    held = 0
    widths: list[float] = []
    truth = np.repeat([False, True], 100)
    for seed in range(20):
        (normal, first), (others, second) = _watched(100, 8, seed), _watched(100, 8, 100 + seed)
        found = detect(np.concatenate([normal, others]), truth, 1.0, None, sources=(first, second))
        held += found.auroc.low <= 0.5 <= found.auroc.high
        widths.append(found.auroc.high - found.auroc.low)
        assert found.alarms is None
    # Of windows one by one it is 13.
    assert held >= 18
    # Some 13 windows of each kind share no step: the width is about 0.46. An interval from 0 to 1 says nothing.
    assert np.median(widths) < 0.7


def test_few_overlapping_windows_say_nothing() -> None:
    values, timeline = _watched(48, 1, 0)
    truth = (np.zeros(111, np.bool_),)
    truth[0][90:] = True
    found = detect(values, replace(timeline, truth=truth).anomalous(), 1.0, timeline)
    assert (found.auroc.low, found.auroc.high) == (0.0, 1.0)


def test_sources_that_are_no_recordings_are_taken_item_by_item() -> None:
    values, truth = np.random.default_rng(0).normal(size=40), np.arange(40) >= 30
    assert detect(values, truth, 1.0, None, sources=(30, 10)) == detect(values, truth, 1.0, None)


def test_one_class_alone_has_shares_and_alarms_but_no_area() -> None:
    quiet = _timeline(truth=(np.zeros(40, np.bool_), np.zeros(20, np.bool_)))
    found = detect(_flags(1, 2, 6) * 2.0, quiet.anomalous(), 1.0, quiet)
    assert (found.auroc, found.auprc, found.partial_auroc, found.recall) == (None, None, None, None)
    assert (found.false_positive_rate, found.normal) == (0.3, 10)
    assert found.alarms is not None
    assert (found.alarms.events, found.alarms.false_alarms, found.alarms.watched_s) == (0, 2, 6.0)
    loud = _timeline(truth=(np.ones(40, np.bool_), np.ones(20, np.bool_)))
    found = detect(_flags(1, 2, 6) * 2.0, loud.anomalous(), 1.0, loud)
    assert (found.auroc, found.false_positive_rate, found.recall) == (None, None, 0.3)
    assert found.alarms is not None
    assert (found.alarms.events, found.alarms.detected, found.alarms.false_alarms_per_day) == (2, 1, None)
