"""Preparation: whole VAEs are cut, sampling layers are left out without running them, types become float32."""

import sys

import numpy as np
import pytest

from pocketvae.errors import ExportError
from pocketvae.export.external.messages import ExternalModels, PreparationRequest
from pocketvae.export.external.needs import needs_preparation
from pocketvae.export.external.preparation import prepare_models
from pocketvae.keras.custom_code import CustomCode
from pocketvae.keras.io import import_flavour, load_model
from pocketvae.keras.loading import open_model
from pocketvae.keras.model_form import DataFormat, Flavour, Role

pytestmark = pytest.mark.slow
FLAVOURS = (Flavour.KERAS2, Flavour.KERAS3)


def sampling_class(keras):
    class Sampling(keras.layers.Layer):
        """Runs when it is made or called, which is when the file is written and never again."""

        runs = 0

        def call(self, inputs):
            type(self).runs += 1
            return inputs[0] + keras.backend.exp(0.5 * inputs[1]) if hasattr(keras.backend, "exp") else inputs[0]

        @classmethod
        def from_config(cls, config):
            raise AssertionError("custom code was run")

    return Sampling


def encoder_of(keras, x, names=("z_mean", "z_log_var")):
    hidden = keras.layers.Dense(5, activation="relu")(keras.layers.Flatten()(x))
    return [keras.layers.Dense(3, name=name)(hidden) for name in names]


def decoded_from(keras, z):
    hidden = keras.layers.Dense(5, activation="relu")(z)
    return keras.layers.Reshape((4, 4, 1))(keras.layers.Dense(16, activation="sigmoid")(hidden))


def nested(keras, draw):
    x, z = keras.Input((4, 4, 1)), keras.Input((3,))
    moments = encoder_of(keras, x)
    encoder = keras.Model(x, [*moments, draw(moments)], name="encoder")
    decoder = keras.Model(z, decoded_from(keras, z), name="decoder")
    data = keras.Input((4, 4, 1))
    return keras.Model(data, decoder(encoder(data)[2])), encoder, decoder


def flat(keras, draw):
    x = keras.Input((4, 4, 1))
    moments = encoder_of(keras, x, names=(None, None))
    return keras.Model(x, decoded_from(keras, draw(moments)))


def prepare(folder, decoder, encoder=None, **given):
    folder.mkdir(exist_ok=True)
    models = ExternalModels(decoder=decoder, encoder=encoder, **given)
    assert needs_preparation(models)
    return prepare_models(PreparationRequest(models=models, folder=str(folder)))


def run(path, values):
    return open_model(path).call([values])


X = np.linspace(0, 1, 32, dtype=np.float32).reshape(2, 4, 4, 1)
Z = np.linspace(-2, 2, 6, dtype=np.float32).reshape(2, 3)


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_whole_vae_is_cut_before_its_sampling_layer(tmp_path, flavour, suffix):
    keras = import_flavour(flavour)
    whole, encoder, decoder = nested(keras, sampling_class(keras)(name="draw"))
    path = tmp_path / f"whole{suffix}"
    whole.save(path)
    made = prepare(tmp_path / "made", path, path)
    for index, moment in enumerate(run(made.models.encoder, X)):
        np.testing.assert_array_equal(moment, encoder(X)[index])
    np.testing.assert_array_equal(run(made.models.decoder, Z)[0], decoder(Z))
    (picture,) = made.found
    assert "z_mean [3], z_log_var [3] -> draw (Sampling, left out) -> z [3] -> [decoder] ->" in picture
    assert made.facts["decoder source"] == path.name
    # Each may be given alone, too.
    alone = prepare(tmp_path / "alone", path)
    np.testing.assert_array_equal(run(alone.models.decoder, Z)[0], decoder(Z))
    # What is exported again goes on where an unfinished export stopped, which the bytes of its models decide.
    again = prepare(tmp_path / "again", path, path)
    assert again.models.encoder.read_bytes() == made.models.encoder.read_bytes()


