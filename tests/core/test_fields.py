"""Channels of data that are not images."""

import re

import pytest

from pocketvae.errors import SpecError
from pocketvae.fields import Channel, ChannelKind, LogMel
from pocketvae.vae_spec import DataKind, Likelihood, VaeSpec, vector_latent
from tests.sounds import front_end


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


def test_frames_and_bands_are_counted_and_named():
    front = LogMel(rate_hz=16_000, samples=16_896, frame=1024, hop=512, bands=64, low_hz=50, high_hz=8000)
    assert front.frames == 32
    assert len(front.names) == len(set(front.names)) == 64
    assert (front.corners_hz[0], front.corners_hz[-1]) == (pytest.approx(50), pytest.approx(8000))
    # 1 + hz / 700 is 1, 2 and 4: equally far apart on the mel scale.
    one = LogMel(rate_hz=16_000, samples=1024, frame=1024, hop=512, bands=1, low_hz=0, high_hz=2100)
    assert one.corners_hz == pytest.approx((0, 700, 2100))
    assert "16896 samples at 16000 Hz, in 64 log-mel bands from 50 to 8000 Hz" in front.description


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hop": 0}, "frame must be a multiple of hop, got 64 and 0"),
        ({"hop": 48}, "frame must be a multiple of hop, got 64 and 48"),
        ({"samples": 1000}, "multiple of the hop of 32, got 1000: the next ones are 992 and 1024"),
        (
            {"samples": 32},
            "at least a frame of 64 and a multiple of the hop of 32, got 32: the next ones are 64 and 96",
        ),
        ({"high_hz": 501.0}, "between 0 and half the rate, 500 Hz, got 50 to 501"),
        ({"low_hz": 400.0, "high_hz": 400.0}, "got 400 to 400"),
        ({"bands": 0}, "at least 1 band and a positive floor, got 0"),
        ({"floor": 0.0}, "at least 1 band and a positive floor"),
        ({"bands": 60}, "which are 15.62 Hz apart, but one of 60 reaches from [0-9]+ to [0-9]+ Hz: lower mel_bands"),
    ],
)
def test_what_cannot_be_made_is_refused(changes, message):
    with pytest.raises(SpecError, match=message):
        front_end(**changes)
