"""What each kind of data is called, how it is drawn and in which units it is compared."""

import numpy as np
import pytest

from pocketvae.errors import SpecError
from pocketvae.kinds.registry import kind_of
from pocketvae.vae_spec import DataKind, VaeSpec, vector_latent

SHAPES = {
    DataKind.IMAGE: (4, 6, 3),
    DataKind.VECTOR: (7,),
    DataKind.SEQUENCE: (5, 2),
    DataKind.VOLUME: (2, 4, 6, 1),
}


def vae(data, **changes):
    return VaeSpec(data=data, data_shape=SHAPES[data], latents=vector_latent(2), **changes)


def test_every_kind_has_words_of_its_own():
    words = [kind_of(kind).description(SHAPES[kind]) for kind in DataKind]
    assert words == [
        "6x4x3 images",
        "vectors of 7 values",
        "sequences of 5 time steps, 2 channels",
        "2x4x6x1 volumes",
    ]
    assert [kind_of(kind).plural for kind in DataKind] == ["images", "vectors", "sequences", "volumes"]
    assert kind_of(DataKind.VECTOR).item((1,)) == "1 value"


def test_images_are_compared_in_grey_steps_and_other_data_by_the_share_of_their_range():
    images, vectors = kind_of(DataKind.IMAGE), kind_of(DataKind.VECTOR)
    assert [images.deviation(share) for share in (0.0, 1e-6, 4 / 255)] == ["0.00/255", "0.0003/255", "4.00/255"]
    assert vectors.deviation(0.0156) == "1.6 % of the range"
    assert images.budget(4, 1.0) == "budget: 4 of 255 grey steps"
    assert images.budget(4, 2.0) == "budget: 4 of 255 grey steps of 0.00784"
    assert vectors.budget(4, 12.5) == "budget: 1.6 % of the range of 12.5"


@pytest.mark.parametrize("data", DataKind)
def test_every_kind_is_shown_as_pictures_from_0_to_1(data):
    spec = vae(data, data_range=(-2.0, 2.0))
    values = np.random.default_rng(0).uniform(-3, 3, (3, *SHAPES[data])).astype(np.float32)
    values[0].flat[0] = np.nan
    shown = kind_of(data).shown_difference(values, np.zeros_like(values), spec)
    assert shown.shape[0] == 3
    assert shown.shape[3] in (1, 3)
    assert np.isfinite(shown).all()
    inside = kind_of(data).shown(np.clip(np.nan_to_num(values), -2, 2), spec)
    assert inside.shape == shown.shape
    assert inside.min() >= 0
    assert inside.max() <= 1


def test_a_curve_rises_from_the_bottom_left_to_the_top_right():
    spec = VaeSpec(data=DataKind.VECTOR, data_shape=(11,), latents=vector_latent(2))
    (picture,) = kind_of(DataKind.VECTOR).shown(np.linspace(0, 1, 11, dtype=np.float32)[None], spec)
    dark = picture.sum(axis=2) == 0
    first, last = np.flatnonzero(dark[:, 0]), np.flatnonzero(dark[:, -1])
    assert first.max() == len(picture) - 1
    assert last.min() == 0
    assert dark.any(axis=0).all()


def test_equal_items_have_no_difference_to_show():
    spec = vae(DataKind.SEQUENCE)
    values = np.random.default_rng(0).random((1, 5, 2)).astype(np.float32)
    (picture,) = kind_of(DataKind.SEQUENCE).shown_difference(values, values, spec)
    assert (picture[:-1] == 1).all()


def test_only_images_have_a_height_and_a_width():
    assert vae(DataKind.IMAGE).image_shape == (4, 6, 3)
    with pytest.raises(SpecError, match=r"needs a VAE of images, but this one is of sequences \[5, 2\]"):
        _ = vae(DataKind.SEQUENCE).image_shape
    with pytest.raises(SpecError, match="data_shape must be time steps, channels"):
        VaeSpec(data=DataKind.SEQUENCE, data_shape=(5,), latents=vector_latent(2))


def test_items_are_counted_in_words():
    kind = kind_of(DataKind.IMAGE)
    assert [kind.counted(count) for count in (0, 1, 2)] == ["0 images", "1 image", "2 images"]
