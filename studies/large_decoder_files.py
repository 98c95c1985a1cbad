"""The files of large_decoders.py: `python studies/large_decoder_files.py FOLDER NAME,...` writes them.

Both decoders map a latent of 32x32x4 to an image of 256x256x3. `taesd` has the form of the tiny decoder of Stable
Diffusion's latents (https://github.com/madebyollin/taesd): 64 channels throughout, blocks of three convolutions with
ReLU. `normed` has the form of the large one: residual blocks with group normalization and SiLU. For each: its latent
and image, a Keras 3 model, the stock conversions to TFLite and ONNX, and a bundle of `pocketvae export`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from latency_files import write_all, write_conversions

from pocketvae.keras.io import import_tensorflow

LATENT = (32, 32, 4)
_STAGES = 3
_SEED = 0


def taesd(batch: int | None = None) -> Any:
    """Returns the decoder without normalizations, 1.2 M parameters."""
    import keras
    from keras import layers

    def convolve(x: Any, channels: int = 64, **options: Any) -> Any:
        return layers.Conv2D(channels, 3, padding="same", **options)(x)

    def block(x: Any) -> Any:
        y = convolve(convolve(convolve(x, activation="relu"), activation="relu"))
        return layers.ReLU()(layers.Add()([x, y]))

    z = keras.Input(LATENT, batch, name="z")
    x = convolve(layers.Rescaling(3.0)(layers.Activation("tanh")(layers.Rescaling(1 / 3)(z))), activation="relu")
    for _ in range(_STAGES):
        x = convolve(layers.UpSampling2D(2)(block(block(block(x)))), use_bias=False)
    return keras.Model(z, convolve(block(x), 3, activation="sigmoid"))


def normed(batch: int | None = None) -> Any:
    """Returns the decoder with group normalization and SiLU, 2 M parameters."""
    import keras
    from keras import layers

    def convolve(x: Any, channels: int) -> Any:
        return layers.Conv2D(channels, 3, padding="same")(x)

    def normalized(x: Any) -> Any:
        return layers.Activation("silu")(layers.GroupNormalization(16)(x))

    def block(x: Any, channels: int) -> Any:
        y = convolve(normalized(convolve(normalized(x), channels)), channels)
        same = x.shape[-1] == channels
        return layers.Add()([x if same else layers.Conv2D(channels, 1)(x), y])

    z = keras.Input(LATENT, batch, name="z")
    x = convolve(z, 128)
    for channels, count in ((128, 3), (96, 2), (64, 2)):
        for _ in range(count):
            x = block(x, channels)
        x = convolve(layers.UpSampling2D(2)(x), channels)
    x = block(block(x, 64), 64)
    return keras.Model(z, layers.Activation("sigmoid")(convolve(normalized(x), 3)))


DECODERS: dict[str, Callable[[], Any]] = {"taesd": taesd, "normed": normed}


def write(folder: Path, name: str) -> None:
    """Writes all files of one decoder into a folder of its own."""
    import keras

    tf = import_tensorflow()
    home = folder / name
    home.mkdir()
    keras.utils.set_random_seed(_SEED)
    model = DECODERS[name]()
    rng = np.random.default_rng(_SEED)
    weights = [value if value.ndim > 1 else value + 0.1 * rng.normal(size=value.shape) for value in model.get_weights()]
    model.set_weights(weights)
    z = rng.normal(size=(1, *LATENT)).astype(np.float32)
    np.savez(home / "weights.npz", z=z, image=np.asarray(model(z, training=False)).reshape(-1))
    signature = [tf.TensorSpec((1, *LATENT), name="z")]
    function = tf.function(lambda z: {"image": model(z, training=False)}, input_signature=signature, autograph=False)
    single = DECODERS[name](1)
    single.set_weights(weights)
    write_conversions(home, model, function, tf.lite.TFLiteConverter.from_keras_model(single))


if __name__ == "__main__":
    sys.exit(write_all(sys.argv[1:], write))
