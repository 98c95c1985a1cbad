"""Integers and real numbers at the ends of a file, on a small network that TensorFlow quantizes."""

import numpy as np
import pytest

from pocketvae.export.convert import merge
from pocketvae.export.convert.interface_types import (
    input_quantization,
    with_floats,
    with_integer_input,
    with_one_rounding,
    without_detours,
)
from pocketvae.formats.tflite.model import operator_name, read_model, write_model
from pocketvae.formats.tflite.operators import read_operators
from pocketvae.runtimes.opening import open_runner
from pocketvae.spec import Format, Quantization

pytestmark = pytest.mark.slow
RNG = np.random.default_rng(1)
X = RNG.normal(size=(40, 6)).astype(np.float32)
WEIGHTS = RNG.normal(size=(6, 6)).astype(np.float32)


@pytest.fixture(scope="module")
def integers():
    """A layer with int8 at both ends."""
    import tensorflow as tf

    weights = tf.constant(WEIGHTS)
    signature = [tf.TensorSpec((1, 6), tf.float32, name="x")]
    function = tf.function(lambda x: {"y": tf.matmul(x, weights)}, input_signature=signature)
    module = tf.Module()
    module.function = function
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()], module)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([row[None]] for row in X)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return bytes(converter.convert())


def run(content):
    with open_runner(content, Format.TFLITE) as runner:
        (name,) = runner.inputs
        return runner.inputs[name], runner.run_samples({name: X})["y"]


def kinds(content):
    return [operator.name for operator in read_operators(content)[0]]


def test_real_numbers_outside_change_no_value(integers):
    _, expected = run(integers)
    spec, found = run(with_floats(integers))
    assert spec.dtype == "float32"
    np.testing.assert_array_equal(found, expected)
    assert kinds(with_floats(integers, outputs=False)) == ["QUANTIZE", *kinds(integers)]
    assert kinds(with_floats(integers, inputs=False)) == [*kinds(integers), "DEQUANTIZE"]


def test_an_integer_input_may_have_another_scale(integers):
    own = input_quantization(integers, "x")
    wide = Quantization(scale=2 * own.scale, zero_point=own.zero_point)
    spec, found = run(with_integer_input(with_floats(integers), "x", wide))
    assert (spec.dtype, spec.quantization) == ("int8", wide)
    _, expected = run(integers)
    assert 0 < np.abs(found - expected).max() < 20 * own.scale


def test_integers_do_not_become_real_numbers_on_the_way(integers):
    ends = with_floats(integers, inputs=False), with_floats(integers, outputs=False)
    joined = merge.merge_tflite(*ends, ("y", "x"))
    short = without_detours(joined)
    assert kinds(joined).count("DEQUANTIZE") == 1
    assert kinds(short) == [name for name in kinds(joined) if name != "DEQUANTIZE"]
    np.testing.assert_allclose(run(short)[1], run(joined)[1], atol=3 * _step(joined))


def test_real_numbers_that_something_else_reads_stay(integers):
    """The float part of a scorer reads what the decoder reads in integers."""
    joined = merge.merge_tflite(with_floats(integers), with_floats(integers), ("y", "x"), keep=["y"])
    short = without_detours(joined)
    assert kinds(short) == kinds(joined)  # the first file's output is still there in real numbers
    inner = [item for item in read_operators(short)[0] if item.name == "QUANTIZE"][1]
    assert inner.inputs[0].dtype == "int8"


@pytest.mark.parametrize("has_detour", [True, False])
def test_integers_that_become_finer_ones_are_rounded_once(integers, has_detour):
    """As the means of an encoder, whose range reaches to anomalies, on their way into a decoder."""
    ends = with_floats(integers, inputs=False), with_floats(integers, outputs=False)
    joined = merge.merge_tflite(*ends, ("y", "x"))
    joined = joined if has_detour else without_detours(joined)
    taken = input_quantization(integers, "x")
    coarse = _with_output_scale(joined, 4 * taken.scale)
    found = with_one_rounding(coarse)
    made = _first_layer_output(read_model(found)).quantization
    assert (made.scale.item(), made.zeroPoint.item()) == (pytest.approx(taken.scale), taken.zero_point)
    assert kinds(without_detours(found)) == [name for name in kinds(joined) if name not in ("DEQUANTIZE", "QUANTIZE")]
    low, high = (taken.scale * (limit - taken.zero_point) for limit in (-128, 127))
    exact = np.clip(X @ WEIGHTS, low, high) @ WEIGHTS
    before, after = (np.median(np.abs(run(content)[1] - exact)) for content in (coarse, without_detours(found)))
    assert after < 0.7 * before


def test_integers_of_finer_steps_than_the_next_ones_stay(integers):
    ends = with_floats(integers, inputs=False), with_floats(integers, outputs=False)
    joined = merge.merge_tflite(*ends, ("y", "x"))
    fine = _with_output_scale(joined, 0.5 * input_quantization(integers, "x").scale)
    np.testing.assert_array_equal(run(with_one_rounding(fine))[1], run(fine)[1])


def _with_output_scale(content, scale):
    """Gives the first layer's output another scale, around 0."""
    model = read_model(content)
    quantization = _first_layer_output(model).quantization
    quantization.scale = np.array([scale], np.float32)
    quantization.zeroPoint = np.array([0], np.int64)
    return write_model(model)


def _first_layer_output(model):
    graph = model.subgraphs[0]
    layer = next(item for item in graph.operators if operator_name(model, item) == "FULLY_CONNECTED")
    return graph.tensors[int(layer.outputs[0])]


def _step(content):
    with open_runner(content, Format.TFLITE) as runner:
        return next(iter(runner.outputs.values())).quantization.scale
