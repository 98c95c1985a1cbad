import numpy as np
import pytest

pytestmark = pytest.mark.slow
FLOW = {"prior": "realnvp", "couplings": 2, "coupling_units": 4}


def weights(parts):
    return [weight.numpy() for weight in parts.model.trainable_variables()]


def norm(arrays):
    return np.sqrt(sum(np.sum(np.square(array, dtype=np.float64)) for array in arrays))


EVERY_KIND = [
    {},
    {"objective": "iwae", "importance_samples": 4},
    {"objective": "iwae", "importance_samples": 3, "doubly_reparameterized": True, **FLOW},
    {"free_bits_nats": 0.1},
    {"likelihood": "gaussian", **FLOW},
    {"likelihood": "discretized_logistic", "prior": "mixture", "components": 3},
    {"prior": "vamp", "components": 3, "objective": "iwae", "importance_samples": 2},
    {"prior": "vamp", "components": 3, "objective": "iwae", "importance_samples": 2, "doubly_reparameterized": True},
    {"conditional": True},
    {"architecture": "residual", "channels": [2, 3], "blocks": 1},
    {"architecture": "residual", "channels": [2, 3], "blocks": 1, "activation": "silu"},
    {"jit_compile": True},
    {"architecture": "conv", "channels": [8, 16], "optimizer": "muon"},
    {"architecture": "conv", "channels": [8, 16], "optimizer": "muon", "jit_compile": True},
]


@pytest.mark.parametrize("changes", EVERY_KIND, ids=lambda changes: "-".join(map(str, changes.values())) or "elbo")
def test_steps_on_one_batch_lower_its_loss(make_parts, small_data, changes):
    parts = make_parts(**changes)
    # The same number is the same noise, so the losses are of the same function.
    losses = [parts.step(small_data, number=5) for _ in range(6)]
    assert losses[1] < losses[0]
    assert losses[-1] < losses[1]


def test_the_loss_is_the_mean_negative_bound(make_parts, small_data):
    from pocketvae.train.model import Noise

    batch = small_data.train.take(slice(16))

    def terms(parts, samples):
        noise = Noise(seed=np.array([0, 3], np.int64))
        return parts.model.terms(batch.images, batch.labels, noise, samples=samples)

    elbo, iwae, flow, free = (
        make_parts(),
        make_parts(objective="iwae", importance_samples=4),
        make_parts(**FLOW),
        make_parts(free_bits_nats=0.4),
    )
    one = terms(elbo, 1)
    reconstruction, kl = -np.mean(one.log_likelihood), np.sum(np.mean(one.kl, axis=0))
    four = np.asarray(terms(iwae, 4).log_weights(), np.float64)
    bound = np.log(np.mean(np.exp(four - four.max()), axis=0)) + four.max()
    sampled = terms(flow, 1)
    free_kl = np.sum(np.maximum(np.mean(terms(free, 1).kl, axis=0), 0.4))
    assert elbo.step(small_data, 3) == pytest.approx(reconstruction + kl, rel=1e-5)
    assert make_parts().step(small_data, 3, beta=0.5) == pytest.approx(reconstruction + 0.5 * kl, rel=1e-5)
    assert iwae.step(small_data, 3) == pytest.approx(-bound.mean(), rel=1e-5)
    assert flow.step(small_data, 3) == pytest.approx(-np.mean(sampled.log_weights()), rel=1e-5)
    assert free.step(small_data, 3) == pytest.approx(reconstruction + free_kl, rel=1e-5)


def test_a_bound_of_one_importance_sample_is_the_elbo_of_that_sample(make_parts, small_data):
    # With a learned prior the ELBO's divergence is sampled too, so both losses are the same number.
    elbo, iwae = make_parts(**FLOW), make_parts(objective="iwae", importance_samples=1, **FLOW)
    for number in range(3):
        assert elbo.step(small_data, number) == pytest.approx(iwae.step(small_data, number), rel=1e-5)


def test_the_same_seed_gives_the_same_steps_bit_for_bit(make_parts, small_data):
    changes = {"likelihood": "gaussian", "ema_decay": 0.9, **FLOW}
    one, same, other = make_parts(**changes), make_parts(**changes), make_parts(seed=1, **changes)
    losses = [[parts.step(small_data, number) for number in range(4)] for parts in (one, same, other)]
    assert losses[0] == losses[1] != losses[2]
    for a, b in zip(weights(one), weights(same), strict=True):
        np.testing.assert_array_equal(a, b)


