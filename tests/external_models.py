"""Writes tiny models as other people save them: `python tests/external_models.py keras2|keras3 FOLDER`.

A process of its own for each flavour, so that neither sees the other. Nothing is trained; the weights are random and
wide enough that outputs differ from pixel to pixel.
"""

import os
import sys
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
os.environ["KERAS_BACKEND"] = "tensorflow"

import numpy as np
import tensorflow as tf

CUSTOM_CODE = """
import {keras}
import tensorflow as tf


class Sampling({keras}.layers.Layer):
    def call(self, inputs):
        z_mean, z_log_var = inputs
        return z_mean + tf.exp(0.5 * z_log_var) * tf.random.normal(tf.shape(z_mean))
"""


def spread(model, seed=0):
    """Gives every weight a value that matters, BatchNormalization's statistics among them."""
    rng = np.random.default_rng(seed)
    weights = []
    for weight in model.get_weights():
        fan_in = max(1, int(np.prod(weight.shape[:-1])))
        drawn = rng.normal(size=weight.shape)
        # Scales and variances of BatchNormalization, which begin as ones, stay positive.
        small = np.abs(0.1 * drawn) + 0.5 * (weight > 0)
        weights.append((drawn * np.sqrt(2 / fan_in) if weight.ndim > 1 else small).astype(weight.dtype))
    model.set_weights(weights)
    return model


