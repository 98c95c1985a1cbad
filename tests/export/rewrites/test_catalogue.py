"""Rewritten graphs against the graphs they were made of, for every flavour of model."""

import numpy as np
import pytest

from pocketvae.export.rewrites.names import FORMS, Form, Rewrite, Step

pytestmark = pytest.mark.slow
UPSAMPLING_FORMS = (Form.ROWS, Form.PHASES)


@pytest.fixture(params=["keras2", "keras3"])
def keras(request):
    import importlib

    return importlib.import_module({"keras2": "tf_keras", "keras3": "keras"}[request.param])


def graph_of(call, shape):
    import tensorflow as tf

    from pocketvae.export.convert.graphs import Graph, function_of
    from pocketvae.spec import TensorSpec

    inputs = (TensorSpec(name="z", dtype="float32", shape=(1, *shape)),)
    function = function_of(lambda z: {"image": call(z)}, inputs)
    return Graph(function=function, model=tf.Module(), inputs=inputs, fused_shuffles=0)


def spread(model, seed=0):
    """Gives every weight a value that matters; scales and variances stay positive."""
    rng = np.random.default_rng(seed)
    model.set_weights(
        [
            (rng.normal(size=w.shape) / np.sqrt(np.prod(w.shape[:-1]))).astype(np.float32)
            if w.ndim > 1
            else rng.uniform(0.5, 1.5, w.shape).astype(np.float32)
            for w in model.get_weights()
        ]
    )
    return model


def check(graph, step, places):
    """Rewrites, compares, and returns the kinds of the new graph's operators."""
    from pocketvae.export.rewrites.catalogue import apply_steps
    from pocketvae.export.rewrites.frozen import freeze

    rewritten = apply_steps(graph, (step,))
    assert rewritten.places == (places,)
    z = np.random.default_rng(1).normal(size=graph.inputs[0].shape).astype(np.float32)
    expected, got = (g.function(z)["image"].numpy() for g in (graph, rewritten.graph))
    assert got.shape == expected.shape
    np.testing.assert_allclose(got, expected, atol=2e-6 * max(1, np.abs(expected).max()))
    return [operator.type for operator in freeze(rewritten.graph.function).operators]


def step(rewrite, form=Form.ONLY):
    return Step(rewrite=rewrite, form=form)


TRANSPOSED = [
    {"kernel_size": 2, "strides": 2, "padding": "same"},
    {"kernel_size": 3, "strides": 2, "padding": "same", "activation": "relu"},
    {"kernel_size": 4, "strides": 2, "padding": "same", "activation": "tanh"},
    {"kernel_size": 5, "strides": 2, "padding": "same", "use_bias": False},
    {"kernel_size": 3, "strides": 2, "padding": "valid", "activation": "relu"},
    {"kernel_size": 4, "strides": 2, "padding": "valid", "activation": "elu"},
    {"kernel_size": (3, 5), "strides": (2, 3), "padding": "same"},
    {"kernel_size": 3, "strides": (1, 2), "padding": "valid"},
    {"kernel_size": 2, "strides": 3, "padding": "valid"},
    {"kernel_size": 3, "strides": 2, "padding": "same", "output_padding": 0},
    {"kernel_size": 4, "strides": 3, "padding": "valid", "output_padding": 2},
]


@pytest.mark.parametrize("form", UPSAMPLING_FORMS)
@pytest.mark.parametrize("options", TRANSPOSED, ids=str)
def test_a_transposed_convolution(keras, options, form):
    inputs = keras.Input((3, 4, 2))
    model = spread(keras.Model(inputs, keras.layers.Conv2DTranspose(3, **options)(inputs)))
    kinds = check(
        graph_of(lambda z: model(z, training=False), (3, 4, 2)), step(Rewrite.TRANSPOSED_CONVOLUTION, form), 1
    )
    assert "Conv2DBackpropInput" not in kinds
    assert "Conv2D" in kinds


def test_one_that_does_not_enlarge_is_left_alone(keras):
    inputs = keras.Input((3, 4, 2))
    model = keras.Model(inputs, keras.layers.Conv2DTranspose(3, 3, padding="same")(inputs))
    graph = graph_of(model, (3, 4, 2))
    assert "Conv2DBackpropInput" in check(graph, step(Rewrite.TRANSPOSED_CONVOLUTION, Form.ROWS), 0)


