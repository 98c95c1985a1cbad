"""Tuned graphs against the graphs they were made of: the same network in float, in a form that 8 bits suit."""

import numpy as np
import pytest

from pocketvae.errors import ExportError
from pocketvae.export.tuning.names import FLOAT_SCOPE, LOGIT_BOUND, Tuning
from pocketvae.spec import Component

pytestmark = pytest.mark.slow


def graph_of(call, *shape):
    import tensorflow as tf

    from pocketvae.export.convert.graphs import Graph, function_of
    from pocketvae.spec import TensorSpec

    inputs = (TensorSpec(name="z", dtype="float32", shape=(1, *shape)),)
    function = function_of(lambda z: {"image": call(z)}, inputs)
    return Graph(function=function, model=tf.Module(), inputs=inputs, fused_shuffles=0)


def weights(rng, *shape):
    """Weights whose output channels differ in size by up to a factor of a hundred."""
    kernel = rng.normal(size=shape) / np.sqrt(np.prod(shape[:-1]))
    return (kernel * np.geomspace(0.05, 5, shape[-1])).astype(np.float32)


def decoder(last=None, activation=None):
    """A dense layer, a transposed convolution and a convolution, with moved values between all of them."""
    import tensorflow as tf

    rng = np.random.default_rng(0)
    dense, first = weights(rng, 6, 48), weights(rng, 3, 3, 8, 4).transpose(0, 1, 3, 2)
    second, bias = weights(rng, 3, 3, 4, 8), rng.normal(size=8).astype(np.float32)
    activation = activation or tf.nn.relu

    def call(z):
        h = tf.reshape(activation(z @ dense), (1, 2, 2, 12))
        h = tf.nn.depth_to_space(h, 2)[:, :, :, :]
        h = tf.pad(tf.concat([h], -1), [[0, 0], [1, 0], [0, 0], [0, 0]])
        h = tf.nn.conv2d_transpose(h, first[:, :, :, :3], (1, 10, 8, 4), 2, "SAME")
        h = tf.nn.bias_add(activation(h), bias[:4])
        h = tf.nn.depth_to_space(tf.nn.bias_add(tf.nn.conv2d(h, second, 1, "SAME"), bias), 2)
        return (last or tf.nn.sigmoid)(h)

    return graph_of(call, 6)


@pytest.fixture(scope="module")
def samples():
    return {"z": np.random.default_rng(1).normal(size=(64, 6)).astype(np.float32)}


def outputs(graph, samples):
    return np.concatenate([graph.function(z[None])["image"].numpy() for z in samples["z"]])


def tuned(graph, samples, **tuning):
    from pocketvae.export.tuning.tune import tune

    return tune(graph, Component.DECODER, Tuning(**tuning), samples)


def inner(graph, kind, samples):
    """Returns the values of the operators of a kind, `[N, ...]` each, in order."""
    import tensorflow as tf

    from pocketvae.export.rewrites.frozen import freeze

    frozen = freeze(graph.function)
    found = [operator.outputs[0] for operator in frozen.operators if operator.type == kind]
    with tf.compat.v1.Session(graph=frozen.graph) as session:
        runs = [session.run(found, {frozen.inputs[0]: z[None]}) for z in samples["z"]]
    return [np.concatenate(values) for values in zip(*runs, strict=True)]


def test_equalized_channels_compute_the_same(samples):
    graph = decoder()
    found = tuned(graph, samples, exponent=1.0)
    assert (found.equalized, found.latent_parts, found.output_parts) == (1, 0, 0)
    np.testing.assert_allclose(outputs(found.graph, samples), outputs(graph, samples), atol=2e-6)


def test_equalized_channels_have_the_same_range(samples):
    found = tuned(decoder(), samples, exponent=1.0)
    before, after = (inner(graph, "Relu", samples)[0].max(axis=0) for graph in (decoder(), found.graph))
    # Each of the three channels that the transposed convolution reads holds every third unit of the dense layer.
    groups = [values.reshape(4, 4, 3).max(axis=(0, 1)) for values in (before, after)]
    assert groups[0].max() / groups[0].min() > 1.1
    np.testing.assert_allclose(groups[1], groups[1].max(), rtol=1e-3)