def example_decoder(keras, *, kernel=3, final="sigmoid", side=8, channels=1, norm=False, upsample=False):
    """The decoder of Keras' own VAE example, smaller."""
    layers = keras.layers
    z = keras.Input((3,), name="z_sampling")
    x = layers.Dense(side // 4 * side // 4 * 8, activation="relu")(z)
    x = layers.Reshape((side // 4, side // 4, 8))(x)
    for filters in (8, 4):
        if upsample:
            x = layers.UpSampling2D(2)(x)
            x = layers.Conv2D(filters, kernel, padding="same", use_bias=not norm)(x)
        else:
            x = layers.Conv2DTranspose(filters, kernel, strides=2, padding="same", use_bias=not norm)(x)
        if norm:
            x = layers.BatchNormalization()(x)
        x = layers.Activation("relu")(x)
    image = layers.Conv2DTranspose(channels, 3, activation=final, padding="same")(x)
    return spread(keras.Model(z, image, name="decoder"))


def example_encoder(
    keras, *, order=("mean", "log_var"), sampling=None, side=8, names=("z_mean", "z_log_var"), last="linear"
):
    """The encoder of Keras' own VAE example, smaller."""
    layers = keras.layers
    x = keras.Input((side, side, 1))
    y = layers.Conv2D(4, 3, activation="relu", strides=2, padding="same")(x)
    y = layers.Dense(8, activation="relu")(layers.Flatten()(y))
    made = {"mean": layers.Dense(3, name=names[0])(y), "log_var": layers.Dense(3, name=names[1], activation=last)(y)}
    outputs = [made[name] for name in order]
    if sampling is not None:
        outputs.append(sampling([made["mean"], made["log_var"]]))
    return spread(keras.Model(x, outputs, name="encoder"), seed=1)


def mlp(keras, *, pixels=784, final="sigmoid"):
    """A decoder and an encoder of flat images."""
    layers = keras.layers
    z = keras.Input((3,))
    decoder = keras.Model(z, layers.Dense(pixels, activation=final)(layers.Dense(16, activation="tanh")(z)))
    x = keras.Input((pixels,))
    y = layers.Dense(16, activation="relu")(x)
    encoder = keras.Model(x, {"mu": layers.Dense(3)(y), "logvar": layers.Dense(3)(y)})
    return spread(decoder), spread(encoder, seed=1)


def conditional(keras, *, shape):
    """A decoder that takes a label first, and an encoder that takes it last."""
    layers = keras.layers
    z, label = keras.Input((3,), name="latent"), keras.Input(shape, dtype="int32", name="digit")
    embedded = layers.Flatten()(layers.Embedding(5, 3)(label))
    y = layers.Dense(16, activation="relu")(layers.Concatenate()([z, embedded]))
    decoder = keras.Model([label, z], layers.Reshape((4, 4, 1))(layers.Dense(16, activation="sigmoid")(y)))
    x, label = keras.Input((4, 4, 1), name="image"), keras.Input(shape, dtype="int32", name="digit")
    embedded = layers.Flatten()(layers.Embedding(5, 3)(label))
    y = layers.Dense(16, activation="relu")(layers.Concatenate()([layers.Flatten()(x), embedded]))
    encoder = keras.Model([x, label], [layers.Dense(3, name="log_variance")(y), layers.Dense(3, name="mean")(y)])
    return spread(decoder), spread(encoder, seed=1)


def conditions(keras):
    """A decoder of a label and real numbers, and an encoder that takes the label as planes beside the image."""
    layers = keras.layers
    pose, digit, z = keras.Input((2,), name="pose"), keras.Input((), dtype="uint8", name="digit"), keras.Input((3,))
    y = layers.Dense(16, activation="relu")(layers.Concatenate()([z, layers.Embedding(5, 3)(digit), pose]))
    image = layers.Reshape((4, 4, 1))(layers.Dense(16, activation="sigmoid")(y))
    decoder = keras.Model([pose, digit, z], image)
    x, digit, pose = keras.Input((4, 4, 1)), keras.Input((4, 4, 5), name="digit"), keras.Input((2,), name="pose")
    y = layers.Flatten()(layers.Conv2D(4, 3, activation="relu")(layers.Concatenate()([x, digit])))
    y = layers.Dense(16, activation="relu")(layers.Concatenate()([y, pose]))
    encoder = keras.Model([x, digit, pose], [layers.Dense(3, name="mean")(y), layers.Dense(3, name="log_var")(y)])
    return spread(decoder), spread(encoder, seed=1)


def codes(keras):
    """A decoder of integer codes in 16 places, of which there are 5."""
    layers = keras.layers
    z = keras.Input((4, 4), dtype="int32", name="codes")
    y = layers.Conv2D(8, 3, padding="same", activation="relu")(layers.Embedding(5, 6)(z))
    return spread(keras.Model(z, layers.Conv2D(1, 3, padding="same", activation="sigmoid")(y)))


def code_encoder(keras):
    """The encoder of such codes: the nearest of 5 vectors in each place."""
    layers, ops = keras.layers, keras.ops
    codebook = np.random.default_rng(1).normal(size=(6, 5)).astype(np.float32)
    x = keras.Input((4, 4, 1))
    y = layers.Conv2D(6, 3, padding="same")(x)
    distances = ops.sum(y * y, axis=-1, keepdims=True) + (codebook**2).sum(axis=0) - 2 * ops.matmul(y, codebook)
    return spread(keras.Model(x, ops.argmin(distances, axis=-1)))


def mixed(keras):
    """A decoder of 4 codes out of 5 and of 3 real numbers, and for Keras 3 an encoder of both."""
    layers = keras.layers
    codes, style = keras.Input((2, 2), dtype="int32", name="codes"), keras.Input((3,), name="style_z")
    both = [layers.UpSampling2D(2)(layers.Embedding(5, 6)(codes)), layers.Reshape((4, 4, 2))(layers.Dense(32)(style))]
    y = layers.Conv2D(8, 3, padding="same", activation="relu")(layers.Concatenate()(both))
    decoder = spread(keras.Model([codes, style], layers.Conv2D(1, 3, padding="same", activation="sigmoid")(y)))
    x = keras.Input((4, 4, 1))
    if not hasattr(keras, "ops"):
        return decoder, spread(keras.Model(x, layers.Flatten()(x)))
    found = keras.ops.argmax(layers.Conv2D(5, 2, 2, name="to_codes")(x), axis=-1)
    y = layers.Dense(8, activation="relu")(layers.Flatten()(x))
    moments = [layers.Dense(3, name="mean")(y), layers.Dense(3, name="log_var")(y)]
    return decoder, spread(keras.Model(x, [moments[0], found, moments[1]]))


def diffusion(keras):
    """Decoder and encoder in the form of Stable Diffusion's: group normalization, SiLU, attention in the middle."""
    layers = keras.layers

    def normalized(x):
        return layers.Activation("silu")(layers.GroupNormalization(4)(x))

    def convolved(x, channels, **options):
        return layers.Conv2D(channels, 3, padding="same", **options)(x)

    def block(x, channels):
        y = convolved(normalized(convolved(normalized(x), channels)), channels)
        return layers.Add()([x if x.shape[-1] == channels else layers.Conv2D(channels, 1)(x), y])

    def attended(x):
        row = layers.Reshape((-1, x.shape[-1]))(layers.GroupNormalization(4)(x))
        return layers.Add()([x, layers.Reshape(x.shape[1:])(layers.MultiHeadAttention(1, x.shape[-1])(row, row))])

    z = keras.Input((4, 4, 4), name="z")
    y = block(attended(block(convolved(z, 16), 16)), 16)
    y = block(convolved(layers.UpSampling2D(2)(y), 8), 8)
    decoder = keras.Model(z, convolved(normalized(y), 3))
    x = keras.Input((8, 8, 3), name="x")
    y = block(convolved(block(convolved(x, 8), 8), 16, strides=2), 16)
    return spread(decoder), spread(keras.Model(x, convolved(normalized(attended(y)), 8)), seed=1)


def taesd(keras):
    """A decoder in the form of the tiny one for Stable Diffusion's latents: a clamp by tanh, blocks with ReLU."""
    layers = keras.layers

    def block(x):
        y = x
        for activation in ("relu", "relu", None):
            y = layers.Conv2D(8, 3, padding="same", activation=activation)(y)
        return layers.ReLU()(layers.Add()([x, y]))

    z = keras.Input((4, 4, 4), name="z")
    y = layers.Rescaling(3.0)(layers.Activation("tanh")(layers.Rescaling(1 / 3)(z)))
    y = block(layers.Conv2D(8, 3, padding="same", activation="relu")(y))
    y = block(layers.Conv2D(8, 3, padding="same", use_bias=False)(layers.UpSampling2D(2)(y)))
    return spread(keras.Model(z, layers.Conv2D(3, 3, padding="same")(y)))


def grids(keras):
    """A decoder of two grids of codes, 5 and 9 of them, and for Keras 3 an encoder that returns both."""
    layers = keras.layers
    top = keras.Input((2, 2), dtype="int32", name="top")
    bottom = keras.Input((4, 4), dtype="int32", name="bottom")
    both = [layers.UpSampling2D(2)(layers.Embedding(5, 6)(top)), layers.Embedding(9, 6)(bottom)]
    y = layers.Conv2D(1, 3, padding="same", activation="sigmoid")(layers.Concatenate()(both))
    decoder = spread(keras.Model([top, bottom], y))
    x = keras.Input((4, 4, 1))
    if not hasattr(keras, "ops"):
        return decoder, spread(keras.Model(x, layers.Flatten()(x)))
    found = [layers.Conv2D(5, 2, 2, name="to_top")(x), layers.Conv2D(9, 1, name="to_bottom")(x)]
    return decoder, spread(keras.Model(x, [keras.ops.argmax(values, axis=-1) for values in found]))


def levels(keras):
    """A decoder of two latents, a vector and a spatial one, and an encoder with the means of both first."""
    layers = keras.layers
    top, bottom = keras.Input((3,), name="z_top"), keras.Input((2, 2, 2), name="z_bottom")
    y = layers.Concatenate()([layers.Reshape((2, 2, 2))(layers.Dense(8, activation="relu")(top)), bottom])
    y = layers.Conv2DTranspose(8, 3, strides=2, padding="same", activation="relu")(y)
    decoder = keras.Model([top, bottom], layers.Conv2D(1, 3, padding="same", activation="sigmoid")(y))
    x = keras.Input((4, 4, 1))
    y = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(x)
    flat = layers.Flatten()(y)
    means = [layers.Dense(3, name="mean")(flat), layers.Conv2D(2, 3, padding="same", name="mean_1")(y)]
    variances = [layers.Dense(3, name="log_var")(flat), layers.Conv2D(2, 3, padding="same", name="log_var_1")(y)]
    return spread(decoder), spread(keras.Model(x, [*means, *variances]), seed=1)


def with_label_inside(keras):
    """A decoder and an encoder whose only input ends in a one-hot label."""
    layers = keras.layers
    z = keras.Input((8,), name="z_and_y")
    decoder = keras.Model(z, layers.Reshape((4, 4, 1))(layers.Dense(16, activation="sigmoid")(z)))
    x = keras.Input((4, 4, 6), name="x_and_y")
    y = layers.Dense(16, activation="relu")(layers.Flatten()(x))
    encoder = keras.Model(x, [layers.Dense(3, name="mean")(y), layers.Dense(3, name="log_var")(y)])
    return spread(decoder), spread(encoder, seed=1)


def one_hot(keras):
    """A decoder that takes a one-hot label last, and an encoder of flat images that takes it first."""
    layers = keras.layers
    z, label = keras.Input((3,), name="z"), keras.Input((5,), name="label")
    decoder = keras.Model([z, label], layers.Dense(16, activation="sigmoid")(layers.Concatenate()([z, label])))
    label, x = keras.Input((5,), name="label"), keras.Input((16,), name="x")
    y = layers.Dense(16, activation="relu")(layers.Concatenate()([label, x]))
    encoder = keras.Model([label, x], [layers.Dense(3, name="mean")(y), layers.Dense(3, name="log_var")(y)])
    return spread(decoder), spread(encoder, seed=1)


def joined_encoder(keras):
    """Mean and log-variance in one tensor, as in TensorFlow's own tutorial."""
    layers = keras.layers
    x = keras.Input((8, 8, 1))
    return spread(keras.Model(x, layers.Dense(6)(layers.Flatten()(x))), seed=1)


def spatial(keras):
    """A decoder of a latent `[2, 2, 3]`, and an encoder that returns mean and log-variance in one tensor."""
    layers = keras.layers
    z = keras.Input((2, 2, 3), name="z")
    y = layers.Conv2D(8, 3, padding="same", activation="relu")(z)
    y = layers.Conv2DTranspose(4, 4, strides=4, padding="same", activation="relu")(y)
    decoder = keras.Model(z, layers.Conv2D(1, 3, padding="same", activation="sigmoid")(y))
    x = keras.Input((8, 8, 1))
    y = layers.Conv2D(4, 4, strides=4, padding="same", activation="relu")(x)
    return spread(decoder), spread(keras.Model(x, layers.Conv2D(6, 1, name="moments")(y)), seed=1)


def sequences(keras):
    """A decoder and an encoder of sequences `[16, 2]`."""
    layers = keras.layers
    z = keras.Input((3,))
    y = layers.Reshape((8, 4))(layers.Dense(32, activation="relu")(z))
    decoder = keras.Model(z, layers.Conv1DTranspose(2, 5, strides=2, padding="same")(y))
    x = keras.Input((16, 2))
    y = layers.Flatten()(layers.Conv1D(4, 3, strides=2, padding="same", activation="relu")(x))
    return spread(decoder), spread(
        keras.Model(x, [layers.Dense(3, name="mean")(y), layers.Dense(3, name="log_var")(y)])
    )


def misfits(keras):
    """Decoders that cannot be exported, by name."""
    layers = keras.layers
    z, fixed, unknown = keras.Input((3,)), keras.Input(batch_shape=(2, 3)), keras.Input((None,))
    nan = keras.Model(z, layers.Dense(16)(z))
    nan.set_weights([np.full(weight.shape, np.nan, np.float32) for weight in nan.get_weights()])
    return {
        "nan": nan,
        "fixed": keras.Model(fixed, layers.Dense(16)(fixed)),
        "open": keras.Model(unknown, layers.Activation("sigmoid")(unknown)),
        "rank": keras.Model(z, layers.Reshape((2, 1, 2, 2, 2))(layers.Dense(16)(z))),
        "two": keras.Model(z, [layers.Dense(16)(z), layers.Dense(16)(z)]),
    }


def shuffling_decoder(keras):
    """Depth-to-space spelled with standard layers."""
    layers = keras.layers
    z = keras.Input((3,))
    x = layers.Reshape((4, 4, 8))(layers.Dense(128, activation="relu")(z))
    x = layers.Reshape((4, 4, 2, 2, 2))(x)
    x = layers.Permute((1, 3, 2, 4, 5))(x)
    x = layers.Reshape((8, 8, 2))(x)
    return spread(keras.Model(z, layers.Conv2D(1, 3, padding="same", activation="sigmoid")(x)))


class Subclassed(tf.Module):
    """A VAE as a class, without Keras' functional models."""

    def __init__(self):
        super().__init__()
        rng = np.random.default_rng(0)
        self.w = tf.Variable(rng.normal(size=(3, 16)).astype(np.float32))
        self.v = tf.Variable(rng.normal(size=(16, 6)).astype(np.float32) / 4)

    @tf.function(input_signature=[tf.TensorSpec((None, 3), tf.float32, name="z")])
    def decode(self, z):
        return {"pixels": tf.reshape(tf.sigmoid(z @ self.w), (-1, 4, 4, 1))}

    @tf.function(input_signature=[tf.TensorSpec((None, 4, 4, 1), tf.float32, name="x")])
    def encode(self, x):
        mean, log_var = tf.split(tf.reshape(x, (-1, 16)) @ self.v, 2, axis=1)
        return {"z": mean + tf.exp(log_var / 2) * tf.random.normal(tf.shape(mean)), "mu": mean, "log_var": log_var}

    @tf.function(input_signature=[tf.TensorSpec((None, 3), tf.float32, name="z")])
    def noisy(self, z):
        return {"pixels": tf.reshape(tf.sigmoid(z @ self.w + tf.random.normal((16,))), (-1, 4, 4, 1))}


def write_saved_models(folder):
    vae = Subclassed()
    tf.saved_model.save(vae, folder / "decoder", signatures={"serving_default": vae.decode})
    tf.saved_model.save(vae, folder / "encoder", signatures={"encode": vae.encode})
    tf.saved_model.save(vae, folder / "noisy", signatures=vae.noisy)
    tf.saved_model.save(vae, folder / "several", signatures={"a": vae.encode, "b": vae.decode})


def write_families(keras, folder, suffix):
    for name, model in {
        "example": example_decoder(keras),
        "bn": example_decoder(keras, kernel=4, norm=True),
        "k2": example_decoder(keras, kernel=2),
        "k5": example_decoder(keras, kernel=5, final="tanh"),
        "upsample": example_decoder(keras, upsample=True, final="linear"),
        "rgb64": example_decoder(keras, side=64, channels=3, kernel=4),
        "rgb128": example_decoder(keras, side=128, channels=3, kernel=4),
        "shuffle": shuffling_decoder(keras),
        "encoder": example_encoder(keras, order=("log_var", "mean")),
        "vague": example_encoder(keras, names=("first", "second")),
        "sigma": example_encoder(keras, names=("mean", "sigma"), last="softplus"),
        "small_encoder": example_encoder(keras, side=4),
        "joined_encoder": joined_encoder(keras),
        "codes": codes(keras),
        **misfits(keras),
    }.items():
        model.save(folder / f"{name}{suffix}")
    for name, pair in {
        "mlp": mlp(keras),
        "spatial": spatial(keras),
        "sequence": sequences(keras),
        "odd": mlp(keras, pixels=24),
        "conditional": conditional(keras, shape=()),
        "column": conditional(keras, shape=(1,)),
        "one_hot": one_hot(keras),
        "conditions": conditions(keras),
        "levels": levels(keras),
        "grids": grids(keras),
        "mixed": mixed(keras),
        "label_inside": with_label_inside(keras),
    }.items():
        pair[0].save(folder / f"{name}_decoder{suffix}")
        pair[1].save(folder / f"{name}_encoder{suffix}")


def write_custom(keras, folder, name):
    layers = keras.layers

    class Sampling(layers.Layer):
        def call(self, inputs):
            z_mean, z_log_var = inputs
            return z_mean + tf.exp(0.5 * z_log_var) * tf.random.normal(tf.shape(z_mean))

    (folder / "sampling.py").write_text(CUSTOM_CODE.format(keras=name))
    example_encoder(keras, sampling=Sampling(name="z")).save(folder / "sampling.keras")
    example_encoder(keras, sampling=Sampling(name="z")).save(folder / "sampling.h5")
    z = keras.Input((3,))
    x = layers.Lambda(lambda t: t * 2.0)(layers.Dense(16, activation="sigmoid")(z))
    for suffix in (".keras", ".h5"):
        keras.Model(z, layers.Reshape((4, 4, 1))(x)).save(folder / f"lambda{suffix}")


def main():
    flavour, folder = sys.argv[1], Path(sys.argv[2])
    folder.mkdir(parents=True)
    if flavour == "keras2":
        import tf_keras as keras

        write_saved_models(folder)
        example_decoder(keras).save(folder / "example.h5")
    else:
        import keras

        code_encoder(keras).save(folder / "code_encoder.keras")
        for part, model in zip(("decoder", "encoder"), diffusion(keras), strict=True):
            model.save(folder / f"diffusion_{part}.keras")
        taesd(keras).save(folder / "taesd.keras")
        example_decoder(keras).save(folder / "example.h5")
        example_decoder(keras).export(folder / "exported")
        example_encoder(keras).export(folder / "exported_encoder")
    write_families(keras, folder, ".keras")
    write_custom(keras, folder, keras.__name__)


if __name__ == "__main__":
    main()
