"""Graphs of TensorFlow's own operators, converted and widened."""

import numpy as np
import pytest

from pocketvae.errors import ExportError
from pocketvae.runtimes.base import Optimizations
from pocketvae.runtimes.opening import open_runner
from pocketvae.spec import Format, TensorSpec

pytestmark = pytest.mark.slow
SHAPE = (1, 4, 6, 2)


def convert(function, *, kind="float32"):
    import tensorflow as tf

    from pocketvae.export.convert import tflite
    from pocketvae.export.convert.graphs import Graph

    traced = tf.function(
        lambda x: {"y": function(tf, x)}, input_signature=[tf.TensorSpec(SHAPE, name="x")], autograph=False
    )
    inputs = (TensorSpec(name="x", dtype="float32", shape=SHAPE),)
    graph = Graph(function=traced, model=tf.Module(), inputs=inputs, fused_shuffles=0)
    return {"float32": tflite.convert_float32, "dynamic_int8": tflite.convert_dynamic_int8}[kind](graph)


def f32(*shape):
    return np.random.default_rng(len(shape)).normal(size=shape).astype(np.float32)


def attention(tf, x):
    """Heads beside the batch, as transformers have them."""
    tokens = tf.reshape(x, (1, 24, 2)) @ f32(2, 8)
    heads = tf.transpose(tf.reshape(tokens, (1, 24, 2, 4)), (0, 2, 1, 3))
    weights = tf.nn.softmax(tf.matmul(heads, heads, transpose_b=True))
    return tf.reshape(tf.transpose(weights @ heads, (0, 2, 1, 3)), (1, 24, 8))


def layer_norm(tf, x):
    mean, variance = tf.nn.moments(x, axes=[1, 2, 3], keepdims=True)
    return (x - mean) * tf.math.rsqrt(variance + 1e-3) * f32(2)


APART = {
    "convolutions": lambda tf, x: tf.nn.conv2d_transpose(
        tf.nn.relu(tf.nn.conv2d(x, f32(3, 3, 2, 4), 1, "SAME")), f32(3, 3, 3, 4), (1, 8, 12, 3), 2
    ),
    "transposed convolution of rows": lambda tf, x: tf.reshape(
        tf.nn.conv2d_transpose(tf.reshape(x, (4, 6, 2, 1)), f32(3, 3, 3, 1), (4, 12, 4, 3), 2), (1, 4, 12, 12)
    ),
    "dense": lambda tf, x: tf.nn.tanh(tf.reshape(x, (1, 48)) @ f32(48, 7) + f32(7)),
    "dense on rows": lambda tf, x: tf.reshape(tf.reshape(x, (24, 2)) @ f32(2, 5), (1, 24, 5)),
    "attention": attention,
    "layer norm": layer_norm,
    "resize": lambda tf, x: tf.image.resize(x, (8, 12), "nearest") + tf.image.resize(x, (8, 12), "bilinear"),
    "shuffle": lambda tf, x: tf.nn.depth_to_space(tf.nn.space_to_depth(tf.concat([x, x], 3), 2), 2),
    "cuts": lambda tf, x: tf.pad(x[:, 1:3, ::2], [[0, 0], [1, 0], [0, 2], [0, 0]]) + f32(1, 3, 5, 2),
    "slice": lambda tf, x: tf.slice(x, (0, 1, 2, 0), (1, 2, 3, 1)),
    "split": lambda tf, x: tf.concat(tf.split(x, 2, axis=2)[::-1], axis=1),
    "stack": lambda tf, x: tf.stack(tf.unstack(x, axis=3)[::-1], axis=2),
    "tile": lambda tf, x: tf.tile(tf.reduce_max(x, axis=1, keepdims=True), (1, 3, 1, 2)),
    "table": lambda tf, x: tf.gather(tf.constant(f32(5, 3)), tf.cast(tf.round(tf.sigmoid(x[:, 0, 0]) * 4), tf.int32)),
    "choice": lambda tf, x: tf.where(x > 0.2, x, tf.gather(x, [3, 2, 1, 0], axis=1)),
    "one hot": lambda tf, x: tf.one_hot(tf.cast(tf.sigmoid(x[:, 0, 0, 0]) * 4, tf.int32), 4),
}