def stages(keras, layer, count=2):
    """A decoder of two stages with batch normalization between convolution and ReLU."""
    layers = keras.layers
    z = keras.Input((3,))
    x = layers.Reshape((2, 3, 4))(layers.Dense(24)(z))
    for _ in range(count):
        x = layers.ReLU()(layers.BatchNormalization()(layer(layers)(x)))
    return spread(keras.Model(z, layers.Conv2D(1, 3, padding="same", activation="sigmoid")(x)))


@pytest.mark.parametrize("form", UPSAMPLING_FORMS)
def test_normalization_and_activation_are_computed_with_it(keras, form):
    model = stages(keras, lambda layers: layers.Conv2DTranspose(4, 3, strides=2, padding="same"))
    graph = graph_of(lambda z: model(z, training=False), (3,))
    kinds = check(graph, step(Rewrite.TRANSPOSED_CONVOLUTION, form), 2)
    assert not {"FusedBatchNormV3", "Conv2DBackpropInput"} & set(kinds)
    assert kinds.count("Relu") == 2 * (2 if form is Form.ROWS else 4)


@pytest.mark.parametrize("form", UPSAMPLING_FORMS)
@pytest.mark.parametrize("kernel", [1, 2, 3, 5])
def test_repeated_pixels_and_a_convolution(keras, kernel, form):
    def layer(layers):
        return lambda x: layers.Conv2D(4, kernel, padding="same")(layers.UpSampling2D((2, 3))(x))

    model = stages(keras, layer)
    kinds = check(graph_of(lambda z: model(z, training=False), (3,)), step(Rewrite.RESIZE_CONVOLUTION, form), 2)
    assert not {"ResizeNearestNeighbor", "Tile"} & set(kinds)


def test_repeated_pixels_that_are_used_elsewhere_are_left_alone(keras):
    inputs = keras.Input((3, 3, 2))
    large = keras.layers.UpSampling2D(2)(inputs)
    both = keras.layers.Concatenate()([large, keras.layers.Conv2D(2, 3, padding="same")(large)])
    model = spread(keras.Model(inputs, both))
    check(graph_of(model, (3, 3, 2)), step(Rewrite.RESIZE_CONVOLUTION, Form.ROWS), 0)


def test_a_bilinear_enlargement_is_left_alone(keras):
    inputs = keras.Input((3, 3, 2))
    large = keras.layers.UpSampling2D(2, interpolation="bilinear")(inputs)
    model = spread(keras.Model(inputs, keras.layers.Conv2D(2, 3, padding="same")(large)))
    check(graph_of(model, (3, 3, 2)), step(Rewrite.RESIZE_CONVOLUTION, Form.ROWS), 0)


def test_a_shuffle_spelt_with_three_layers(keras):
    layers = keras.layers
    inputs = keras.Input((3, 4, 2))
    x = layers.Conv2D(8, 2, padding="same", activation="relu")(inputs)
    x = layers.Permute((1, 3, 2, 4, 5))(layers.Reshape((3, 4, 2, 2, 2))(x))
    model = spread(keras.Model(inputs, layers.Reshape((6, 8, 2))(x)))
    kinds = check(graph_of(model, (3, 4, 2)), step(Rewrite.DEPTH_TO_SPACE, Form.ROWS), 1)
    assert "Transpose" not in kinds


def test_a_depth_to_space_operator():
    import tensorflow as tf

    weights = np.random.default_rng(0).normal(size=(3, 3, 2, 12)).astype(np.float32)

    def call(z):
        return tf.nn.depth_to_space(tf.nn.leaky_relu(tf.nn.conv2d(z, weights, 1, "SAME")), 2)

    assert "DepthToSpace" not in check(graph_of(call, (3, 4, 2)), step(Rewrite.DEPTH_TO_SPACE, Form.ROWS), 1)