def test_the_exponent_goes_part_of_the_way(samples):
    def ratio(graph):
        values = inner(graph, "Relu", samples)[0].max(axis=0).reshape(4, 4, 3).max(axis=(0, 1))
        return values.max() / values.min()

    half = ratio(tuned(decoder(), samples, exponent=0.5).graph)
    assert half == pytest.approx(np.sqrt(ratio(decoder())), rel=0.01)


def test_an_activation_that_scaling_does_not_pass_is_left_alone(samples):
    import tensorflow as tf

    found = tuned(decoder(activation=tf.nn.elu), samples, exponent=1.0)
    assert not found.is_changed


def residual_decoder(scaled_sum=False):
    """Two branches that are added twice, with a layer inside each branch and one behind."""
    import tensorflow as tf

    rng = np.random.default_rng(2)
    dense, inside = weights(rng, 6, 32), [weights(rng, 3, 3, 8, 8) for _ in range(4)]
    last, bias = weights(rng, 3, 3, 8, 1), rng.normal(size=8).astype(np.float32)

    def conv(x, kernel):
        return tf.nn.bias_add(tf.nn.conv2d(x, kernel, 1, "SAME"), bias)

    def call(z):
        h = tf.reshape(z @ dense, (1, 2, 2, 8))
        for index in (0, 2):
            h = h + conv(tf.nn.relu(conv(tf.nn.relu(h), inside[index])), inside[index + 1])
        h = h * h if scaled_sum else h
        return tf.nn.sigmoid(tf.nn.conv2d(tf.nn.relu(h), last, 1, "SAME"))

    return graph_of(call, 6)


def test_channels_are_equalized_through_sums(samples):
    graph = residual_decoder()
    found = tuned(graph, samples, exponent=1.0)
    assert found.equalized == 5
    np.testing.assert_allclose(outputs(found.graph, samples), outputs(graph, samples), atol=2e-6)
    before, after = (np.abs(inner(g, "AddV2", samples)[0]).max(axis=(0, 1, 2)) for g in (graph, found.graph))
    assert after.max() / after.min() < 0.8 * before.max() / before.min()


def test_sums_that_meet_a_product_keep_their_scale(samples):
    graph = residual_decoder(scaled_sum=True)
    found = tuned(graph, samples, exponent=1.0)
    assert found.equalized == 2
    np.testing.assert_allclose(outputs(found.graph, samples), outputs(graph, samples), atol=2e-6)


def test_the_parts_of_the_last_residual_sum_add_up_to_it(samples):
    from pocketvae.export.rewrites.frozen import freeze

    graph = residual_decoder()
    found = tuned(graph, samples, sum_parts=2)
    assert found.sum_parts == 1
    np.testing.assert_allclose(outputs(found.graph, samples), outputs(graph, samples), atol=2e-6)
    # The dense layer and the last one of each branch.
    assert [values.shape[-1] for values in inner(found.graph, "Relu6", samples)] == [64, 16, 16]
    sums = [operator for operator in freeze(found.graph.function).operators if "/sum" in operator.name]
    assert len(sums) == 2
    assert all(FLOAT_SCOPE in operator.name for operator in sums)


def test_a_network_without_residual_sums_has_none_in_parts(samples):
    assert tuned(decoder(), samples, sum_parts=2).sum_parts == 0


def test_a_latent_in_two_parts_is_the_latent(samples):
    graph = decoder()
    found = tuned(graph, samples, latent_parts=True)
    assert found.latent_parts == 1
    np.testing.assert_allclose(outputs(found.graph, samples), outputs(graph, samples), atol=2e-6)


def test_both_parts_have_one_scale_and_the_coarse_one_lies_on_it(samples):
    from pocketvae.export.tuning.latent_parts import FINE_FACTOR, coarse_range

    (both,) = inner(tuned(decoder(), samples, latent_parts=True).graph, "ConcatV2", samples)[:1]
    step = np.abs(samples["z"]).max() / 127
    low, high = coarse_range(step)
    assert (high - low) / 255 == pytest.approx(step)
    coarse, fine = np.split(both, 2, axis=1)
    np.testing.assert_allclose(coarse / step, np.round(coarse / step), atol=1e-4)
    assert np.abs(fine).max() <= step * FINE_FACTOR * 0.5001
    np.testing.assert_allclose(coarse + fine / FINE_FACTOR, samples["z"], atol=1e-6)


