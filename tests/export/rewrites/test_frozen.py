"""A component as a flat graph."""

import numpy as np
import pytest

from pocketvae.export.rewrites.frozen import freeze
from pocketvae.keras.io import import_tensorflow

pytestmark = pytest.mark.slow


def test_what_depends_on_no_input_is_computed_from_what_it_depends_on(monkeypatch):
    tf = import_tensorflow()
    weight, large = tf.Variable([1.0, 2.0]), tf.Variable(tf.ones((1000, 1000)))

    @tf.function(input_signature=[tf.TensorSpec((1, 1000), tf.float32)])
    def function(x):
        return tf.matmul(x, large)[:, :2] * (weight + 1.0)

    graph = freeze(function)
    sizes = []
    session = tf.compat.v1.Session

    def noted(graph, config):
        sizes.append(graph.as_graph_def().ByteSize())
        return session(graph=graph)

    monkeypatch.setattr(tf.compat.v1, "Session", noted)
    (product,) = (operator for operator in graph.operators if operator.type == "Mul")
    np.testing.assert_array_equal(graph.constant(product.inputs[1]), [2.0, 3.0])
    assert graph.constant(product.inputs[0]) is None
    (matmul,) = (operator for operator in graph.operators if operator.type == "MatMul")
    np.testing.assert_array_equal(graph.constant(matmul.inputs[1]), np.ones((1000, 1000)))
    # The weights are read without a session, and no session takes in what it does not need.
    assert len(sizes) == 1
    assert sizes[0] < 2000


def test_a_tensor_is_computed_from_another_one_alone():
    tf = import_tensorflow()
    factor = tf.Variable(3.0)

    @tf.function(input_signature=[tf.TensorSpec((1, 2), tf.float32)])
    def function(x):
        middle = tf.nn.relu(x)
        return tf.tanh(middle * factor), tf.add(middle, x)

    graph = freeze(function)
    kinds = {operator.type: operator.outputs[0] for operator in graph.operators if operator.outputs}
    drawn = [np.array([[1.0, -2.0]], np.float32), np.array([[0.0, 0.5]], np.float32)]
    found = graph.computed(kinds["Tanh"], kinds["Relu"], drawn)
    np.testing.assert_allclose(found, np.tanh(3 * np.stack(drawn)), rtol=1e-6)
    # One depends on the input beside it, the other not on it at all.
    assert graph.computed(kinds["AddV2"], kinds["Relu"], drawn) is None
    assert graph.computed(kinds["Relu"], kinds["Tanh"], drawn) is None
