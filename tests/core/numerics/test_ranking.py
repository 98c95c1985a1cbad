"""The area under the ROC curve, against counting all pairs."""

import numpy as np
import pytest

from pocketvae.numerics.ranking import auroc, confused_pairs


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
