import numpy as np
import pytest

pytestmark = pytest.mark.slow


def test_a_flow_learns_a_shape_and_its_model_draws_it():
    from pocketvae.export.external import flow

    rng = np.random.default_rng(0)

    def moons(count):
        x = rng.standard_normal((count, 2))
        return np.stack([5 * x[:, 0] + 20, np.square(x[:, 0]) + 0.1 * x[:, 1]], axis=1)

    fitted = flow.fit_flow(moons(1500), moons(200), seed=0)
    test = moons(300)
    gaussian = (
        -0.5 * (np.square((test - test.mean(0)) / test.std(0)).sum(1)) - np.log(test.std(0)).sum() - np.log(2 * np.pi)
    )
    assert fitted.log_density(test).mean() > gaussian.mean() + 0.5
    eps = rng.standard_normal((64, 2)).astype(np.float32)
    z = np.asarray(fitted.build((1, 2))(eps, training=False))
    assert z.shape == (64, 1, 2)
    inner = np.asarray(fitted.model(eps, training=False))
    np.testing.assert_allclose(z[:, 0], fitted.centre + fitted.scale * inner, rtol=1e-4, atol=1e-4)


def test_a_flow_learns_a_shape_for_each_label():
    from pocketvae.export.external import flow
    from pocketvae.export.external.labels import LabelledLatents

    def latents(count, seed):
        rng = np.random.default_rng(seed)
        labels = rng.integers(0, 2, count).astype(np.int32)
        z = rng.standard_normal((count, 2)) + np.where(labels, 5, -5)[:, None]
        return LabelledLatents(latents=z, labels=labels, label_count=3)

    fitted = flow.fit_labelled_flow(latents(1500, 0), latents(200, 1), seed=0)
    assert fitted.takes_label
    test = latents(300, 2)
    right, wrong = (fitted.log_density(test.latents, labels).mean() for labels in (test.labels, 1 - test.labels))
    assert right > wrong + 5
    drawn = fitted.sample(400, np.random.default_rng(0), np.ones(400, np.int32))
    assert drawn.mean() == pytest.approx(5, abs=0.5)
    (codes,) = fitted.model.get_layer("label_codes").get_weights()
    np.testing.assert_allclose(codes[2], codes[:2].mean(axis=0), rtol=1e-6)
    inputs = [np.zeros((4, 2), np.float32), np.arange(4, dtype=np.int32) % 3]
    assert np.asarray(fitted.build((2,))(inputs, training=False)).shape == (4, 2)
