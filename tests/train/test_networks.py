import numpy as np
import pytest

from pocketvae.train import TrainConfig

pytestmark = pytest.mark.slow
CONFIG = TrainConfig(latent_dim=3, channels=(4, 6), hidden_units=8)


@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 32, 3), (30, 22, 3), (5, 7, 1)])
def test_networks_map_every_image_size_onto_itself(shape):
    from pocketvae.train.networks import build_decoder, build_encoder

    encoder, decoder = build_encoder(CONFIG, shape), build_decoder(CONFIG, shape)
    z_mean, z_log_var = encoder(np.zeros((2, *shape), np.float32))
    assert z_mean.shape == z_log_var.shape == (2, 3)
    assert decoder(z_mean).shape == (2, *shape)


def test_networks_hold_no_random_custom_or_transposed_layer():
    from pocketvae.train.networks import build_decoder, build_encoder

    for model in (build_encoder(CONFIG, (28, 28, 1)), build_decoder(CONFIG, (28, 28, 1))):
        for layer in model.layers:
            assert type(layer).__module__.startswith("tf_keras.src."), layer
            assert not {"Lambda", "Dropout", "GaussianNoise", "Conv2DTranspose"} & {type(layer).__name__}


def test_the_shuffle_is_depth_to_space():
    import tensorflow as tf
    import tf_keras

    from pocketvae.train.networks import _depth_to_space

    inputs = tf_keras.Input((3, 5, 8))
    x = np.random.default_rng(0).normal(size=(2, 3, 5, 8)).astype(np.float32)
    shuffled = tf_keras.Model(inputs, _depth_to_space(inputs, "s"))(x)
    np.testing.assert_array_equal(shuffled, tf.nn.depth_to_space(x, 2))


def test_no_two_layers_begin_with_the_same_weights():
    from pocketvae.train.networks import build_encoder

    encoder = build_encoder(CONFIG, (28, 28, 1))
    mean, log_var = encoder.get_layer("z_mean").kernel, encoder.get_layer("z_log_var").kernel
    assert not np.array_equal(mean, log_var)


def test_the_seed_decides_the_weights():
    from dataclasses import replace

    from pocketvae.train.networks import build_decoder

    one, same, other = (build_decoder(replace(CONFIG, seed=seed), (28, 28, 1)).get_weights() for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))
    assert not np.array_equal(one[0], other[0])