def test_averaged_weights_are_the_moving_average_of_the_weights(make_parts, small_data):
    parts = make_parts(ema_decay=0.5)
    expected = weights(parts)
    for number in range(12):
        parts.step(small_data, number)
        decay = min(0.5, (1 + number) / (10 + number))
        expected = [
            decay * average + (1 - decay) * weight for average, weight in zip(expected, weights(parts), strict=True)
        ]
    current = weights(parts)
    with parts.trainer.averaged_weights():
        for average, weight in zip(weights(parts), expected, strict=True):
            np.testing.assert_allclose(average, weight, atol=1e-5)
        assert norm([a - b for a, b in zip(weights(parts), current, strict=True)]) > 1e-3
    for before, after in zip(current, weights(parts), strict=True):
        np.testing.assert_array_equal(before, after)


def test_the_weights_come_back_when_the_block_fails(make_parts, small_data):
    parts = make_parts(ema_decay=0.9)
    parts.step(small_data)
    current = weights(parts)
    with pytest.raises(ZeroDivisionError), parts.trainer.averaged_weights():
        raise ZeroDivisionError
    for before, after in zip(current, weights(parts), strict=True):
        np.testing.assert_array_equal(before, after)


def test_without_averages_the_weights_stay_as_they_are(make_parts, small_data):
    parts = make_parts()
    parts.step(small_data)
    current = weights(parts)
    with parts.trainer.averaged_weights():
        for before, inside in zip(current, weights(parts), strict=True):
            np.testing.assert_array_equal(before, inside)


def test_gradients_are_scaled_down_to_their_global_norm(make_parts, small_data):
    def first_moments(max_norm):
        parts = make_parts(max_gradient_norm=max_norm)
        parts.step(small_data)
        # After one step Adam's first moment is a tenth of the gradient.
        optimizer = parts.trainer.optimizer
        return [10 * optimizer.get_slot(weight, "m").numpy() for weight in parts.model.trainable_variables()]

    whole, clipped = first_moments(1e6), first_moments(0.5)
    assert norm(whole) > 1
    assert norm(clipped) == pytest.approx(0.5, rel=1e-4)
    for a, b in zip(whole, clipped, strict=True):
        np.testing.assert_allclose(a * 0.5 / norm(whole), b, rtol=1e-3, atol=1e-6)


def test_the_rate_is_that_of_the_step(make_parts, small_data):
    def change(rate):
        parts = make_parts()
        before = weights(parts)
        parts.step(small_data, learning_rate=rate)
        return norm([a - b for a, b in zip(weights(parts), before, strict=True)])

    # Adam's first step is the rate times the gradient's sign.
    assert change(0.02) == pytest.approx(2 * change(0.01), rel=1e-3)
    assert change(0.0) == 0


def test_a_step_of_one_sample_is_that_of_the_elbo(make_parts, small_data):
    bound = {"objective": "iwae", "importance_samples": 4}
    single = make_parts(**bound).step(small_data, single_sample=True)
    assert single == pytest.approx(make_parts(objective="iwae").step(small_data), rel=1e-6)
    assert make_parts(**bound).step(small_data) < single - 0.1


def test_images_stay_as_they_are_when_a_step_says_so(make_parts, small_data):
    moved = make_parts(shift_pixels=2).step(small_data)
    still = make_parts(shift_pixels=2).step(small_data, augmented=False)
    assert still == pytest.approx(make_parts().step(small_data), rel=1e-6)
    assert abs(moved - still) > 1e-3


def test_decayed_kernels_shrink_by_the_rate_and_nothing_else_does(make_parts, small_data):
    def after_a_step(**config):
        parts = make_parts(**config)
        before = weights(parts)
        parts.step(small_data, learning_rate=0.01)
        return before, weights(parts)

    before, free = after_a_step()
    _, decayed = after_a_step(weight_decay=5.0)
    kernels = 0
    for start, without, with_decay in zip(before, free, decayed, strict=True):
        expected = without - 0.05 * start if start.ndim > 1 else without
        np.testing.assert_allclose(with_decay, expected, atol=1e-6)
        kernels += start.ndim > 1
    assert kernels >= 4


@pytest.mark.parametrize("prior", ["mixture", "vamp"])
def test_the_components_of_a_prior_do_not_decay(make_parts, small_data, prior):
    def components(decay):
        parts = make_parts(prior=prior, components=4, weight_decay=decay)
        parts.step(small_data)
        model = parts.model
        return [model.pseudo_inputs] if prior == "vamp" else model.prior.trainable_variables

    for decayed, free in zip(components(50.0), components(0.0), strict=True):
        np.testing.assert_allclose(decayed.numpy(), free.numpy(), atol=1e-6)


