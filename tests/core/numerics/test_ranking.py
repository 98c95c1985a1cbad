"""The area under the ROC curve, against counting all pairs."""

import numpy as np
import pytest

from pocketvae.numerics.ranking import auroc, changed_decisions, confused_pairs


def test_the_area_is_the_share_of_pairs_in_the_right_order():
    rng = np.random.default_rng(0)
    normal, anomalous = rng.integers(0, 9, 40), rng.integers(3, 12, 30)
    pairs = np.sign(anomalous[:, None] - normal[None])
    assert auroc(normal, anomalous) == pytest.approx((pairs.mean() + 1) / 2)


def test_pairs_in_another_order_do_not_cancel_each_other():
    anomalous = np.array([False, False, True, True])
    exact = np.array([1.0, 3.0, 2.0, 4.0])
    assert confused_pairs(exact, exact * 10 - 5, anomalous) == 0
    # 2 falls below 1, and the 3 below 2.5: the area is the same.
    found = np.array([2.6, 2.4, 2.5, 4.0])
    assert auroc(found[:2], found[2:]) == auroc(exact[:2], exact[2:])
    assert confused_pairs(exact, found, anomalous) == 0.5


def test_decisions_that_change_are_counted_near_thresholds_alone():
    """Scores far below all thresholds may move; what crosses one counts, of normal items and of anomalies alike."""
    exact, anomalous = np.concatenate([np.arange(1000.0), np.arange(900.0, 1900.0)]), np.arange(2000) >= 1000
    assert changed_decisions(exact, exact, anomalous) == 0
    assert changed_decisions(exact, 3 * exact - 7, anomalous) == 0
    assert changed_decisions(exact, np.where(exact < 700, -exact, exact), anomalous) == 0
    assert changed_decisions(exact, np.where(anomalous, -exact, exact), anomalous) == pytest.approx(0.49, abs=0.01)
    noise = np.random.default_rng(0).normal(size=2000)
    few, many = (changed_decisions(exact, exact + size * noise, anomalous) for size in (2, 20))
    assert 0 < 5 * few < many < 0.05
