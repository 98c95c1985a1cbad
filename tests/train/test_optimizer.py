"""Muon: kernels of convolutions take steps of equal singular values, all other weights those of Adam."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = pytest.mark.slow
# A kernel of 4x4x8 inputs and 16 outputs, one of 9x16 and 32; all others are narrower.
CONV = {"architecture": "residual", "channels": [8, 16], "hidden_units": 8}


def changes(parts, data, **knobs):
    """Returns what one step changes of every weight, with its name."""
    before = [weight.numpy() for weight in parts.model.trainable_variables()]
    parts.step(data, **knobs)
    after = parts.model.trainable_variables()
    return [(weight.name, weight.numpy() - old) for weight, old in zip(after, before, strict=True)]


@pytest.mark.parametrize("shape", [(16, 16), (144, 32), (32, 144), (400, 17)])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e4])
def test_singular_values_become_about_one(shape, scale):
    from pocketvae.train.optimizer import orthogonalized

    matrix = scale * np.random.default_rng(0).standard_normal(shape)
    made = orthogonalized(matrix.astype(np.float32)).numpy()
    left, _, right = np.linalg.svd(matrix, full_matrices=False)
    values = np.linalg.svd(made, compute_uv=False)
    assert made.shape == shape
    assert values.min() > 0.5
    assert values.max() < 1.3
    # The same directions: seen from the matrix's own, it is diagonal.
    inside = left.T @ made @ right.T
    np.testing.assert_allclose(inside - np.diag(np.diag(inside)), 0, atol=0.02)


def test_zeros_stay_zeros():
    from pocketvae.train.optimizer import orthogonalized

    np.testing.assert_array_equal(orthogonalized(np.zeros((16, 32), np.float32)), np.zeros((16, 32)))


def test_a_wide_kernel_changes_in_all_directions_alike_and_the_others_as_with_adam(make_parts, small_data):
    from pocketvae.train.optimizer import is_orthogonalized

    rate = 0.01
    muon = changes(make_parts(**CONV, optimizer="muon"), small_data, learning_rate=rate)
    adam = changes(make_parts(**CONV), small_data, learning_rate=rate)
    wide = []
    for (name, change), (_, other) in zip(muon, adam, strict=True):
        if not is_orthogonalized(change):
            np.testing.assert_array_equal(change, other, err_msg=name)
            continue
        wide.append(name)
        matrix = change.reshape(-1, change.shape[-1])
        values = np.linalg.svd(matrix, compute_uv=False)
        # Half of them at least: inputs that are the same for every image have no direction of their own.
        assert np.sort(values)[-8:].min() > 0.5 * values.max()
        assert 0.1 * rate < np.sqrt(np.mean(np.square(matrix))) < 0.3 * rate
    assert wide == ["down_1/kernel:0", "up_1/kernel:0"]


def test_momentum_goes_on(make_parts, small_data):
    parts = make_parts(**CONV, optimizer="muon")
    (kernel,) = (weight for weight in parts.model.trainable_variables() if weight.name == "up_1/kernel:0")
    parts.step(small_data)
    first = parts.trainer.optimizer.get_slot(kernel, "momentum").numpy()
    parts.step(small_data, learning_rate=1e-12)
    second = parts.trainer.optimizer.get_slot(kernel, "momentum").numpy()
    # Almost the same gradient again, as the step before changed the weights a little.
    assert np.abs(second).sum() == pytest.approx(1.95 * np.abs(first).sum(), rel=0.2)


def test_adam_keeps_nothing_for_what_is_not_its(make_parts):
    def size(**changes):
        return sum(variable.numpy().size for variable in make_parts(**CONV, **changes).trainer.optimizer.variables())

    # One number in place of two for every value of both kernels.
    assert size() - size(optimizer="muon") == 4 * 4 * 8 * 16 + 9 * 16 * 32


def test_height_and_width_count_as_inputs(make_parts):
    from pocketvae.train.optimizer import is_orthogonalized

    parts = make_parts(architecture="conv", channels=[16, 32], hidden_units=8, optimizer="muon")
    wide = [weight.name for weight in parts.model.trainable_variables() if is_orthogonalized(weight)]
    assert wide == ["down_0/kernel:0", "down_1/kernel:0", "up_1/kernel:0"]


def test_muon_without_a_kernel_for_it_is_refused(make_parts):
    from pocketvae.errors import SpecError

    with pytest.raises(SpecError, match=r"optimizer has no effect with channels = \[2, 3\], .*set optimizer = 'adam'"):
        make_parts(architecture="conv", channels=[2, 3], optimizer="muon")
