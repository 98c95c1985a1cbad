import numpy as np
import pytest

from pocketvae.export.quantize import rounding
from pocketvae.export.quantize.rounding import learned_rounding, moments_of


def correlated(rng, count=200, inputs=24, rank=6):
    return np.maximum(rng.normal(size=(count, rank)) @ rng.normal(size=(rank, inputs)), 0)


def test_rounding_by_outputs_loses_less_than_to_the_nearest():
    rng = np.random.default_rng(0)
    weights, inputs = rng.normal(size=(10, 24)), correlated(rng)
    found = learned_rounding(weights, moments_of([inputs]), 7)
    assert found.integers.dtype == np.int8
    assert np.abs(found.integers).max() <= 7
    scales = found.scales.astype(float)[:, None]
    nearest = np.clip(np.rint(weights / scales), -7, 7) * scales
    expected = inputs @ weights.T
    loss = np.std(inputs @ (found.integers * scales).T - expected)
    assert loss < 0.6 * np.std(inputs @ nearest.T - expected)


def test_the_mean_error_is_what_the_outputs_are_off_on_average():
    rng = np.random.default_rng(1)
    weights, inputs = rng.normal(size=(3, 24)), correlated(rng)
    found = learned_rounding(weights, moments_of([inputs]), 7)
    off = inputs @ (found.integers * found.scales.astype(float)[:, None] - weights).T
    np.testing.assert_allclose(found.mean_error, off.mean(axis=0), atol=1e-12)


@pytest.mark.parametrize("inputs", [np.zeros((5, 3)), np.eye(3)])
def test_weights_on_the_grid_stay_exact_whatever_the_inputs(inputs):
    weights = np.array([[7.0, -3.0, 0.0], [0.0, 0.0, 0.0], [0.5, -3.5, 1.0]])
    found = learned_rounding(weights, moments_of([inputs]), 7)
    np.testing.assert_allclose(found.integers * found.scales[:, None], weights, atol=1e-6)


def test_moments_do_not_depend_on_how_rows_are_divided():
    rows = np.random.default_rng(2).normal(size=(50, 4))
    whole, parts = moments_of([rows]), moments_of([rows[:7], rows[7:20], rows[20:]])
    np.testing.assert_allclose(parts.mean, rows.mean(axis=0))
    np.testing.assert_allclose(parts.products, whole.products)


def test_what_layers_before_have_changed_is_taken_off():
    rng = np.random.default_rng(5)
    weights, wanted = rng.normal(size=(10, 24)), correlated(rng, count=400)
    # Half of what the inputs should be, and a shift.
    given = 0.5 * wanted + 0.3
    expected = wanted @ weights.T
    found = learned_rounding(weights, moments_of([given[:150], given[150:]], [wanted[:150], wanted[150:]]), 127)
    made = given @ (found.integers * found.scales.astype(float)[:, None]).T
    np.testing.assert_allclose((made - expected).mean(axis=0), found.mean_error, atol=1e-9)
    assert np.std(made - expected - found.mean_error) < 0.05 * np.std(expected)
    plain = learned_rounding(weights, moments_of([given]), 127)
    plainly = given @ (plain.integers * plain.scales.astype(float)[:, None]).T
    assert np.std(plainly - expected) > 0.4 * np.std(expected)


@pytest.mark.parametrize("has_bias", [True, False])
def test_a_bias_lets_other_weights_take_off_the_rest(has_bias):
    rng = np.random.default_rng(3)
    weights, inputs = rng.normal(size=(10, 24)), correlated(rng) + 3
    found = learned_rounding(weights, moments_of([inputs]), 7, has_bias=has_bias)
    off = inputs @ (found.integers * found.scales.astype(float)[:, None] - weights).T
    other = learned_rounding(weights, moments_of([inputs]), 7, has_bias=not has_bias)
    other_off = inputs @ (other.integers * other.scales.astype(float)[:, None] - weights).T

    def size(errors):
        return np.sqrt(np.mean(np.square(errors - errors.mean(axis=0) if has_bias else errors)))

    assert size(off) < size(other_off)


def test_errors_are_passed_on_to_all_later_inputs_however_they_are_computed(monkeypatch):
    rng = np.random.default_rng(4)
    weights, inputs = rng.normal(size=(6, 200)), moments_of([correlated(rng, count=900, inputs=200, rank=20)])
    found = learned_rounding(weights, inputs, 7)
    monkeypatch.setattr(rounding, "_BLOCK", 1000)
    one_by_one = learned_rounding(weights, inputs, 7)
    # The order of additions moves last bits, and with them what lies halfway between two integers.
    assert np.mean(found.integers == one_by_one.integers) > 0.99


def test_weights_that_are_not_finite_are_refused():
    with pytest.raises(FloatingPointError, match="a weight is not finite"):
        learned_rounding(np.full((2, 3), np.nan), moments_of([np.ones((4, 3))]), 7)


def test_inputs_that_are_not_finite_are_refused():
    with pytest.raises(FloatingPointError, match="an input is not finite"):
        moments_of([np.ones((4, 3)), np.full((4, 3), np.inf)])
