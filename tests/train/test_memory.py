import pytest

from pocketvae.train import TrainConfig
from pocketvae.train.memory import least_bytes
from pocketvae.train.presets import PRESETS, with_overrides

MNIST = (28, 28, 1)


def test_the_weights_of_an_mlp_and_the_activations_of_a_batch_are_counted():
    config = with_overrides(
        TrainConfig(),
        {"architecture": "mlp", "channels": [], "hidden_units": 10, "latent_dim": 2, "batch_size": 64},
    )
    weights, activations = 784 * 10 + 10 * 2, 784 + 10 + 2
    assert least_bytes(config, MNIST, 1000) == 4 * (4 * 2 * weights + 2 * 64 * 2 * activations)
    # A batch has no more images than there are.
    assert least_bytes(config, MNIST, 3) == 4 * (4 * 2 * weights + 2 * 3 * 2 * activations)


@pytest.mark.parametrize("name", PRESETS)
def test_no_preset_is_near_the_memory_of_a_small_machine(name):
    config = PRESETS[name]
    # Networks of sounds take spectrograms.
    sequence = (config.window // config.hop, config.mel_bands) if config.mel_bands else (config.window, 8)
    image = MNIST if name.startswith("mnist") else (64, 64, 3)
    shapes = {"image": image, "sequence": sequence, "vector": (100,)}
    assert least_bytes(config, shapes[config.data], 50_000) < 1e9


def test_a_convolution_over_time_has_a_third_of_the_weights():
    config = with_overrides(
        TrainConfig(),
        {"data": "sequence", "window": 8, "likelihood": "gaussian", "channels": [4], "hidden_units": 10},
    )
    weights, activations = 3 * 2 * 4 + 4 * 4 * 10 + 10 * 16, 8 * 2 + 4 * 4 + 10
    assert least_bytes(config, (8, 2), 50) == 4 * (4 * 2 * weights + 2 * 50 * 2 * activations)


@pytest.mark.parametrize("changes", [{"hidden_units": 65_536, "channels": [4096]}, {"batch_size": 1_000_000}])
def test_what_cannot_fit_is_far_above_it(changes):
    assert least_bytes(with_overrides(TrainConfig(), changes), (64, 64, 3), 1_000_000) > 64e9