@pytest.mark.parametrize(
    ("names", "is_doubted"),
    [(("mu", "lv"), True), (("z_mean", None), True), ((None, "z_log_var"), True), (("z_mean", "z_log_var"), False)],
)
def test_one_name_says_what_the_other_moment_is(tmp_path, names, is_doubted):
    keras = import_flavour(Flavour.KERAS3)
    x = keras.Input((6,), name="x")
    moments = [keras.layers.Dense(3, name=name)(x) for name in names]
    z = sampling_class(keras)(name="draw")(moments)
    path = tmp_path / "whole.keras"
    keras.Model(x, keras.layers.Dense(6)(z)).save(path)
    made = prepare(tmp_path / "made", path, path)
    assert made.models.encoder_outputs == ((Role.MEAN, Role.LOG_VAR) if is_doubted else None)
    assert ["were assumed to be the mean and the log-variance" in it for it in made.doubts] == [True] * is_doubted


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_flat_vae_with_a_lambda_is_cut_and_the_roles_are_doubted(tmp_path, flavour):
    keras = import_flavour(flavour)
    draw = keras.layers.Lambda(lambda given: given[0] + given[1], output_shape=(3,), name="draw")
    flat(keras, draw).save(tmp_path / "flat.keras")
    made = prepare(tmp_path / "made", tmp_path / "flat.keras", tmp_path / "flat.keras")
    assert made.models.encoder_outputs == (Role.MEAN, Role.LOG_VAR)
    assert "'draw' draws from, were assumed to be the mean and the log-variance" in made.doubts[0]
    named = {"encoder_outputs": (Role.MEAN, Role.STD)}
    made = prepare(tmp_path / "made", tmp_path / "flat.keras", tmp_path / "flat.keras", **named)
    assert made.models.encoder_outputs == (Role.MEAN, Role.STD)
    assert made.doubts == ()


def test_sampling_in_operations_is_found_by_what_they_do(tmp_path):
    keras = import_flavour(Flavour.KERAS2)
    import tensorflow as tf

    def draw(moments):
        noise = tf.random.normal(tf.shape(moments[0]))
        return moments[0] + tf.exp(0.5 * moments[1]) * noise

    path = tmp_path / "operations.keras"
    flat(keras, draw).save(path)
    made = prepare(tmp_path / "made", path, path)
    assert made.models.encoder_outputs == (Role.MEAN, Role.LOG_VAR)
    assert "TFOpLambda" in made.found[0]
    assert made.doubts == ()
    assert len(run(made.models.encoder, X)) == 2


def test_the_parts_of_a_class_of_one_s_own(tmp_path):
    keras = import_flavour(Flavour.KERAS3)
    _, encoder, decoder = nested(keras, sampling_class(keras)())

    class Whole(keras.Model):
        def __init__(self, first, second):
            super().__init__()
            self.first, self.second = first, second

        def call(self, x):
            return self.second(self.first(x)[0])

        def get_config(self):
            return {name: keras.saving.serialize_keras_object(getattr(self, name)) for name in ("first", "second")}

    whole = Whole(encoder, decoder)
    whole.build((None, 4, 4, 1))
    whole.save(tmp_path / "whole.keras")
    made = prepare(tmp_path / "made", tmp_path / "whole.keras", tmp_path / "whole.keras")
    np.testing.assert_array_equal(run(made.models.decoder, Z)[0], decoder(Z))
    np.testing.assert_array_equal(run(made.models.encoder, X)[1], encoder(X)[1])
    assert made.facts["decoder taken from it"] == "its part 'second'"


def test_a_plain_autoencoder_needs_its_latent_named(tmp_path):
    keras = import_flavour(Flavour.KERAS3)
    x = keras.Input((4, 4, 1))
    z = keras.layers.Dense(3, name="code")(keras.layers.Flatten()(x))
    keras.Model(x, decoded_from(keras, z)).save(tmp_path / "auto.keras")
    both = tmp_path / "auto.keras", tmp_path / "auto.keras"
    with pytest.raises(ExportError, match=r"its latent is not known: .* --latent-layer code \(its narrowest\)"):
        prepare(tmp_path / "made", *both)
    with pytest.raises(ExportError, match="--latent-layer must name a layer of the model, got 'cod'"):
        prepare(tmp_path / "made", *both, latent_layer="cod")
    made = prepare(tmp_path / "made", *both, latent_layer="code")
    assert open_model(made.models.decoder).inputs[0].shape == (None, 3)