@pytest.mark.parametrize("parts", [2, 3])
def test_the_parts_of_logits_add_up_to_the_logits(samples, parts):
    graph = decoder()
    found = tuned(graph, samples, output_parts=parts)
    assert found.output_parts == 1
    (value,) = inner(found.graph, "Relu6", samples)
    assert value.shape[-1] == 8 * parts
    before, after = (np.clip(inner(g, "Sigmoid", samples)[0], 0, 1) for g in (graph, found.graph))
    np.testing.assert_allclose(after, before, atol=1 / (1 + np.exp(LOGIT_BOUND)))


def test_the_parts_of_clipped_pixels_add_up_to_the_pixels(samples):
    import tensorflow as tf

    graph = decoder(last=lambda h: tf.clip_by_value(h, 0.0, 1.0))
    found = tuned(graph, samples, output_parts=2)
    assert found.output_parts == 1
    np.testing.assert_allclose(outputs(found.graph, samples), outputs(graph, samples), atol=1e-6)
    other = decoder(last=lambda h: tf.clip_by_value(h, -1.0, 1.0))
    assert tuned(other, samples, output_parts=2).output_parts == 0


def test_a_head_that_ends_nothing_is_not_divided(samples):
    import tensorflow as tf

    assert tuned(decoder(last=lambda h: h * tf.nn.sigmoid(h)), samples, output_parts=2).output_parts == 0


def test_what_is_added_in_float_is_marked(samples):
    from pocketvae.export.rewrites.frozen import freeze

    found = tuned(decoder(), samples, latent_parts=True, output_parts=2)
    added = [op for op in freeze(found.graph.function).operators if op.type in ("Floor", "Split", "Sub")]
    assert len(added) == 4
    assert all(FLOAT_SCOPE in operator.name for operator in added)


def test_an_encoder_is_not_given_parts(samples):
    from pocketvae.export.tuning.tune import tune

    found = tune(decoder(), Component.ENCODER, Tuning(latent_parts=True, output_parts=2), samples)
    assert not found.is_changed


def test_a_value_that_is_not_finite_is_refused(samples):
    broken = {"z": np.full_like(samples["z"], np.nan)}
    with pytest.raises(ExportError, match="the decoder cannot be tuned: a layer's output is not finite"):
        tuned(decoder(), broken, exponent=0.5)


def dead_decoder(dead):
    """Returns a decoder that ends in a residual sum, with a part that makes zeros."""
    import tensorflow as tf

    rng = np.random.default_rng(0)
    kernels = {
        "dense": rng.normal(size=(6, 64)),
        "inner": rng.normal(size=(3, 3, 4, 4)),
        "last": rng.normal(size=(3, 3, 4, 1)),
    }
    kernels = {name: (0 * kernel if name == dead else kernel).astype("f4") for name, kernel in kernels.items()}

    def call(z):
        start = tf.reshape(z @ kernels["dense"], (1, 4, 4, 4))
        total = tf.nn.relu(start + tf.nn.conv2d(tf.nn.relu(start), kernels["inner"], 1, "SAME"))
        return tf.sigmoid(tf.nn.conv2d(total, kernels["last"], 1, "SAME"))

    return graph_of(call, 6)


@pytest.mark.parametrize("dead", ["dense", "inner", "last"])
def test_what_makes_zeros_has_no_range_to_part(samples, dead):
    graph = dead_decoder(dead)
    found = tuned(graph, samples, exponent=0.5, latent_parts=True, output_parts=2, sum_parts=2)
    assert found.output_parts == (1 if dead == "inner" else 0)
    assert found.sum_parts == (1 if dead == "last" else 0)
    np.testing.assert_allclose(outputs(found.graph, samples), outputs(graph, samples), atol=2e-4)
