import numpy as np
import pytest

pytestmark = pytest.mark.slow


@pytest.fixture
def layers():
    from pocketvae.keras.io import import_keras

    return import_keras().layers


def model_of(inputs, outputs):
    from pocketvae.keras.io import import_keras

    return import_keras().Model(inputs, outputs)


def test_the_trained_decoder_s_shuffles_become_one_operator_bit_for_bit(tiny_run):
    from pocketvae.export.convert.shuffles import fuse_depth_to_space
    from pocketvae.keras.io import load_model

    decoder = load_model(tiny_run / "decoder.keras")
    fused, count = fuse_depth_to_space(decoder)
    assert count == 2
    z = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    np.testing.assert_array_equal(fused(z), decoder(z))


def test_shuffles_of_five_dimensions_move_the_same_values(tiny_run):
    from pocketvae.export.convert.shuffles import narrow_shuffles
    from pocketvae.keras.io import import_keras, load_model

    decoder = load_model(tiny_run / "decoder.keras")
    narrowed = narrow_shuffles(decoder)
    z = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    np.testing.assert_array_equal(narrowed(z), decoder(z))
    assert max(len(layer.output_shape) for layer in decoder.layers if layer.output_shape[0] is None) == 6
    permutes = [layer for layer in narrowed.layers if isinstance(layer, import_keras().layers.Permute)]
    assert [len(layer.output_shape) for layer in permutes] == [5, 5]


def test_a_reshape_that_only_looks_like_a_shuffle_is_left_alone(layers):
    from pocketvae.export.convert.shuffles import fuse_depth_to_space

    inputs = layers.Input((4, 4, 8))
    x = layers.Reshape((4, 4, 2, 2, 2))(inputs)
    x = layers.Permute((1, 3, 2, 4, 5))(x)
    model = model_of(inputs, layers.Reshape((4, 16, 2))(x))
    assert fuse_depth_to_space(model) == (model, 0)


def test_a_shuffle_whose_middle_is_used_elsewhere_is_left_alone(layers):
    from pocketvae.export.convert.shuffles import fuse_depth_to_space

    inputs = layers.Input((4, 4, 8))
    split = layers.Reshape((4, 4, 2, 2, 2))(inputs)
    x = layers.Reshape((8, 8, 2))(layers.Permute((1, 3, 2, 4, 5))(split))
    model = model_of(inputs, [x, layers.Flatten()(split)])
    assert fuse_depth_to_space(model) == (model, 0)


@pytest.mark.parametrize("block", [3, 4, 8])
def test_shuffles_of_larger_blocks_are_one_operator_or_of_five_dimensions(layers, block):
    from pocketvae.export.convert.shuffles import fuse_depth_to_space, narrow_shuffles

    inputs = layers.Input((2, 3, 2 * block**2))
    x = layers.Reshape((2, 3, block, block, 2))(inputs)
    x = layers.Permute((1, 3, 2, 4, 5))(x)
    model = model_of(inputs, layers.Reshape((2 * block, 3 * block, 2))(x))
    fused, count = fuse_depth_to_space(model)
    assert count == 1
    values = np.random.default_rng(0).normal(size=(5, 2, 3, 2 * block**2)).astype(np.float32)
    np.testing.assert_array_equal(fused(values), model(values))
    narrowed = narrow_shuffles(model)
    np.testing.assert_array_equal(narrowed(values), model(values))
    assert max(len(layer.output_shape) for layer in narrowed.layers if layer.output_shape[0] is None) == 5


def test_a_reshape_to_blocks_that_are_not_square_is_left_alone(layers):
    from pocketvae.export.convert.shuffles import fuse_depth_to_space

    inputs = layers.Input((4, 4, 16))
    x = layers.Reshape((4, 4, 4, 2, 2))(inputs)
    x = layers.Permute((1, 3, 2, 4, 5))(x)
    model = model_of(inputs, layers.Reshape((16, 8, 2))(x))
    assert fuse_depth_to_space(model) == (model, 0)
