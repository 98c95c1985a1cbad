import numpy as np
import pytest

from pocketvae.export.external.labelled_mixture import LabelledMixture, fit_labelled_mixture
from pocketvae.export.external.labels import LabelledLatents
from pocketvae.export.external.mixture import Mixture

pytest.importorskip("sklearn")


def latents(count, seed, move=6.0, rare=9):
    """Labels 0 and 1 lie apart by `move`; label 2 has few latents, 3 none."""
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(count) % 2, np.full(rare, 2)]).astype(np.int32)
    z = rng.standard_normal((len(labels), 2)) + np.where(labels == 1, move, 0)[:, None]
    return LabelledLatents(latents=z, labels=labels, label_count=4)


def test_each_label_draws_its_own_and_rare_ones_those_of_all():
    prior = fit_labelled_mixture(latents(400, 0), latents(100, 1), seed=0)
    assert isinstance(prior, LabelledMixture)
    assert prior.description.endswith("covariance for each label, for 2 of 4 labels those of all labels")
    labels = np.repeat(np.array([0, 1, 2], np.int32), 500)
    drawn = prior.sample(1500, np.random.default_rng(0), labels)
    assert drawn[labels == 0].mean() == pytest.approx(0, abs=0.2)
    assert drawn[labels == 1].mean() == pytest.approx(6, abs=0.2)
    assert drawn[labels == 2].std() > 2.5
    z = np.zeros((3, 2))
    density = prior.log_density(z, np.array([0, 1, 3], np.int32))
    assert density[0] > density[2] + 0.3 > density[1] + 10
    for row, label in zip(z, (0, 1, 3), strict=True):
        own = prior.mixtures[prior.of_label[label]].log_density(row[None])
        assert own == pytest.approx(density[(0, 1, 3).index(label)])


def test_labels_that_say_nothing_have_one_mixture():
    same = latents(900, 0, move=0.0, rare=0)
    assert isinstance(fit_labelled_mixture(same, same[:0], seed=0), Mixture)
    few = latents(150, 0)
    assert isinstance(fit_labelled_mixture(few, few[:20], seed=0), Mixture)


@pytest.mark.slow
def test_the_network_draws_what_the_mixtures_say():
    """The components of a diagonal and a full mixture are in one network."""
    factors = np.array([[[2.0, 0], [1, 0.5]]])
    parts = (
        Mixture(weights=np.array([0.4, 0.6]), means=np.array([[50.0, 0], [-50, 0]]), factors=np.ones((2, 2))),
        Mixture(weights=np.array([1.0]), means=np.array([[0.0, 300]]), factors=factors),
    )
    prior = LabelledMixture(mixtures=parts, of_label=(1, 0, 0), sharing=2)
    eps = np.random.default_rng(0).standard_normal((900, 3)).astype(np.float32)
    labels = (np.arange(900) % 3).astype(np.int32)
    z = np.asarray(prior.build((1, 2))([eps, labels], training=False))[:, 0]
    np.testing.assert_allclose(z[labels == 0], [0, 300] + eps[labels == 0, :2] @ factors[0].T, rtol=1e-5, atol=1e-4)
    first = z[labels > 0, 0] > 0
    assert first.mean() == pytest.approx(0.4, abs=0.06)
    np.testing.assert_allclose(
        z[labels > 0] - eps[labels > 0, :2], np.where(first, 50, -50)[:, None] * [1, 0], atol=1e-4
    )
