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

    def noted(graph):
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
