import numpy as np
import pytest

from pocketvae.export.convert.einsums import EINSUM, expanded, is_refused
from pocketvae.export.convert.plain_graphs import all_nodes, callable_of, operators_of, with_forms

# Equations with the shapes that they are for; what is refused of them has another form.
REFUSED = {
    "bhwc,bhwd->bhwc": [(1, 4, 3, 2), (1, 4, 3, 5)],
    "bhwc,bhwc->bhwc": [(1, 4, 3, 2), (1, 4, 3, 2)],
    "bhwc,bc->bhwc": [(1, 4, 3, 2), (1, 2)],
    "bc,bhwc->bwch": [(1, 2), (1, 4, 3, 2)],
    "bik,bkjl->bij": [(1, 3, 4), (1, 4, 2, 5)],
    "bix,bjy->bij": [(1, 3, 4), (1, 2, 5)],
}
TAKEN = {
    "abc,cd->abd": [(1, 4, 3), (3, 5)],
    "aecd,abcd->acbe": [(1, 6, 2, 4), (1, 5, 2, 4)],
    "bhc,bwc->bhwc": [(1, 4, 3), (1, 5, 3)],
    "bhwc->bhc": [(1, 4, 3, 2)],
    "bhwc,hwcd->bd": [(1, 4, 3, 2), (4, 3, 2, 6)],
}


def traced(equation, shapes):
    import tensorflow as tf

    specs = [tf.TensorSpec(shape, tf.float32) for shape in shapes]
    return tf.function(lambda *tensors: tf.einsum(equation, *tensors), autograph=False).get_concrete_function(*specs)


def tensors(shapes):
    rng = np.random.default_rng(0)
    return [rng.normal(size=shape).astype(np.float32) for shape in shapes]


@pytest.mark.slow
@pytest.mark.parametrize("equation", REFUSED)
def test_a_refused_einsum_has_another_form_of_the_same_values_which_tflite_takes(equation):
    import tensorflow as tf

    shapes = REFUSED[equation]
    concrete = traced(equation, shapes)
    definition = with_forms(concrete.graph.as_graph_def(), {EINSUM: expanded})
    assert not any(node.op == EINSUM and is_refused(node.attr["equation"].s.decode()) for node in all_nodes(definition))
    call = callable_of(definition, *([tensor.name for tensor in part] for part in (concrete.inputs, concrete.outputs)))
    specs = [tf.TensorSpec(shape, tf.float32) for shape in shapes]
    function = tf.function(lambda *values: call(*values)[0], autograph=False).get_concrete_function(*specs)
    values = tensors(shapes)
    np.testing.assert_allclose(function(*map(tf.constant, values)).numpy(), np.einsum(equation, *values), atol=2e-6)
    assert tf.lite.TFLiteConverter.from_concrete_functions([function]).convert()


@pytest.mark.slow
@pytest.mark.parametrize("equation", TAKEN)
def test_an_einsum_that_the_converter_takes_stays(equation):
    definition = traced(equation, TAKEN[equation]).graph.as_graph_def()
    assert EINSUM in operators_of(with_forms(definition, {EINSUM: expanded}))


@pytest.mark.parametrize("equation", ["bii,bi->bi", "b...c,b...d->b...c", "bhwc->bc"])
def test_diagonals_ellipses_and_single_tensors_are_not_looked_at(equation):
    assert not is_refused(equation)
