import numpy as np
import pytest

from pocketvae.export.quantize.rounding import learned_rounding


def correlated(rng, count=200, inputs=24, rank=6):
    return np.maximum(rng.normal(size=(count, rank)) @ rng.normal(size=(rank, inputs)), 0)


def test_rounding_by_outputs_loses_less_than_to_the_nearest():
    rng = np.random.default_rng(0)
    weights, inputs = rng.normal(size=(10, 24)), correlated(rng)
    found = learned_rounding(weights, inputs, 7)
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
    found = learned_rounding(weights, inputs, 7)
    off = inputs @ (found.integers * found.scales.astype(float)[:, None] - weights).T
    np.testing.assert_allclose(found.mean_error, off.mean(axis=0), atol=1e-12)


@pytest.mark.parametrize("inputs", [np.zeros((5, 3)), np.eye(3)])
def test_weights_on_the_grid_stay_exact_whatever_the_inputs(inputs):
    weights = np.array([[7.0, -3.0, 0.0], [0.0, 0.0, 0.0], [0.5, -3.5, 1.0]])
    found = learned_rounding(weights, inputs, 7)
    np.testing.assert_allclose(found.integers * found.scales[:, None], weights, atol=1e-6)


@pytest.mark.parametrize("broken", ["weights", "inputs"])
def test_what_is_not_finite_is_refused(broken):
    values = {"weights": np.ones((2, 3)), "inputs": np.ones((4, 3))}
    values[broken][0, 0] = np.nan
    with pytest.raises(FloatingPointError, match="a weight or an input is not finite"):
        learned_rounding(values["weights"], values["inputs"], 7)