def residual_variance(parts, images):
    """The mean squared residual as numpy computes it, with the noise of a bound's first batch."""
    from pocketvae.train.model import Noise, _draw, reparameterize

    x = images.images.astype(np.float32) / 255
    seed = np.array([parts.config.seed, -1], np.int64)
    z_mean, z_log_var = parts.model.encode(x, images.labels_or_zeros())
    import tensorflow as tf

    eps = _draw(tf.random.stateless_normal, [len(x)], (parts.config.latent_dim,), Noise(seed=seed), 1)
    decoded = parts.model.decode(reparameterize(z_mean, z_log_var, eps), images.labels_or_zeros())
    return float(np.mean((x - np.asarray(decoded)) ** 2))


@pytest.mark.parametrize("changes", [{}, {"ema_decay": 0.99}, {"batch_size": 128}])
def test_a_gaussian_variance_is_that_of_the_residual_after_any_number_of_steps(make_parts, small_data, changes):
    from pocketvae.progress import ignore_progress
    from pocketvae.train.loop import LoopState, fit

    parts, checked = make_parts(likelihood="gaussian", epochs=8, **changes), []
    for state in fit(parts.trainer, parts.evaluator, small_data, LoopState(), ignore_progress):
        if len(state.epochs) in (1, 2, 3, 8):
            checked.append(len(state.epochs))
            with parts.trainer.averaged_weights():
                expected = pytest.approx(residual_variance(parts, small_data.train), rel=1e-4)
                assert float(parts.model.variance) == expected
    assert checked == [1, 2, 3, 8]


def test_a_step_uses_the_optimal_variance_of_its_own_batch(make_parts, small_data):
    parts = make_parts(likelihood="gaussian")
    parts.model.variance.assign(123.0)
    loss = parts.step(small_data, learning_rate=0.0)
    parts.model.variance.assign(1e-3)
    assert parts.step(small_data, learning_rate=0.0) == loss


def test_a_checkpoint_holds_all_that_goes_on(make_parts):
    plain, full = make_parts(), make_parts(prior="vamp", components=3, ema_decay=0.9)
    assert set(plain.trainer.tracked()) == {"encoder", "decoder", "variance", "optimizer"}
    assert set(full.trainer.tracked()) == {
        *("encoder", "decoder", "prior", "pseudo_inputs", "variance"),
        *("optimizer", "averages"),
    }
    assert set(full.trainer.tracked_weights()) == set(full.trainer.tracked()) - {"optimizer", "averages"}


def test_a_fitted_variance_has_no_gradient(make_parts):
    import tensorflow as tf

    optimal = tf.Variable(0.3)
    with tf.GradientTape() as tape:
        variance = make_parts(likelihood="gaussian").trainer._fit_variance(optimal, 0.0)
    assert float(variance) == np.float32(0.3)
    assert tape.gradient(variance, optimal) is None


def test_the_gradient_without_the_score_has_the_same_mean_where_the_variance_is_fitted(make_parts, small_data):
    """Means over 400 draws, whose noise is a tenth of what a variance that passes its gradient on would change."""
    import tensorflow as tf

    from pocketvae.train.model import Noise
    from pocketvae.train.objective import WeightedPath

    parts = make_parts(likelihood="gaussian", objective="iwae", importance_samples=8, doubly_reparameterized=True)
    batch = small_data.train.take(slice(16))
    encoder = parts.model.encoder.trainable_variables

    @tf.function
    def gradients(number, is_direct):
        path = WeightedPath() if is_direct else None
        with tf.GradientTape() as tape:
            terms = parts.model.terms(
                batch.images,
                batch.labels,
                Noise(seed=tf.stack([tf.constant(0, tf.int64), number])),
                samples=8,
                training=True,
                fit_variance=lambda optimal: parts.trainer._fit_variance(optimal, 0.0),
                path=path,
            )
            loss = parts.trainer._loss(terms, 1.0, path)
        return tf.concat([tf.reshape(value, [-1]) for value in tape.gradient(loss, encoder)], 0)

    direct, plain = (
        np.mean([gradients(tf.constant(number, tf.int64), kind).numpy() for number in range(400)], axis=0)
        for kind in (True, False)
    )
    assert direct @ plain / np.linalg.norm(direct) / np.linalg.norm(plain) > 0.97


def test_xla_and_several_workers_contradict_each_other(make_parts):
    from types import SimpleNamespace

    from pocketvae.errors import SpecError
    from pocketvae.train.trainer import Trainer

    parts = make_parts(jit_compile=True)
    with pytest.raises(SpecError, match="jit_compile has no effect with several workers: set jit_compile = false"):
        Trainer(parts.config, parts.model, SimpleNamespace(count=2))
