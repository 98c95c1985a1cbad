import numpy as np
import pytest

from pocketvae.export.convert.lookups import is_direct, with_direct_lookups

TABLE = np.arange(12, dtype=np.float32).reshape(4, 3)


def graph_of(index_of, dtype):
    import tensorflow as tf

    with tf.Graph().as_default() as graph:
        given = tf.compat.v1.placeholder(dtype, (None,), name="given")
        index = index_of(tf, given)
        wrapped = tf.where(index < 0, index + 4, index)
        tf.gather(TABLE, wrapped, name="found")
    return graph.as_graph_def()


def run(definition, values):
    import tensorflow as tf

    with tf.Graph().as_default():
        tf.graph_util.import_graph_def(definition, name="")
        with tf.compat.v1.Session() as session:
            return session.run("found:0", {"given:0": values})


def test_labels_and_codes_are_indices_as_they_are():
    definition = graph_of(lambda tf, given: tf.cast(given, tf.int32), "uint8")
    assert not is_direct(definition)
    changed = with_direct_lookups(definition)
    assert is_direct(changed)
    assert not {"Select", "SelectV2"} & {node.op for node in changed.node}
    values = np.array([0, 3, 1], np.uint8)
    np.testing.assert_array_equal(run(changed, values), TABLE[values])


@pytest.mark.parametrize(
    ("index_of", "dtype"),
    [
        (lambda tf, given: given - 2, "int32"),
        (lambda tf, given: tf.cast(given, tf.int32), "float32"),
    ],
)
def test_an_index_that_may_be_negative_stays(index_of, dtype):
    assert is_direct(graph_of(index_of, dtype))


def test_the_largest_value_is_found_without_care_for_negative_zeros():
    import tensorflow as tf

    with tf.Graph().as_default() as graph:
        given = tf.compat.v1.placeholder("float32", (None, 4), name="given")
        bits = tf.bitwise.bitwise_and(tf.bitcast(given, tf.int32), tf.constant(tf.int32.min))
        is_negative_zero = tf.logical_and(tf.equal(given, 0.0), tf.less(bits, 0))
        tf.argmax(tf.where(is_negative_zero, -1e-38, given), axis=-1, name="found")
    definition = graph.as_graph_def()
    assert not is_direct(definition)
    changed = with_direct_lookups(definition)
    assert is_direct(changed)
    assert "SelectV2" not in {node.op for node in changed.node}
    values = np.array([[-1, 0.5, 0.25, 0], [-3, -2, 0, -1]], np.float32)
    np.testing.assert_array_equal(run(changed, values), [1, 2])
