from dataclasses import replace

import numpy as np
import pytest

from pocketvae.data.values import ValueSet, ValueSplits
from pocketvae.errors import SpecError
from pocketvae.export.external.prior import FittedPrior, LabelGain, PriorFit, Quality, check_fit, write_items
from pocketvae.vae_spec import DataKind, Latent, PriorKind, VaeSpec


def vae(*sizes):
    latents = tuple(Latent(name=f"z{size}", shape=(size,)) for size in sizes)
    return VaeSpec(data=DataKind.VECTOR, data_shape=(3,), latents=latents)


def splits(count):
    values = np.arange(3.0 * count, dtype=np.float32).reshape(count, 3)
    return ValueSplits(name="t.csv", train=ValueSet(values=values), test=ValueSet(values=values[:5]))


@pytest.mark.parametrize(
    ("sizes", "count", "message"),
    [
        ((2, 3), 900, "the prior of one latent, but this decoder takes 2"),
        ((4097,), 900, "latents of at most 4096 values, got 4097"),
        ((2,), 199, r"needs at least 200 items to fit to, got 199 in t\.csv beside those that are held out"),
    ],
)
def test_what_cannot_be_fitted_is_refused_before_anything_is_encoded(sizes, count, message):
    with pytest.raises(SpecError, match=message):
        check_fit(PriorFit.GMM, vae(*sizes), splits(count))
    check_fit(PriorFit.GMM, vae(2), splits(200))
    same = ValueSet(values=np.ones((300, 3), np.float32))
    with pytest.raises(SpecError, match=r"needs items that differ, but all 300 of t\.csv to fit to are the same"):
        check_fit(PriorFit.GMM, vae(2), ValueSplits(name="t.csv", train=same, test=same))
    codes = VaeSpec(data_shape=(4, 4, 1), latents=(Latent(shape=(4,), codes=9),), prior=PriorKind.UNIFORM)
    with pytest.raises(SpecError, match="this decoder takes integer codes"):
        check_fit(PriorFit.GMM, codes, splits(200))


def test_a_flow_needs_more(tmp_path):
    with pytest.raises(SpecError, match="--fit-prior flow takes latents of at most 512 values, got 514"):
        check_fit(PriorFit.FLOW, vae(514), splits(9))
    with pytest.raises(SpecError, match="an even number of latent dimensions, got 3: use gmm"):
        check_fit(PriorFit.FLOW, vae(3), splits(2000))
    with pytest.raises(SpecError, match="--fit-prior flow needs at least 1000 items"):
        check_fit(PriorFit.FLOW, vae(4), splits(999))


def test_items_are_written_with_their_labels(tmp_path):
    write_items(splits(40), tmp_path / "i.npz", seed=0, latent_dim=2)
    with np.load(tmp_path / "i.npz") as found:
        assert (found["train"].shape, found["test"].shape, found["train_labels"].shape) == ((40, 3), (5, 3), (40,))


def test_the_gain_is_a_sentence():
    quality = Quality(log_likelihood_nats=-9.5, mmd_squared=0.0123)
    fitted = FittedPrior(description="x", train_count=9, test_count=7, bandwidth=1.25, standard=quality, fitted=quality)
    assert fitted.gain.startswith("7 held-out latents: -9.50 nats, MMD² 0.012 under N(0, I); -9.50 nats")
    assert "bandwidth 1.25, their median distance" in fitted.gain
    assert fitted.doubt == ""
    doubt = replace(fitted, label_share=0.42).doubt
    assert doubt.startswith("the latents depend on the label (42 % of their variance lies between labels), but")


def test_the_gain_of_each_label_has_both_figures():
    def gain(label, nats, mmd_squared):
        standard = Quality(log_likelihood_nats=-9.0, mmd_squared=0.02)
        fitted = Quality(log_likelihood_nats=-9.0 + nats, mmd_squared=mmd_squared)
        return LabelGain(label=label, count=5, standard=standard, fitted=fitted)

    quality = Quality(log_likelihood_nats=-9.5, mmd_squared=0.0123)
    common = {"description": "x", "train_count": 9, "test_count": 7, "bandwidth": 1.25}
    gains = (
        gain(1, 2.5, 0.001),
        replace(gain(0, 1.0, None), standard=Quality(log_likelihood_nats=-9.0, mmd_squared=None)),
    )
    text = FittedPrior(**common, standard=quality, fitted=quality, by_label=gains).gain_by_label
    assert text.endswith("0: -9.00 to -8.00 nats (5), 1: -9.00 to -6.50 nats, MMD² 0.02 to 0.001 (5)")
    many = tuple(gain(label, label, 0.1) for label in range(14))
    text = FittedPrior(**common, standard=quality, fitted=quality, by_label=many).gain_by_label
    assert text.endswith("; 2 other labels gain more")
    assert " 13: " not in text