def test_a_decoder_that_is_a_custom_layer_is_not_taken_for_a_whole_vae(tmp_path):
    keras = import_flavour(Flavour.KERAS3)

    class Upsampler(keras.layers.Layer):
        def call(self, z):
            return keras.ops.repeat(keras.ops.repeat(z, 2, axis=1), 2, axis=2)

    z = keras.Input((4, 4, 1))
    keras.Model(z, Upsampler(name="decoder")(z)).save(tmp_path / "decoder.keras")
    with pytest.raises(ExportError, match=r"needs custom code \(Upsampler\): give .* defines it with --custom-code"):
        prepare(tmp_path / "made", tmp_path / "decoder.keras")


@pytest.mark.parametrize("stated", [None, (Role.Z, Role.Z)])
def test_a_decoder_with_an_input_as_large_as_its_output_is_no_whole_vae(tmp_path, stated):
    keras = import_flavour(Flavour.KERAS3)
    z, skip = keras.Input((3,), name="z"), keras.Input((4, 4, 1), name="skip")
    keras.Model([z, skip], keras.layers.Add()([decoded_from(keras, z), skip])).save(tmp_path / "decoder.keras")
    models = ExternalModels(decoder=tmp_path / "decoder.keras", decoder_inputs=stated)
    found = prepare_models(PreparationRequest(models=models, folder=str(tmp_path)))
    assert found.models.decoder == tmp_path / "decoder.keras"
    assert found.found == ()


def test_what_is_no_whole_vae_is_refused_as_one(tmp_path):
    keras = import_flavour(Flavour.KERAS3)
    z = keras.Input((3,))
    decoder = keras.Model(z, decoded_from(keras, z))
    decoder.save(tmp_path / "decoder.keras")
    decoder.export(tmp_path / "saved", verbose=False)
    for name, message in (
        ("decoder.keras", r"is not a whole VAE: it makes \[4, 4, 1\] of \[3\]; pass a decoder with --decoder"),
        (
            "saved",
            r"is a SavedModel, of which encoder and decoder cannot be told apart: save each.*--decoder-signature",
        ),
    ):
        with pytest.raises(ExportError, match=message):
            prepare(tmp_path, tmp_path / name, tmp_path / name)


def test_a_class_that_no_file_defines_is_asked_for_as_code(tmp_path):
    keras = import_flavour(Flavour.KERAS3)

    class Whole(keras.Model):
        def __init__(self):
            super().__init__()
            self.decode = keras.layers.Dense(4)

        def call(self, x):
            return self.decode(x)

    model = Whole()
    model(keras.ops.ones((1, 4)))
    path = tmp_path / "whole.keras"
    model.save(path)
    with pytest.raises(
        ExportError, match=r"custom code \(Whole\): give the Python code that defines it with --custom-code"
    ):
        prepare(tmp_path, path, path)
    # The same option is not suggested again, and no sentence is cut.
    with pytest.raises(
        ExportError, match=r"does not hold the code of its classes: .*--code FILE.py:build_decoder \(.*\.\)$"
    ):
        prepare(tmp_path, path, path, code=CustomCode(allowed=True))
    (tmp_path / "code.py").write_text("class Other: pass\n")
    with pytest.raises(ExportError, match=r"code.py does not define all of it: define them in a file of Python"):
        prepare(tmp_path, path, path, code=CustomCode(allowed=True, file=str(tmp_path / "code.py")))


