"""Channels of data that are not images."""

import re

import pytest

from pocketvae.errors import SpecError
from pocketvae.fields import Channel, ChannelKind
from pocketvae.vae_spec import DataKind, Likelihood, VaeSpec, vector_latent


def _vae(**changes: object) -> VaeSpec:
    values = {
        "data": DataKind.SEQUENCE,
        "data_shape": (32, 2),
        "latents": vector_latent(3),
        "likelihood": Likelihood.GAUSSIAN,
        "channels": (Channel(name="x"), Channel(name="y", mean=3.0, scale=0.1, noise_scale=0.2)),
    }
    return VaeSpec(**{**values, **changes})  # type: ignore[arg-type]


def test_a_category_takes_a_value_for_each_of_its_names() -> None:
    state = Channel(name="state", kind=ChannelKind.CATEGORY, categories=("on", "off", "fault"))
    assert (state.width, Channel().width) == (3, 1)
    vae = _vae(data=DataKind.VECTOR, data_shape=(4,), channels=(Channel(), state), likelihood=Likelihood.MIXED)
    assert vae.channels[1].categories == ("on", "off", "fault")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"scale": 0.0}, "positive scale"),
        ({"mean": float("nan")}, "finite mean"),
        ({"noise_scale": -1.0}, "positive noise_scale"),
        ({"kind": ChannelKind.CATEGORY}, "must have different categories, got []"),
        ({"kind": ChannelKind.CATEGORY, "categories": ("a", "a")}, "must have different categories"),
        ({"categories": ("a",)}, "must have no categories"),
        ({"kind": ChannelKind.BINARY, "mean": 0.5}, "must not be normalized"),
    ],
)
def test_a_channel_that_contradicts_itself_is_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(SpecError, match=re.escape(message)):
        Channel(name="x", **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"channels": (Channel(),)}, "channels must take the 2 values of the last dimension"),
        ({"data": DataKind.IMAGE, "data_shape": (8, 8, 2)}, "of a VAE of images"),
        ({"channels": (Channel(), Channel(kind=ChannelKind.BINARY))}, "need the likelihood mixed, got gaussian"),
        ({"likelihood": Likelihood.MIXED, "channels": ()}, "the likelihood mixed needs channels"),
        ({"likelihood": Likelihood.STUDENT_T}, "degrees_of_freedom must be positive"),
        ({"degrees_of_freedom": 4.0}, "None with others, got 4.0"),
        ({"rate_hz": 0.0}, "rate_hz must be positive"),
        ({"data": DataKind.VECTOR, "data_shape": (2,), "rate_hz": 50.0}, "of sequences alone, got 50.0 of vectors"),
    ],
)
def test_channels_that_do_not_fit_the_vae_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(SpecError, match=re.escape(message)):
        _vae(**changes)


def test_a_students_t_says_its_degrees_of_freedom() -> None:
    assert _vae(likelihood=Likelihood.STUDENT_T, degrees_of_freedom=4.0, rate_hz=50.0).degrees_of_freedom == 4.0
