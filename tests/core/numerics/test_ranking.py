"""The area under the ROC curve, against counting all pairs."""

import numpy as np
import pytest

from pocketvae.numerics.ranking import auroc


def test_the_area_is_the_share_of_pairs_in_the_right_order():
    rng = np.random.default_rng(0)
    normal, anomalous = rng.integers(0, 9, 40), rng.integers(3, 12, 30)
    pairs = np.sign(anomalous[:, None] - normal[None])
    assert auroc(normal, anomalous) == pytest.approx((pairs.mean() + 1) / 2)
