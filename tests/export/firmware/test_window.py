"""The ring buffer's plan."""

import pytest

from pocketvae.errors import SpecError
from pocketvae.export.firmware.tensors import Tensor
from pocketvae.export.firmware.window import window_of
from pocketvae.fields import Channel, ChannelKind
from pocketvae.spec import Quantization, TensorSpec
from pocketvae.vae_spec import DataKind, Likelihood, VaeSpec, vector_latent
from tests.sounds import sound_vae

CHANNELS = (Channel(name="ax", mean=3.0, scale=2.0), Channel(name="temp", mean=20.0, scale=0.5))
SIGNALS = VaeSpec(
    data=DataKind.SEQUENCE,
    data_shape=(64, 2),
    latents=vector_latent(3),
    likelihood=Likelihood.GAUSSIAN,
    noise_scale=0.1,
    channels=CHANNELS,
)


def data_input(name="x", dtype="int8", shape=(1, 64, 2)):
    numbers = Quantization(scale=0.05, zero_point=3) if dtype == "int8" else None
    return Tensor(spec=TensorSpec(name=name, dtype=dtype, shape=shape, quantization=numbers), name=name, index=0)


def test_a_quarter_of_a_window_is_the_default():
    window = window_of(SIGNALS, (data_input(),), None)
    assert (window.steps, window.width, window.hop, window.bytes) == (64, 2, 16, 128)
    assert window_of(SIGNALS, (data_input(),), 5).hop == 5


def test_firmware_normalizes_only_what_the_file_does_not():
    assert window_of(SIGNALS, (data_input(),), None).means == (3.0, 20.0)
    raw = window_of(SIGNALS, (data_input("window", "float32"),), None)
    assert (raw.means, raw.scales, raw.bytes) == ((0.0, 0.0), (1.0, 1.0), 512)


def test_a_row_of_a_table_is_a_window_of_one_step():
    names = ("red", "green", "blue")
    channels = (CHANNELS[0], Channel(name="colour", kind=ChannelKind.CATEGORY, categories=names))
    vae = VaeSpec(
        data=DataKind.VECTOR,
        data_shape=(4,),
        latents=vector_latent(2),
        likelihood=Likelihood.MIXED,
        channels=channels,
    )
    window = window_of(vae, (data_input(shape=(1, 4)),), None)
    assert (window.steps, window.hop, window.widths) == (1, 1, (1, 3))


def test_other_models_have_none():
    assert window_of(SIGNALS, (data_input("z", shape=(1, 3)),), None) is None
    images = VaeSpec(data_shape=(6, 6, 1), latents=vector_latent(3))
    assert window_of(images, (data_input(shape=(1, 6, 6, 1)),), None) is None


@pytest.mark.parametrize("hop", [0, 65, -1])
def test_a_hop_lies_within_the_window(hop):
    with pytest.raises(SpecError, match=f"--hop must be 1 to 64, the steps of a window, got {hop}"):
        window_of(SIGNALS, (data_input(),), hop)


def test_a_hop_needs_time_steps():
    with pytest.raises(SpecError, match="--hop is for a model that takes time steps: leave it out"):
        window_of(SIGNALS, (data_input("z", shape=(1, 3)),), 4)


def test_of_sounds_samples_are_collected_as_they_are():
    for name in ("x", "window"):
        window = window_of(sound_vae(), (data_input(name, "float32", (1, 256, 1)),), None)
        assert (window.steps, window.width, window.hop, window.bytes) == (256, 1, 64, 1024)
        assert (window.means, window.scales) == ((0.0,), (1.0,))
