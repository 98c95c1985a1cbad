"""Shares of ranges, chosen on a small graph by the error of what it returns."""

import numpy as np
import pytest

from pocketvae.export.tuning.shares import Place, best_shares, last_output

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def graph():
    """A dense layer, of which `sigmoid` tells apart only what is near 0 while `scaled` passes everything on."""
    import tensorflow as tf

    from pocketvae.export.convert.graphs import function_of
    from pocketvae.export.rewrites.frozen import freeze
    from pocketvae.spec import TensorSpec

    kernel = np.eye(2, 3, dtype=np.float32)

    def call(z):
        bias = tf.nn.bias_add(tf.linalg.matmul(z, kernel, name="dense"), [0.0, 0.1, 0.2], name="bias")
        parts = tf.nn.relu6(bias, name="parts")
        return {"image": tf.nn.sigmoid(tf.identity(bias, name="moved")) + 0.0 * parts}

    return freeze(function_of(call, (TensorSpec(name="z", dtype="float32", shape=(1, 2)),)))


@pytest.fixture(scope="module")
def samples():
    return {"z": np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32) * 3}


def test_a_place_is_rounded_to_integers_of_which_zero_is_one():
    place = Place(tensor="x:0", low=-1.0, high=4.1)
    values = place.rounded(np.array([-9.0, -0.5, 0.0, 0.011, 4.1, 9.0]), 1.0)
    np.testing.assert_allclose(values, [-1.0, -0.5, 0.0, 0.02, 4.1, 4.1], atol=1e-6)
    np.testing.assert_allclose(place.rounded(np.array([9.0]), 0.5), [2.05], atol=0.01)


def test_a_range_that_is_mostly_empty_is_narrowed(graph, samples):
    (whole, narrow) = best_shares(
        graph,
        [Place(tensor="bias:0", low=-10.0, high=10.0, levels=63), Place(tensor="bias:0", low=-90.0, high=90.0)],
        samples,
    )
    assert narrow < whole <= 1.0


def test_a_place_without_a_range_and_what_there_is_no_time_for_stay_whole(graph, samples):
    empty, wide = Place(tensor="bias:0", low=0.0, high=0.0), Place(tensor="bias:0", low=-90.0, high=90.0)
    assert best_shares(graph, [empty], samples) == [1.0]
    assert best_shares(graph, [wide], samples, lambda: True) == [1.0]
    # Time may also be over while one place is looked at, after its whole range.
    asked = iter([False, True])
    assert best_shares(graph, [wide], samples, lambda: next(asked)) == [1.0]


def test_an_output_that_is_not_finite_is_refused(graph):
    with pytest.raises(FloatingPointError, match="an output is not finite"):
        best_shares(graph, [], {"z": np.full((4, 2), np.nan, np.float32)})


@pytest.mark.parametrize(
    ("names", "tensor"),
    [
        (("dense", "bias"), "bias:0"),
        (("dense",), "bias:0"),
        (("unknown", "moved"), "moved:0"),
        (("unknown",), None),
        (("bias", "parts"), None),
    ],
    ids=["fused", "product", "partly", "unknown", "parts"],
)
def test_the_tensor_of_a_converters_layer_is_the_last_that_was_joined(graph, names, tensor):
    assert last_output(graph, names) == tensor