@pytest.mark.parametrize(("kernel", "channels", "padding"), [(3, 1, "same"), (3, 3, "same"), (5, 1, "valid")])
def test_a_narrow_convolution(keras, kernel, channels, padding):
    inputs = keras.Input((12, 8, 5))
    layer = keras.layers.Conv2D(channels, kernel, padding=padding, activation="sigmoid")
    model = spread(keras.Model(inputs, layer(inputs)))
    kinds = check(graph_of(model, (12, 8, 5)), step(Rewrite.NARROW_CONVOLUTION), 1)
    assert "DepthToSpace" in kinds


@pytest.mark.parametrize("activation", [None, "relu"])
def test_one_depth_to_space_does_what_that_of_a_narrow_convolution_and_the_next_one_do(keras, activation):
    import tensorflow as tf

    inputs = keras.Input((6, 8, 5))
    layer = keras.layers.Conv2D(4, 3, padding="same", activation=activation, bias_initializer="random_normal")
    model = spread(keras.Model(inputs, layer(inputs)))
    graph = graph_of(lambda z: tf.sigmoid(tf.nn.depth_to_space(model(z), 2)), (6, 8, 5))
    kinds = check(graph, step(Rewrite.NARROW_CONVOLUTION), 1)
    assert kinds.count("DepthToSpace") == 1


def test_a_narrow_convolution_whose_values_others_read_keeps_its_own_depth_to_space():
    import tensorflow as tf

    kernel = np.random.default_rng(0).normal(size=(3, 3, 5, 4)).astype("f4")

    def call(z):
        image = tf.nn.conv2d(z, kernel, 1, "SAME")
        return tf.nn.depth_to_space(image, 2) + tf.reduce_mean(image)

    kinds = check(graph_of(call, (6, 8, 5)), step(Rewrite.NARROW_CONVOLUTION), 1)
    assert kinds.count("DepthToSpace") == 2


@pytest.mark.parametrize("options", [{"filters": 8}, {"strides": 2}, {"kernel_size": 1}])
def test_other_convolutions_are_not_narrow(keras, options):
    inputs = keras.Input((8, 8, 5))
    layer = keras.layers.Conv2D(**{"filters": 1, "kernel_size": 3, "padding": "same", **options})
    model = spread(keras.Model(inputs, layer(inputs)))
    check(graph_of(model, (8, 8, 5)), step(Rewrite.NARROW_CONVOLUTION), 0)


def test_batch_normalization_is_folded_into_all_kinds_of_layers(keras):
    layers = keras.layers
    z = keras.Input((3,))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Dense(24)(z)))
    x = layers.Reshape((2, 3, 4))(layers.Dense(24)(x))
    x = layers.ReLU()(layers.BatchNormalization()(x))
    for layer in (
        layers.Conv2D(5, 3, padding="same"),
        layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2),
        layers.Conv2DTranspose(3, 3, strides=2, use_bias=False),
    ):
        x = layers.ReLU()(layers.BatchNormalization()(layer(x)))
    model = spread(keras.Model(z, x))
    graph = graph_of(lambda z: model(z, training=False), (3,))
    kinds = check(graph, step(Rewrite.BATCH_NORMALIZATION), 5)
    assert not {"FusedBatchNormV3", "Mul", "Rsqrt"} & set(kinds)


def test_a_normalization_behind_an_activation_is_left_alone(keras):
    inputs = keras.Input((4, 4, 2))
    x = keras.layers.BatchNormalization()(keras.layers.Conv2D(3, 3, activation="relu")(inputs))
    model = spread(keras.Model(inputs, x))
    check(graph_of(lambda z: model(z, training=False), (4, 4, 2)), step(Rewrite.BATCH_NORMALIZATION), 0)


@pytest.mark.parametrize("rewrite", list(Rewrite))
def test_a_saved_model_is_rewritten_like_its_source(tmp_path, rewrite):
    import keras
    import tensorflow as tf

    def layer(layers):
        if rewrite is Rewrite.RESIZE_CONVOLUTION:
            return lambda x: layers.Conv2D(4, 3, padding="same")(layers.UpSampling2D(2)(x))
        return layers.Conv2DTranspose(4, 3, strides=2, padding="same")

    model = stages(keras, layer)
    model.export(str(tmp_path / "saved"), verbose=False)
    loaded = tf.saved_model.load(str(tmp_path / "saved"))
    # Nothing in these two models has a shuffle or groups.
    places = {Rewrite.NARROW_CONVOLUTION: 1, Rewrite.DEPTH_TO_SPACE: 0, Rewrite.GROUP_NORMALIZATION: 0}.get(rewrite, 2)
    for form in FORMS[rewrite]:
        check(graph_of(loaded.serve, (3,)), step(rewrite, form), places)


