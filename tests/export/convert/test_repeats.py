import numpy as np
import pytest

from pocketvae.export.convert.plain_graphs import callable_of, operators_of
from pocketvae.export.convert.repeats import repeats_of, with_resizes


def frozen(function, shape):
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    spec = tf.TensorSpec(shape, tf.float32)
    return convert_variables_to_constants_v2(tf.function(function, autograph=False).get_concrete_function(spec))


def check_same_bits(concrete, definition):
    import tensorflow as tf

    x = np.random.default_rng(0).normal(size=concrete.inputs[0].shape).astype(np.float32)
    call = callable_of(definition, [concrete.inputs[0].name], [concrete.outputs[0].name])
    (found,) = tf.function(lambda tensor: call(tensor), autograph=False)(tf.constant(x))
    np.testing.assert_array_equal(found.numpy(), concrete(tf.constant(x))[0].numpy())


@pytest.mark.parametrize("factor", [(2, 2), (3, 1), (1, 5)])
def test_repeated_pixels_become_one_resize_bit_for_bit(factor):
    import tensorflow as tf

    def enlarge(x):
        # As Keras 3's UpSampling2D does.
        return tf.repeat(tf.repeat(x * 2.0, factor[0], axis=1), factor[1], axis=2)

    concrete = frozen(enlarge, (1, 4, 5, 3))
    definition = with_resizes(concrete.graph.as_graph_def())
    nodes = {node.name: node for node in definition.node}
    image = nodes[nodes[concrete.outputs[0].op.name].input[0]]
    assert image.op == "ResizeNearestNeighbor"
    assert nodes[image.input[0]].op == "Mul"
    check_same_bits(concrete, definition)


def test_a_resize_between_centres_of_pixels_becomes_a_plain_one():
    import tensorflow as tf

    resize = tf.raw_ops.ResizeNearestNeighbor
    concrete = frozen(lambda x: resize(images=x, size=(12, 10), half_pixel_centers=True) + 1.0, (1, 4, 5, 3))
    definition = with_resizes(concrete.graph.as_graph_def())
    centres = [node.attr["half_pixel_centers"].b for node in definition.node if node.op == "ResizeNearestNeighbor"]
    assert centres == [False]
    check_same_bits(concrete, definition)


def test_other_tiles_and_resizes_stay():
    import tensorflow as tf

    def tile(x):
        resized = tf.raw_ops.ResizeNearestNeighbor(images=x, size=(6, 5), half_pixel_centers=True)
        return tf.tile(x, (1, 2, 1, 1)), tf.reshape(tf.tile(x[:, :, None], (1, 1, 2, 2, 1)), (1, 8, 10, 3)), resized

    concrete = frozen(tile, (1, 4, 5, 3))
    assert repeats_of(concrete.graph) == {}
    assert "Tile" in operators_of(with_resizes(concrete.graph.as_graph_def()))
