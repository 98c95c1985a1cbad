import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from pocketvae.train import Activation, Architecture, TrainConfig
from pocketvae.train.latent_maps import latent_maps, latent_size
from pocketvae.vae_spec import DataKind, Likelihood, VaeSpec, class_label, vector_latent

pytestmark = pytest.mark.slow
CONV = TrainConfig(latent_dim=3, channels=(4, 6), hidden_units=8)
RESIDUAL = replace(CONV, architecture=Architecture.RESIDUAL, blocks=2)
MLP = replace(CONV, architecture=Architecture.MLP, channels=(), hidden_layers=2)
MAPS = replace(RESIDUAL, latent_maps=(1, 2))
SILU = replace(MAPS, activation=Activation.SILU)
DEEP = replace(CONV, channels=(2, 3, 4, 5, 6))


def spec(shape, config=CONV, label_count=0, **changes):
    latents, conditions = vector_latent(latent_size(config, shape)), class_label(label_count)
    return VaeSpec(data_shape=shape, latents=latents, conditions=conditions, **changes)


def build(config, vae):
    from pocketvae.train.networks import build_decoder, build_encoder

    return build_encoder(config, vae), build_decoder(config, vae)


@pytest.mark.parametrize(
    ("config", "shape"),
    [
        (CONV, (28, 28, 1)),
        (CONV, (30, 22, 3)),
        (CONV, (5, 7, 1)),
        (CONV, (4, 4, 1)),
        (DEEP, (128, 128, 3)),
        (DEEP, (97, 127, 1)),
        (RESIDUAL, (32, 32, 3)),
        (RESIDUAL, (13, 28, 1)),
        (replace(CONV, latent_maps=(0, 2)), (9, 8, 3)),
        (MAPS, (13, 28, 1)),
        (replace(DEEP, latent_maps=(0, 1, 0, 2, 0)), (97, 65, 1)),
        (MLP, (28, 28, 1)),
        (MLP, (1, 3, 3)),
        (replace(MLP, hidden_layers=1), (9, 5, 3)),
    ],
)
@pytest.mark.parametrize("likelihood", [Likelihood.BERNOULLI, Likelihood.DISCRETIZED_LOGISTIC])
@pytest.mark.parametrize("label_count", [0, 4])
def test_networks_map_every_image_size_onto_its_parameters(config, shape, likelihood, label_count):
    vae = spec(shape, config, likelihood=likelihood, label_count=label_count)
    encoder, decoder = build(config, vae)
    x, labels = np.zeros((2, *shape), np.float32), np.array([0, label_count - 1], np.int32)
    z_mean, z_log_var = encoder([x, labels] if label_count else x)
    outputs = decoder([z_mean, labels] if label_count else z_mean)
    assert z_mean.shape == z_log_var.shape == (2, vae.latent_dim)
    if likelihood is Likelihood.BERNOULLI:
        assert outputs.shape == (2, *shape)
    else:
        assert [output.shape for output in outputs] == [(2, *shape), (2, *shape)]
    assert [value.name for value in encoder.inputs] == (["x", "label"] if label_count else ["x"])
    assert [value.name for value in decoder.inputs] == (["z", "label"] if label_count else ["z"])


@pytest.mark.parametrize("config", [CONV, RESIDUAL, MAPS, SILU, MLP])
@pytest.mark.parametrize("label_count", [0, 4])
def test_networks_hold_no_random_custom_or_transposed_layer(config, label_count):
    for model in build(config, spec((28, 28, 1), config, label_count=label_count)):
        for layer in model.layers:
            assert type(layer).__module__.startswith("tf_keras.src."), layer
            assert not {"Lambda", "Dropout", "GaussianNoise", "Conv2DTranspose"} & {type(layer).__name__}


@pytest.mark.parametrize("config", [CONV, RESIDUAL, MAPS, MLP])
def test_every_output_depends_on_every_input(config):
    import tensorflow as tf

    rng = np.random.default_rng(0)
    encoder, decoder = build(config, spec((11, 9, 1), config, likelihood=Likelihood.DISCRETIZED_LOGISTIC))
    for model in (encoder, decoder):
        # The last convolution of a residual block begins at zero, and so do biases.
        model.set_weights([weight + rng.normal(0, 0.1, weight.shape) for weight in model.get_weights()])
    x = tf.constant(rng.random((1, 11, 9, 1)), tf.float32)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        z_mean, z_log_var = encoder(x)
        mean, log_scale = decoder(z_mean)
    for value in (z_mean, z_log_var, mean, log_scale):
        assert np.count_nonzero(tape.gradient(value, x)) == 99
    assert all(np.any(tape.gradient([mean, log_scale], weight)) for weight in decoder.trainable_variables)


