from xml.etree import ElementTree

import numpy as np
import pytest
from scipy import stats

from pocketvae.apps import (
    auroc,
    roc_curve,
    roc_svg,
)


def test_auroc_is_the_share_of_pairs_in_order():
    rng = np.random.default_rng(0)
    normal, strange = rng.integers(0, 9, 50).astype(float), rng.integers(2, 12, 70).astype(float)
    pairs = (strange[:, None] > normal) + 0.5 * (strange[:, None] == normal)
    assert auroc(normal, strange) == pytest.approx(pairs.mean())
    false_positive, true_positive = roc_curve(normal, strange)
    area = np.sum(np.diff(false_positive) * (true_positive[1:] + true_positive[:-1]) / 2)
    assert area == pytest.approx(pairs.mean())
    assert (false_positive[-1], true_positive[-1]) == (1, 1)


def test_the_picture_is_well_formed_and_loads_nothing():
    values = np.arange(50.0)
    svg = roc_svg({"density": values}, {"density": values + 25})
    root = ElementTree.fromstring(svg)
    assert "AUROC 0.8750" in "".join(root.itertext())
    assert svg.count("http") == 1  # the name space


def test_auroc_is_the_statistic_of_mann_whitney_of_scipy():
    rng = np.random.default_rng(1)
    normal, strange = rng.integers(0, 9, 50).astype(float), rng.integers(2, 12, 70).astype(float)
    statistic = stats.mannwhitneyu(strange, normal).statistic
    # U over the number of pairs; both count halves, which float64 holds exactly.
    assert auroc(normal, strange) == pytest.approx(statistic / (50 * 70), rel=1e-14)