def test_a_decoder_that_reads_the_encoder_s_input_is_refused(tmp_path):
    keras = import_flavour(Flavour.KERAS3)
    x = keras.Input((4, 4, 1))
    z = keras.layers.Lambda(lambda given: given[0], output_shape=(3,), name="draw")(encoder_of(keras, x))
    keras.Model(x, keras.layers.Add()([decoded_from(keras, z), x])).save(tmp_path / "skip.keras")
    with pytest.raises(ExportError, match="the decoder also reads the encoder's input .* past 'draw'"):
        prepare(tmp_path / "made", tmp_path / "skip.keras", tmp_path / "skip.keras")


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_custom_layers_that_are_exported_still_need_leave(tmp_path, flavour):
    keras = import_flavour(flavour)
    z = keras.Input((3,))
    doubled = keras.layers.Lambda(lambda given: given * 2.0, output_shape=(3,))(z)
    for suffix in (".keras", ".h5"):
        path = tmp_path / f"decoder{suffix}"
        keras.Model(z, decoded_from(keras, doubled)).save(path)
        with pytest.raises(ExportError, match=r"decoder\S* needs custom code \(Lambda\): pass --allow-custom-code"):
            prepare(tmp_path / "made", path)
        made = prepare(tmp_path / "made", path, code=CustomCode(allowed=True))
        assert made.models.decoder == path


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("policy", ["mixed_float16", "float64"])
def test_other_types_become_float32_with_the_same_weights(tmp_path, flavour, policy):
    keras = import_flavour(flavour)
    keras.mixed_precision.set_global_policy(policy)
    try:
        z = keras.Input((3,))
        model = keras.Model(z, decoded_from(keras, z))
        model.save(tmp_path / "half.keras")
    finally:
        keras.mixed_precision.set_global_policy("float32")
    made = prepare(tmp_path / "made", tmp_path / "half.keras")
    plain = load_model(made.models.decoder, flavour)
    assert {str(getattr(weight.dtype, "name", weight.dtype)) for weight in plain.weights} == {"float32"}
    np.testing.assert_allclose(plain(Z), np.asarray(model(Z)), atol=2e-3)
    assert made.facts["decoder taken from it"] == f"cast from {policy} to float32"