@pytest.mark.parametrize("shape", [(16, 16, 1), (13, 10, 1)])
def test_a_place_of_a_map_is_a_place_of_the_image(shape):
    """In both networks: what changes at the end of an image changes at the end of a fine map, and the other way."""
    config = replace(MAPS, latent_maps=(2, 0))
    vae = spec(shape, config)
    encoder, decoder = build(config, vae)
    [level] = latent_maps(config, shape)
    assert (level.first, level.size) == (3, vae.latent_dim - 3)
    x = np.random.default_rng(0).random((1, *shape)).astype(np.float32)
    changed = x.copy()
    changed[0, -1, -1] += 0.5
    change = np.abs(np.asarray(encoder(changed)[0] - encoder(x)[0]))[0, level.first :]
    change = change.reshape(level.rows, level.columns, level.channels).sum(axis=-1)
    row, column = np.unravel_index(change.argmax(), change.shape)
    assert (row, column) >= (level.rows // 2, level.columns // 2)
    z = np.zeros((1, vae.latent_dim), np.float32)
    changed = z.copy()
    changed[0, -1] = 1.0
    change = np.abs(np.asarray(decoder(changed) - decoder(z)))[0, :, :, 0]
    assert change[: shape[0] // 2, : shape[1] // 2].max() == 0
    assert change[-4:, -4:].max() > 0


@pytest.mark.parametrize("config", [CONV, RESIDUAL, MLP])
def test_the_label_changes_what_both_networks_return(config):
    encoder, decoder = build(config, spec((8, 8, 1), label_count=4))
    x, z = np.full((1, 8, 8, 1), 0.5, np.float32), np.zeros((1, 3), np.float32)
    for model, value in ((encoder, x), (decoder, z)):
        one, other = (np.asarray(model([value, np.array([label], np.int32)])[0]) for label in (0, 3))
        assert np.abs(one - other).max() > 1e-4


def test_a_label_is_one_hot_and_never_trained():
    encoder, _ = build(CONV, spec((8, 8, 1), label_count=4))
    layer = encoder.get_layer("one_hot")
    np.testing.assert_array_equal(layer(np.arange(4)), np.eye(4))
    assert layer.trainable_variables == []


def test_a_residual_network_begins_as_one_without_blocks():
    encoder, _ = build(RESIDUAL, spec((8, 8, 1)))
    x = np.random.default_rng(0).random((1, 8, 8, 1)).astype(np.float32)
    blocks = [layer for layer in encoder.layers if layer.name.endswith("_conv_1")]
    assert len(blocks) == 4
    before = [np.asarray(value) for value in encoder(x)]
    # Whatever the first convolution of a block does, the second one multiplies it with zero.
    for layer in encoder.layers:
        if layer.name.endswith("_conv_0"):
            layer.set_weights([weight + 1 for weight in layer.get_weights()])
    for a, b in zip(before, encoder(x), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_gated_layer_multiplies_values_with_gates():
    encoder, _ = build(replace(MLP, hidden_layers=1), spec((2, 2, 1)))
    x = np.random.default_rng(0).random((3, 2, 2, 1)).astype(np.float32)
    weights = {layer.name: layer.get_weights() for layer in encoder.layers}
    flat = x.reshape(3, 4)
    values = flat @ weights["hidden_0_values"][0]
    hidden = values / (1 + np.exp(-flat @ weights["hidden_0_gates"][0]))
    np.testing.assert_allclose(encoder(x)[0], hidden @ weights["z_mean"][0], rtol=1e-4, atol=1e-6)


def test_the_shuffle_is_depth_to_space():
    import tensorflow as tf
    import tf_keras

    from pocketvae.train.networks import _Layers

    inputs = tf_keras.Input((3, 5, 8))
    x = np.random.default_rng(0).normal(size=(2, 3, 5, 8)).astype(np.float32)
    shuffled = tf_keras.Model(inputs, _Layers(CONV, component=0, is_sequence=False).depth_to_space(inputs, "s"))(x)
    np.testing.assert_array_equal(shuffled, tf.nn.depth_to_space(x, 2))


@pytest.mark.parametrize("config", [CONV, replace(MAPS, channels=(4, 4), blocks=3), replace(MLP, hidden_units=3)])
def test_no_two_layers_begin_with_the_same_weights(config):
    kernels = [
        weight
        for model in build(config, spec((8, 8, 1), config))
        for weight in model.get_weights()
        if weight.ndim > 1 and np.any(weight)
    ]
    pairs = [(a, b) for index, a in enumerate(kernels) for b in kernels[:index] if a.shape == b.shape]
    assert pairs
    assert not any(np.array_equal(a, b) for a, b in pairs)


def seeds_of(model):
    return [
        layer.kernel_initializer.seed
        for layer in model.layers
        if type(getattr(layer, "kernel_initializer", None)).__name__ == "GlorotUniform"
    ]


@pytest.mark.parametrize(
    ("config", "side", "counts"),
    [
        (replace(MLP, hidden_layers=40), 2, (82, 81)),
        # A stage has a convolution and, in each of its blocks, one that does not begin at zero.
        (replace(RESIDUAL, channels=(1,) * 6, blocks=15), 64, (99, 98)),
    ],
)
def test_the_deepest_networks_have_a_seed_of_its_own_for_every_layer(config, side, counts):
    encoder, decoder = (seeds_of(model) for model in build(config, spec((side, side, 1))))
    assert (len(encoder), len(decoder)) == counts
    others = [
        seed
        for model in build(replace(config, seed=config.seed + 1), spec((side, side, 1)))
        for seed in seeds_of(model)
    ]
    used = [*encoder, *decoder, *others]
    assert len(set(used)) == len(used)


def test_a_deep_network_with_maps_has_a_seed_of_its_own_for_every_layer():
    config = replace(RESIDUAL, channels=(1,) * 6, blocks=15, latent_maps=(1,) * 6)
    encoder, decoder = (seeds_of(model) for model in build(config, spec((64, 64, 1), config)))
    assert len(decoder) > 100
    assert len({*encoder, *decoder}) == len(encoder) + len(decoder)


def test_the_seed_decides_the_weights():
    one, same, other = (build(replace(RESIDUAL, seed=seed), spec((8, 8, 1)))[1].get_weights() for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))
    assert not np.array_equal(one[0], other[0])


def test_the_largest_seed_is_taken_and_is_not_its_neighbour():
    largest, same, other = (
        build(replace(CONV, seed=seed), spec((8, 8, 1)))[0].get_weights()[0]
        for seed in (2**31 - 1, 2**31 - 1, 2**31 - 2)
    )
    np.testing.assert_array_equal(largest, same)
    assert np.count_nonzero(largest != other) == largest.size


@pytest.mark.parametrize(("config", "side"), [(CONV, 4), (DEEP, 32), (RESIDUAL, 4), (MLP, 1)])
def test_the_smallest_image_is_one_pixel_after_all_stages(config, side):
    from pocketvae.train.networks import smallest_side

    assert smallest_side(config) == side
    build(config, spec((side, side, 1)))


@pytest.mark.parametrize("config", [CONV, RESIDUAL])
def test_quantization_friendly_networks_bound_every_rectified_value(config):
    networks = build(replace(config, quantization_friendly=True), spec((8, 8, 1)))
    plain = build(config, spec((8, 8, 1)))
    for bounded, other in zip(networks, plain, strict=True):
        rectified = [layer for layer in bounded.layers if _rectifier(layer) is not None]
        assert rectified
        assert all(_rectifier(layer) == 6 for layer in rectified)
        names = [layer.name for layer in other.layers if _rectifier(layer) is not None]
        assert [layer.name for layer in rectified] == names
        assert all(_rectifier(layer) == np.inf for layer in other.layers if layer.name in names)


@pytest.mark.parametrize("config", [CONV, RESIDUAL, MAPS, replace(MLP, architecture=Architecture.DENSE)])
def test_silu_takes_the_place_of_every_relu(config):
    networks = build(replace(config, activation=Activation.SILU), spec((8, 8, 1), config))
    for smooth, plain in zip(networks, build(config, spec((8, 8, 1), config)), strict=True):
        rectified = [_rectifier(layer) is not None for layer in plain.layers]
        assert any(rectified)
        assert [_is_silu(layer) for layer in smooth.layers] == rectified


def _is_silu(layer):
    activation = getattr(layer, "activation", None)
    if activation is None:
        return False
    x = np.linspace(-20, 20, 41, dtype=np.float32)
    return np.allclose(activation(x), x / (1 + np.exp(-x)), atol=1e-6)


def _rectifier(layer):
    """Returns the largest value that a layer's ReLU passes on; None where it has none."""
    config = layer.get_config()
    if type(layer).__name__ == "ReLU":
        return np.inf if config["max_value"] is None else config["max_value"]
    return {"relu": np.inf, "relu6": 6}.get(config.get("activation"))


SEQUENCE = {"data": DataKind.SEQUENCE, "likelihood": Likelihood.GAUSSIAN}
DENSE = replace(MLP, architecture=Architecture.DENSE)


@pytest.mark.parametrize(
    ("config", "shape"),
    [
        (CONV, (64, 3)),
        (CONV, (13, 1)),
        (CONV, (4, 2)),
        (RESIDUAL, (30, 2)),
        (MAPS, (30, 2)),
        (MLP, (10, 3)),
        (DENSE, (10, 3)),
    ],
)
@pytest.mark.parametrize("label_count", [0, 4])
def test_networks_map_sequences_of_every_length(config, shape, label_count):
    vae = spec(shape, config, label_count=label_count, **SEQUENCE)
    encoder, decoder = build(config, vae)
    x, labels = np.zeros((2, *shape), np.float32), np.array([0, label_count - 1], np.int32)
    z_mean, z_log_var = encoder([x, labels] if label_count else x)
    assert z_mean.shape == z_log_var.shape == (2, vae.latent_dim)
    assert decoder([z_mean, labels] if label_count else z_mean).shape == (2, *shape)


@pytest.mark.parametrize("config", [MLP, DENSE])
def test_networks_map_vectors(config):
    vae = spec((7,), data=DataKind.VECTOR, likelihood=Likelihood.GAUSSIAN)
    encoder, decoder = build(config, vae)
    z_mean, _ = encoder(np.zeros((2, 7), np.float32))
    assert (z_mean.shape, decoder(z_mean).shape) == ((2, 3), (2, 7))


def test_a_sequence_is_convolved_over_time_alone():
    encoder, decoder = build(CONV, spec((16, 2), **SEQUENCE))
    kernels = [
        layer.kernel_size for part in (encoder, decoder) for layer in part.layers if hasattr(layer, "kernel_size")
    ]
    assert kernels == [(4, 1), (4, 1), (3, 1), (3, 1)]
    # What comes later than the encoder looks at once leaves the first features as they are.
    from pocketvae.keras.io import import_keras

    first = import_keras().Model(encoder.input, encoder.get_layer("down_0").output)
    x = np.random.default_rng(0).normal(size=(1, 16, 2)).astype(np.float32)
    later = x.copy()
    later[:, 8:] += 1
    before, after = np.asarray(first(x)), np.asarray(first(later))
    np.testing.assert_array_equal(before[:, :3], after[:, :3])
    assert not np.array_equal(before[:, 4:], after[:, 4:])


def test_plain_dense_layers_are_rectified():
    encoder, _ = build(replace(DENSE, quantization_friendly=True), spec((2, 2, 1)))
    names = [layer.activation.__name__ for layer in encoder.layers if layer.name.startswith("hidden")]
    assert names == ["relu6", "relu6"]


@pytest.mark.parametrize("changes", [{}, {"quantization_friendly": True}], ids=["relu", "relu6"])
def test_tensorflow_prints_no_error_about_layers_that_it_cannot_fuse(monkeypatch, changes):
    """A process of its own: whether oneDNN is on is decided when TensorFlow is imported."""
    program = """
import json, sys
import numpy as np
from pocketvae.keras.io import start_tensorflow
from pocketvae.train import TrainConfig, with_overrides
from pocketvae.train.networks import build_decoder
from pocketvae.vae_spec import VaeSpec, vector_latent
residual = {"architecture": "residual", "channels": [4, 8], "blocks": 2, "latent_dim": 3, "onednn": True}
config = with_overrides(TrainConfig(), {**residual, **json.loads(sys.argv[1])})
tf = start_tensorflow(onednn=config.onednn, threads=1, remapped=config.is_remapped)
decoder = build_decoder(config, VaeSpec(data_shape=(8, 8, 1), latents=vector_latent(3)))
assert np.isfinite(tf.function(decoder)(tf.ones((2, 3)))).all()
"""
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    done = subprocess.run(
        [sys.executable, "-c", program, json.dumps(changes)],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    assert "remapper" not in done.stderr
