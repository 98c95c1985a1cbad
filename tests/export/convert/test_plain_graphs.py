import numpy as np
import pytest

from pocketvae.export.convert.plain_graphs import (
    ONNX_LACKS,
    callable_of,
    expand_for_int16,
    expand_for_onnx,
    is_plain,
    operators_of,
    plain,
    with_forms,
)
from pocketvae.export.convert.resizes import BICUBIC, product

pytestmark = pytest.mark.slow


def frozen(function, *shapes):
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    specs = [tf.TensorSpec(shape, tf.float32) for shape in shapes]
    return convert_variables_to_constants_v2(tf.function(function, autograph=False).get_concrete_function(*specs))


def run(definition, concrete, *values):
    import tensorflow as tf

    inputs, outputs = ([tensor.name for tensor in part] for part in (concrete.inputs, concrete.outputs))
    call = callable_of(definition, inputs, outputs)
    (result,) = tf.function(lambda *tensors: call(*tensors), autograph=False)(*map(tf.constant, values))
    return result.numpy()


def test_a_custom_gradient_is_taken_out_bit_for_bit():
    import tensorflow as tf

    concrete = frozen(lambda x: tf.nn.silu(x), (4,))
    definition = concrete.graph.as_graph_def()
    assert not is_plain(definition)
    found = plain(definition)
    assert is_plain(found)
    assert "IdentityN" not in {node.op for node in found.node}
    x = np.array([-30.0, -1.0, 0.5, 20.0], np.float32)
    np.testing.assert_array_equal(run(found, concrete, x), tf.nn.silu(x).numpy())


def test_a_compiled_call_is_taken_in_bit_for_bit():
    import tensorflow as tf

    kernel = np.arange(18, dtype=np.float32).reshape(3, 3, 1, 2)

    @tf.function(jit_compile=True, autograph=False)
    def convolve(x, y):
        return tf.nn.conv2d(x, kernel, 1, "SAME"), y

    def apply(x):
        first, second = convolve(x, x * 2.0)
        return convolve(first, second)[0] + tf.reduce_sum(second)

    concrete = frozen(apply, (1, 4, 4, 2))
    definition = concrete.graph.as_graph_def()
    assert not is_plain(definition)
    found = plain(definition)
    assert is_plain(found)
    x = np.random.default_rng(0).normal(size=(1, 4, 4, 2)).astype(np.float32)
    np.testing.assert_allclose(run(found, concrete, x), concrete(tf.constant(x))[0].numpy(), rtol=1e-6)


SMALL = np.array([-0.9, -1e-3, -1e-7, -1e-20, 0.0, 1e-20, 1e-7, 1e-3, 0.5, 2.0, 80.0], np.float32)


@pytest.mark.parametrize("name", ["Expm1", "Log1p", "Inv"])
def test_an_operator_that_onnx_lacks_gets_a_form_without_cancellation(name):
    import tensorflow as tf

    concrete = frozen(lambda x: getattr(tf.raw_ops, name)(x=x), SMALL.shape)
    definition = expand_for_onnx(concrete.graph.as_graph_def())
    assert name not in {node.op for node in definition.node}
    exact = {"Expm1": np.expm1, "Log1p": np.log1p, "Inv": np.reciprocal}[name]
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(run(definition, concrete, SMALL), exact(SMALL), rtol=5e-7)


@pytest.mark.parametrize("name", ["Xlogy", "Xlog1py", "Xdivy", "MulNoNan"])
def test_a_factor_of_zero_gives_zero_whatever_the_other_is(name):
    import tensorflow as tf

    concrete = frozen(lambda x, y: getattr(tf.raw_ops, name)(x=x, y=y), (4,), (4,))
    definition = expand_for_onnx(concrete.graph.as_graph_def())
    assert not ONNX_LACKS & operators_of(definition)
    x, y = np.array([0.0, 2.0, -3.0, 0.5], np.float32), np.array([np.inf, 0.3, 2.0, 4.0], np.float32)
    values = (y, x) if name == "MulNoNan" else (x, y)
    expected = concrete(*map(tf.constant, values))[0].numpy()
    np.testing.assert_allclose(run(definition, concrete, *values), expected, rtol=1e-6)


def test_erfc_in_a_product_becomes_erf_within_half_a_step_of_one():
    import tensorflow as tf

    concrete = frozen(lambda x: 0.5 * x * tf.math.erfc(-x * np.float32(np.sqrt(0.5))), (101,))
    definition = expand_for_onnx(concrete.graph.as_graph_def())
    operators = {node.op for node in definition.node}
    assert "Erf" in operators
    assert "Erfc" not in operators
    x = np.linspace(-6, 6, 101, dtype=np.float32)
    np.testing.assert_allclose(run(definition, concrete, x), concrete(tf.constant(x))[0].numpy(), atol=5e-7)


def test_erfc_stays_where_its_small_values_count():
    import tensorflow as tf

    concrete = frozen(lambda x: tf.math.log(tf.math.erfc(x)), (3,))
    assert "Erfc" in {node.op for node in expand_for_onnx(concrete.graph.as_graph_def()).node}


@pytest.mark.parametrize("half_pixels", [True, False])
def test_a_bicubic_resize_becomes_products_of_matrices(half_pixels):
    import tensorflow as tf

    resize = tf.raw_ops.ResizeBicubic
    concrete = frozen(lambda x: resize(images=x, size=(10, 9), half_pixel_centers=half_pixels), (2, 5, 3, 4))
    definition = with_forms(concrete.graph.as_graph_def(), {BICUBIC: product})
    assert BICUBIC not in operators_of(definition)
    x = np.random.default_rng(0).normal(size=(2, 5, 3, 4)).astype(np.float32)
    np.testing.assert_allclose(run(definition, concrete, x), concrete(tf.constant(x))[0].numpy(), atol=2e-6)


def test_negations_and_squares_are_products_where_16_bits_need_them():
    import tensorflow as tf

    concrete = frozen(lambda x: tf.raw_ops.Neg(x=tf.raw_ops.Square(x=x)), (3,))
    definition = expand_for_int16(concrete.graph.as_graph_def())
    assert not {"Neg", "Square"} & {node.op for node in definition.node}
    x = np.array([-2.0, 0.5, 3.0], np.float32)
    np.testing.assert_array_equal(run(definition, concrete, x), -np.square(x))


def test_a_gelu_keeps_the_negation_that_the_converter_knows_it_by():
    import tensorflow as tf

    concrete = frozen(lambda x: x * tf.math.erfc(-x), (3,))
    assert "Neg" in operators_of(expand_for_int16(concrete.graph.as_graph_def()))
