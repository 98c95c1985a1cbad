"""The bundles of int8_contenders.py: `python studies/int8_models.py HOME NAME-OR-RUN` writes `HOME/bundle`.

With the word `train` behind them, the models alone, for int8_whole.py.

Of a run, or of a decoder that pocketvae did not train. Both of these are trained by Keras 3 with `fit` on 8,000 images
of MNIST, with an encoder, as a VAE of Bernoulli pixels: `transposed` has the decoder of Keras's own example of a VAE
(https://keras.io/examples/generative/vae), `normalized` up-samples by nearest neighbours and has batch normalization
and a residual sum. Their files are `HOME/encoder.keras` and `HOME/decoder.keras`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from pocketvae.data.dataset import load_splits
from pocketvae.export import ExportConfig, ExternalModels, export_external_models, export_run, plan_artifacts
from pocketvae.keras.io import import_tensorflow
from pocketvae.spec import Component, Precision

_SIDE = 28
_EPOCHS = 3
_IMAGES = 8000
_BATCH = 64
_SEED = 0
_TIME_LIMIT_S = 1800.0


def transposed() -> tuple[int, Any]:
    """Returns the latent dimensions and the decoder of Keras's example."""
    import keras
    from keras import layers

    z = keras.Input((2,), name="z")
    x = layers.Reshape((7, 7, 64))(layers.Dense(7 * 7 * 64, activation="relu")(z))
    x = layers.Conv2DTranspose(64, 3, activation="relu", strides=2, padding="same")(x)
    x = layers.Conv2DTranspose(32, 3, activation="relu", strides=2, padding="same")(x)
    return 2, keras.Model(z, layers.Conv2DTranspose(1, 3, activation="sigmoid", padding="same")(x))


def normalized() -> tuple[int, Any]:
    """Returns the latent dimensions and a decoder with batch normalization and a residual sum."""
    import keras
    from keras import layers

    def convolved(x: Any, channels: int) -> Any:
        return layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(channels, 3, padding="same", use_bias=False)(x)))

    z = keras.Input((16,), name="z")
    x = layers.Reshape((7, 7, 64))(layers.Dense(7 * 7 * 64, activation="relu")(z))
    x = convolved(layers.UpSampling2D(2)(x), 32)
    x = layers.Add()([x, convolved(x, 32)])
    x = convolved(layers.UpSampling2D(2)(x), 16)
    return 16, keras.Model(z, layers.Conv2D(1, 3, padding="same", activation="sigmoid")(x))


DECODERS: dict[str, Callable[[], tuple[int, Any]]] = {"transposed": transposed, "normalized": normalized}


def main(words: list[str]) -> int:
    """Exports one decoder, which is trained first where it is not a run's."""
    home, name = Path(words[0]), words[1]
    artifacts = plan_artifacts([Component.DECODER], None, [Precision.FLOAT32, Precision.INT8])
    config = ExportConfig(artifacts=artifacts, time_limit_s=_TIME_LIMIT_S)
    if name not in DECODERS:
        export_run(Path(name), home / "bundle", config)
        return 0
    import_tensorflow()
    encoder, decoder = train(DECODERS[name])
    encoder.save(home / "encoder.keras")
    decoder.save(home / "decoder.keras")
    if words[2:] == ["train"]:
        return 0
    export_external_models(ExternalModels(decoder=home / "decoder.keras"), home / "bundle", config, force=True)
    return 0


def train(make: Callable[[], tuple[int, Any]]) -> tuple[Any, Any]:
    """Returns encoder and decoder of a VAE trained on MNIST."""
    import keras
    from keras import layers, ops

    keras.utils.set_random_seed(_SEED)
    latent, decoder = make()
    size = _SIDE * _SIDE

    class Posterior(layers.Layer):  # type: ignore[misc]
        """Draws a latent; its loss is the KL divergence for each pixel."""

        def call(self, inputs: Any) -> Any:
            mean, log_var = inputs
            kl = -0.5 * ops.sum(1 + log_var - ops.square(mean) - ops.exp(log_var), axis=-1)
            self.add_loss(ops.mean(kl) / size)
            return mean + ops.exp(0.5 * log_var) * keras.random.normal(ops.shape(mean))

    x = keras.Input((_SIDE, _SIDE, 1))
    h = layers.Conv2D(32, 3, activation="relu", strides=2, padding="same")(x)
    h = layers.Conv2D(64, 3, activation="relu", strides=2, padding="same")(h)
    h = layers.Dense(64, activation="relu")(layers.Flatten()(h))
    posterior = [layers.Dense(latent, name=name)(h) for name in ("z_mean", "z_log_var")]
    z = Posterior()(posterior)
    vae = keras.Model(x, decoder(z))
    vae.compile(keras.optimizers.Adam(1e-3), loss="binary_crossentropy")
    images = np.asarray(load_splits("mnist").train.images[:_IMAGES], np.float32).reshape(-1, _SIDE, _SIDE, 1) / 255
    vae.fit(images, images, batch_size=_BATCH, epochs=_EPOCHS, verbose=2)
    return keras.Model(x, posterior), decoder


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