def widened(tmp_path, content, batches=(1, 3, 8)):
    from pocketvae.export.convert.batches_tflite import add_batches

    path = tmp_path / "wide.tflite"
    path.write_bytes(add_batches(content, batches))
    (tmp_path / "one.tflite").write_bytes(content)
    return path


@pytest.mark.parametrize("optimizations", Optimizations)
@pytest.mark.parametrize("name", APART)
def test_a_batch_is_its_samples(tmp_path, name, optimizations):
    path = widened(tmp_path, convert(APART[name]))
    x = f32(8, *SHAPE[1:])
    with open_runner(tmp_path / "one.tflite", Format.TFLITE, optimizations=optimizations) as one:
        expected = np.concatenate([one.run({"x": sample[None]})["y"] for sample in x])
    assert len(np.unique(expected)) > 1
    for batch in (1, 3, 8):
        with open_runner(path, Format.TFLITE, optimizations=optimizations, batch=batch) as runner:
            assert runner.batches == (1, 3, 8)
            assert runner.outputs["y"].shape == (batch, *expected.shape[1:])
            found = runner.run({"x": x[:batch]})["y"]
            # The others can be called too, whatever the runner was opened for.
            again = runner.run({"x": x[:1]})["y"]
        np.testing.assert_allclose(found, expected[:batch], atol=2e-6)
        np.testing.assert_allclose(again, expected[:1], atol=2e-6)


@pytest.mark.parametrize("kind", ["float32", "dynamic_int8"])
def test_the_weights_are_there_once_and_every_signature_runs_with_xnnpack(tmp_path, kind):
    from ai_edge_litert.interpreter import Interpreter
    from ai_edge_litert.tools import flatbuffer_utils

    content = convert(lambda tf, x: tf.reshape(x, (1, 48)) @ f32(48, 4096) @ f32(4096, 8), kind=kind)
    path = widened(tmp_path, content)
    wide = path.read_bytes()
    assert len(wide) - len(content) < 0.02 * len(content)
    model = flatbuffer_utils.read_model_from_bytearray(wide)
    assert [signature.signatureKey for signature in model.signatureDefs] == [b"serving_default", b"batch_3", b"batch_8"]
    # Python shows the delegate of a file's first graph alone, so that each becomes the only one in turn.
    for position in range(3):
        alone = flatbuffer_utils.read_model_from_bytearray(wide)
        alone.subgraphs, alone.signatureDefs = [alone.subgraphs[position]], [alone.signatureDefs[position]]
        alone.signatureDefs[0].subgraphIndex = 0
        interpreter = Interpreter(model_content=bytes(flatbuffer_utils.convert_object_to_bytearray(alone)))
        interpreter.allocate_tensors()
        assert "DELEGATE" in [operator["op_name"] for operator in interpreter._get_ops_details()]


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("TRANSPOSE", lambda tf, x: tf.transpose(tf.reshape(x, (4, 6, 2)), (1, 0, 2))),
        ("MEAN", lambda tf, x: tf.reduce_mean(tf.reshape(x, (4, 6, 2)), axis=0, keepdims=True)),
        ("SUM", lambda tf, x: x - tf.reduce_sum(x)),
        ("CONCATENATION", lambda tf, x: tf.concat([x, x], axis=0)),
        ("ADD", lambda tf, x: tf.reshape(x, (24, 2)) @ f32(2, 5) + f32(24, 5)),
        ("CUMSUM", lambda tf, x: tf.cumsum(x, axis=1)),
        ("TILE", lambda tf, x: tf.tile(x, (2, 1, 1, 1))),
        ("GATHER", lambda tf, x: tf.gather(x, [0, 0], axis=0)),
    ],
)
def test_an_operator_that_mixes_samples_or_is_unknown_is_refused_by_name(tmp_path, name, function):
    with pytest.raises(ExportError, match=f"only batch size 1 is possible: {name} mixes samples"):
        widened(tmp_path, convert(function))


def test_a_batch_that_a_file_has_not_got_is_refused(tmp_path):
    from pocketvae.errors import SpecError

    path = widened(tmp_path, convert(APART["dense"]))
    with pytest.raises(SpecError, match="the file supports batch sizes 1, 3, 8, got 2: pocketvae export --batch adds"):
        open_runner(path, Format.TFLITE, batch=2)
    with open_runner(path, Format.TFLITE) as runner, pytest.raises(SpecError, match="batch sizes 1, 3, 8, got 5"):
        runner.run({"x": f32(5, *SHAPE[1:])})