@pytest.mark.parametrize(
    ("shape", "groups", "products"),
    [((3, 4, 4), 2, 2), ((3, 4, 4), 4, 0), ((3, 4, 4), 1, 2), ((5, 6), 3, 2), ((2, 3, 2, 4), 2, 2)],
    ids=str,
)
def test_a_normalization_of_groups(keras, shape, groups, products):
    inputs = keras.Input(shape)
    normal = keras.layers.GroupNormalization(groups)(inputs)
    model = spread(keras.Model(inputs, keras.layers.Activation("relu")(normal)))
    graph = graph_of(lambda z: 3 * model(z, training=False), shape)
    kinds = check(graph, step(Rewrite.GROUP_NORMALIZATION), 1)
    # Channels that are normalized alone need nothing to join their means.
    assert (kinds.count("Mean"), kinds.count("MatMul")) == (2, products)


def test_what_is_no_normalization_of_whole_channels_is_left_alone(keras):
    inputs = keras.Input((3, 4, 4))
    x = keras.layers.LayerNormalization()(inputs)
    model = spread(keras.Model(inputs, keras.layers.BatchNormalization()(x)))
    check(graph_of(lambda z: model(z, training=False), (3, 4, 4)), step(Rewrite.GROUP_NORMALIZATION), 0)


def test_a_normalization_whose_rows_are_joined():
    import tensorflow as tf

    def call(z):
        groups = tf.reshape(z, (1, 12, 2, 2))
        centred = groups - tf.reduce_mean(groups, (1, 3), keepdims=True)
        normal = centred * tf.math.rsqrt(tf.reduce_mean(tf.square(centred), (1, 3), keepdims=True) + 1e-5)
        return tf.reshape(normal * np.float32([[2.0, 3.0], [4.0, 5.0]]) + 1.0, (1, 3, 4, 4))

    kinds = check(graph_of(call, (3, 4, 4)), step(Rewrite.GROUP_NORMALIZATION), 1)
    assert kinds.count("MatMul") == 2


def test_what_goes_on_in_groups_is_split_again():
    import tensorflow as tf

    def call(z):
        groups = tf.reshape(z, (1, 3, 4, 2, 2))
        mean, variance = tf.nn.moments(groups, (1, 2, 4), keepdims=True)
        return (groups - mean) * tf.math.rsqrt(variance + 1e-3) * tf.reduce_max(z)

    kinds = check(
        graph_of(lambda z: tf.reshape(call(z), (1, 3, 4, 4)), (3, 4, 4)), step(Rewrite.GROUP_NORMALIZATION), 1
    )
    assert "Max" in kinds


def test_rewrites_work_together_and_leave_the_stock_graph_alone():
    import keras

    from pocketvae.export.rewrites.catalogue import apply_steps

    model = stages(keras, lambda layers: layers.Conv2DTranspose(8, 4, strides=2, padding="same"))
    graph = graph_of(lambda z: model(z, training=False), (3,))
    z = np.ones((1, 3), np.float32)
    before = graph.function(z)["image"].numpy()
    steps = [Step(rewrite=rewrite, form=FORMS[rewrite][-1]) for rewrite in Rewrite]
    rewritten = apply_steps(graph, steps)
    assert rewritten.places == (2, 0, 0, 1, 0, 0)
    np.testing.assert_allclose(rewritten.graph.function(z)["image"], before, atol=1e-6)
    np.testing.assert_array_equal(graph.function(z)["image"], before)


def test_a_graph_with_nothing_to_rewrite_is_returned_as_it_is():
    import keras

    from pocketvae.export.rewrites.catalogue import apply_steps

    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Dense(4)(inputs))
    graph = graph_of(model, (3,))
    steps = [Step(rewrite=rewrite, form=form) for rewrite in Rewrite for form in FORMS[rewrite]]
    assert apply_steps(graph, steps).graph is graph