def test_encoders_of_other_pixels_take_the_images_of_their_decoder(tmp_path):
    keras = import_flavour(Flavour.KERAS3)
    layers = keras.layers
    z = keras.Input((3,))
    keras.Model(z, decoded_from(keras, z)).save(tmp_path / "decoder.keras")
    for name, x, front in (
        ("resizing", keras.Input((9, 9, 1)), [layers.Resizing(4, 4)]),
        ("any_size", keras.Input((None, None, 1)), [layers.Resizing(4, 4)]),
        ("uint8", keras.Input((4, 4, 1), dtype="uint8"), [layers.Rescaling(1 / 255)]),
        ("pixels", keras.Input((4, 4, 1)), [layers.RandomFlip(), layers.Rescaling(1 / 127.5, -1)]),
    ):
        y = x
        for layer in front:
            y = layer(y)
        encoder = keras.Model(x, encoder_of(keras, y))
        encoder.save(tmp_path / f"{name}.keras")
        made = prepare(tmp_path / "made", tmp_path / "decoder.keras", tmp_path / f"{name}.keras")
        opened = open_model(made.models.encoder)
        assert (opened.inputs[0].shape, opened.inputs[0].dtype) == ((None, 4, 4, 1), "float32")
        if name == "resizing":
            continue
        given = X if name == "any_size" else np.round(255 * X).astype(x.dtype)
        shown = X if name == "any_size" else given.astype(np.float32) / 255
        for ours, theirs in zip(opened.call([shown]), encoder(given, training=False), strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_the_order_of_axes_is_for_onnx_files(tmp_path):
    keras = import_flavour(Flavour.KERAS3)
    z = keras.Input((3,))
    keras.Model(z, decoded_from(keras, z)).save(tmp_path / "decoder.keras")
    models = ExternalModels(decoder=tmp_path / "decoder.keras", data_format=DataFormat.CHANNELS_FIRST)
    assert needs_preparation(models)
    with pytest.raises(ExportError, match="--data-format is for ONNX files: the layers of Keras say where"):
        prepare_models(PreparationRequest(models=models, folder=str(tmp_path)))


def test_what_needs_nothing_is_left_alone(tmp_path):
    assert "tensorflow" in sys.modules
    keras = import_flavour(Flavour.KERAS3)
    z, x = keras.Input((3,)), keras.Input((4, 4, 1))
    keras.Model(z, decoded_from(keras, z)).save(tmp_path / "decoder.keras")
    keras.Model(x, encoder_of(keras, x)).save(tmp_path / "encoder.keras")
    assert not needs_preparation(ExternalModels(decoder=tmp_path / "decoder.keras", encoder=tmp_path / "encoder.keras"))
    assert not needs_preparation(ExternalModels(decoder=tmp_path / "missing.keras"))


def test_weights_alone_go_into_the_model_that_named_code_builds(tmp_path):
    keras = import_flavour(Flavour.KERAS3)
    z = keras.Input((3,))
    model = keras.Model(z, decoded_from(keras, z))
    weights = tmp_path / "decoder.weights.h5"
    model.save_weights(weights)
    with pytest.raises(ExportError, match=r"only holds weights: .* with --code model.py:build_decoder"):
        open_model(weights)
    code = tmp_path / "model.py"
    code.write_text(
        "import keras\n"
        "def build(units=5):\n"
        "    z = keras.Input((3,))\n"
        "    y = keras.layers.Dense(16, 'sigmoid')(keras.layers.Dense(units, 'relu')(z))\n"
        "    return keras.Model(z, keras.layers.Reshape((4, 4, 1))(y))\n"
        "def wrong():\n"
        "    return build(6)\n"
    )
    made = prepare(tmp_path / "made", weights, decoder_code=f"{code}:build")
    np.testing.assert_array_equal(run(made.models.decoder, Z)[0], model(Z))
    for name, message in (
        ("wrong", "do not fit the model of wrong"),
        ("none", "does not define 'none'"),
        ("", "--code must be FILE.py:FUNCTION"),
    ):
        with pytest.raises(ExportError, match=message):
            prepare(tmp_path / "made", weights, decoder_code=f"{code}:{name}")


@pytest.mark.parametrize(("mode", "tolerance"), [("int8", 0.02), ("int4", 0.2)])
def test_what_keras_quantized_is_dequantized(tmp_path, mode, tolerance):
    keras = import_flavour(Flavour.KERAS3)
    z = keras.Input((3,))
    model = keras.Model(z, decoded_from(keras, z))
    exact = np.asarray(model(Z))
    model.quantize(mode)
    model.save(tmp_path / "quantized.keras")
    made = prepare(tmp_path / "made", tmp_path / "quantized.keras")
    (image,) = run(made.models.decoder, Z)
    np.testing.assert_allclose(image, np.asarray(model(Z)), atol=0.02)
    np.testing.assert_allclose(image, exact, atol=tolerance)
    assert made.facts["decoder taken from it"] == f"dequantized from {mode}"


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_channels_come_last_with_the_same_weights(tmp_path, flavour):
    keras = import_flavour(flavour)

    def pair(order, turned):
        layers = keras.layers
        x = keras.Input((2, 4, 4) if turned else (4, 4, 2))
        y = layers.Conv2D(3, 3, strides=2, padding="same", data_format=order)(x)
        y = layers.GlobalAveragePooling2D(data_format=order)(y)
        z = keras.Input((8,))
        w = layers.Reshape((2, 2, 2))(z) if turned else layers.Permute((2, 3, 1))(layers.Reshape((2, 2, 2))(z))
        w = layers.Conv2DTranspose(2, 3, strides=2, padding="same", activation="sigmoid", data_format=order)(w)
        return keras.Model(x, [layers.Dense(8, name="z_mean")(y), layers.Dense(8, name="z_log_var")(y)]), keras.Model(
            z, w
        )

    first, last = pair("channels_first", True), pair("channels_last", False)
    for old, new, name in zip(first, last, ("encoder", "decoder"), strict=True):
        new.set_weights(old.get_weights())
        old.save(tmp_path / f"{name}.keras")
    made = prepare(tmp_path / "made", tmp_path / "decoder.keras", tmp_path / "encoder.keras")
    z, x = np.linspace(-1, 1, 16, dtype=np.float32).reshape(2, 8), np.concatenate([X, 1 - X], axis=-1)
    np.testing.assert_allclose(run(made.models.decoder, z)[0], last[1](z), atol=1e-6)
    np.testing.assert_allclose(run(made.models.encoder, x)[1], last[0](x)[1], atol=1e-6)
