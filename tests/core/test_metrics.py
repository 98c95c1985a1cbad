import math

import numpy as np
import pytest

from pocketvae.errors import SpecError
from pocketvae.manifest import Tolerance
from pocketvae.metrics import METRICS, measure


def tolerance(metric, output="image"):
    return Tolerance(output=output, metric=metric, limit=1.0, source="test")


ORIGINAL = {"image": np.zeros((4, 10, 10, 1), np.float32)}


def shifted(count, by):
    image = np.zeros((4, 10, 10, 1), np.float32)
    image.reshape(-1)[:count] = by
    return {"image": image}


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("max_abs", 0.5),
        ("mean_abs", 0.05),
        ("rmse", math.sqrt(0.025)),
        ("share_off_by_1", 0.1),
        ("share_off_by_4", 0.1),
    ],
)
def test_elementwise_metrics_are_of_the_absolute_difference(metric, expected):
    assert measure(tolerance(metric), ORIGINAL, shifted(40, -0.5)) == pytest.approx(expected)


def test_the_99th_percentile_ignores_fewer_than_one_in_a_hundred():
    assert measure(tolerance("p99_abs"), ORIGINAL, shifted(3, 1.0)) == 0
    assert measure(tolerance("p99_abs"), ORIGINAL, shifted(8, 1.0)) == 1


@pytest.mark.parametrize("metric", [metric for metric in METRICS if not metric.startswith("kl")])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_one_value_that_is_not_finite_spoils_every_metric(metric, bad):
    assert math.isnan(measure(tolerance(metric), ORIGINAL, shifted(1, bad)))
    assert math.isnan(measure(tolerance(metric), shifted(1, bad), shifted(1, bad)))


def test_the_posterior_metric_is_the_divergence_in_nats():
    posterior = {"z_mean": np.zeros((2, 3), np.float32), "z_log_var": np.zeros((2, 3), np.float32)}
    moved = {**posterior, "z_mean": np.array([[1, 0, 0], [0, 0, 0]], np.float32)}
    assert measure(tolerance("kl_mean", "posterior"), posterior, moved) == pytest.approx(0.25)
    assert measure(tolerance("kl_max", "posterior"), posterior, moved) == pytest.approx(0.5)
    assert math.isnan(
        measure(tolerance("kl_max", "posterior"), posterior, {**moved, "z_log_var": np.full((2, 3), np.nan)})
    )


def test_an_unknown_metric_or_output_is_named():
    with pytest.raises(SpecError, match="unknown metric 'max_abz': did you mean 'max_abs'"):
        measure(tolerance("max_abz"), ORIGINAL, ORIGINAL)
    with pytest.raises(SpecError, match="unknown output 'imag'"):
        measure(tolerance("max_abs", "imag"), ORIGINAL, ORIGINAL)
