"""Writes tiny decoders of several outputs: `python tests/output_models.py keras2|keras3 FOLDER`.

A process of its own for each flavour, as for tests/external_models.py.
"""

import sys
from pathlib import Path

from external_models import spread


def trunk(keras):
    """Features of 4x4 and of 8x8 of a latent of three dimensions."""
    layers = keras.layers
    z = keras.Input((3,), name="z")
    small = layers.Reshape((4, 4, 8))(layers.Dense(128, activation="relu")(z))
    large = layers.Conv2DTranspose(8, 3, strides=2, padding="same", activation="relu")(small)
    return z, small, large


def image(keras, features, name, activation="sigmoid"):
    return keras.layers.Conv2D(1, 3, padding="same", activation=activation, name=name)(features)


def noise(keras):
    """The mean of an image with the log-variance of each of its pixels, which comes first."""
    z, _, large = trunk(keras)
    return spread(keras.Model(z, [image(keras, large, "x_log_var", None), image(keras, large, "x_mean")]))


def scales(keras):
    """One image at two scales, in a dict whose order is that of its keys."""
    z, small, large = trunk(keras)
    return spread(keras.Model(z, {"b_half": image(keras, small, "h"), "c_full": image(keras, large, "f", "tanh")}))


def heads(keras):
    """An image, logits of five classes, one number and an output that only repeats another."""
    z, small, large = trunk(keras)
    layers = keras.layers
    classes = layers.Dense(5, name="digit_logits")(layers.Flatten()(small))
    number = layers.Dense(1, name="slant")(z)
    picture = image(keras, large, "picture")
    return spread(keras.Model(z, [classes, picture, number, layers.Activation("linear", name="again")(picture)]))


def encoder(keras):
    layers = keras.layers
    x = keras.Input((8, 8, 1), name="x")
    y = layers.Flatten()(layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")(x))
    return spread(keras.Model(x, [layers.Dense(3, name="z_mean")(y), layers.Dense(3, name="z_log_var")(y)], name="e"))


def whole(keras, decoder):
    """A VAE with nested parts, a sampling layer, and both outputs of its decoder."""
    layers = keras.layers
    x = keras.Input((8, 8, 1), name="picture")
    z_mean, z_log_var = encoder(keras)(x)

    def draw(moments):
        import tensorflow as tf

        return moments[0] + tf.exp(0.5 * moments[1]) * tf.random.normal(tf.shape(moments[0]))

    z = layers.Lambda(draw, output_shape=(3,), name="sampling")([z_mean, z_log_var])
    return keras.Model(x, [*decoder(z), z_mean, z_log_var])


def main():
    flavour, folder = sys.argv[1], Path(sys.argv[2])
    folder.mkdir(parents=True)
    if flavour == "keras2":
        import tf_keras as keras
    else:
        import keras
    for model in (noise, scales, heads):
        model(keras).save(folder / f"{model.__name__}.keras")
    encoder(keras).save(folder / "encoder.keras")
    whole(keras, noise(keras)).save(folder / "whole.keras")
    if flavour == "keras3":
        noise(keras).export(folder / "noise_saved", verbose=False)


if __name__ == "__main__":
    main()
