"""Units of a model and of the user's data."""

import numpy as np

from pocketvae.fields import Channel, ChannelKind
from pocketvae.numerics.normalization import in_own_unit, normalized

_CHANNELS = (
    Channel(name="pressure", mean=101_325.0, scale=50.0),
    Channel(name="state", kind=ChannelKind.CATEGORY, categories=("on", "off")),
    Channel(name="current", mean=-1.0, scale=0.5),
)


def test_each_channel_has_its_own_mean_and_scale() -> None:
    values = np.array([[101_375.0, 0.0, 1.0, -2.0]], np.float32)
    assert normalized(values, _CHANNELS).tolist() == [[1.0, 0.0, 1.0, -2.0]]


def test_a_small_change_of_a_large_value_survives() -> None:
    channel = (Channel(mean=1e7, scale=1.0),)
    values = np.array([[1e7 + 0.25]])
    assert normalized(values, channel).tolist() == [[0.25]]


def test_the_way_back_gives_the_same_values() -> None:
    values = np.random.default_rng(0).normal([101_325, 0.5, 0.5, -1], [50, 1, 1, 0.5], (7, 3, 4))
    back = in_own_unit(normalized(values, _CHANNELS), _CHANNELS)
    np.testing.assert_allclose(back, values, rtol=1e-6, atol=1e-6)
    assert back.dtype == np.float32


def test_without_channels_values_stay() -> None:
    values = np.array([[1.0, 2.0]], np.float32)
    assert normalized(values, ()).tolist() == in_own_unit(values, ()).tolist() == [[1.0, 2.0]]
