"""Writes a decoder of about 50 M parameters from a latent of 64x64x4 to an image of 512x512x3, untrained.

python studies/fifty_millions_model.py FILE

Residual blocks with group normalization and SiLU, nearest upsampling and convolutions, as the decoders of latent
diffusion have them; nine in ten parameters are where the map is smallest, so a call takes seconds, not a minute.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

LATENT = (64, 64, 4)
# Channels and number of blocks of each map, of 64, 128, 256 and 512 pixels a side.
_STAGES = ((512, 10), (128, 3), (64, 2), (32, 1))
_GROUPS = 32
_SEED = 0


def build() -> Any:
    """Returns the Keras 3 model."""
    import keras
    import numpy as np
    from keras import layers

    def convolve(x: Any, channels: int) -> Any:
        return layers.Conv2D(channels, 3, padding="same")(x)

    def normalized(x: Any) -> Any:
        return layers.Activation("silu")(layers.GroupNormalization(min(_GROUPS, x.shape[-1] // 4))(x))

    def block(x: Any, channels: int) -> Any:
        y = convolve(normalized(convolve(normalized(x), channels)), channels)
        return layers.Add()([x if x.shape[-1] == channels else layers.Conv2D(channels, 1)(x), y])

    keras.utils.set_random_seed(_SEED)
    z = keras.Input(LATENT, name="z")
    x = convolve(z, _STAGES[0][0])
    for stage, (channels, count) in enumerate(_STAGES):
        if stage:
            x = convolve(layers.UpSampling2D(2)(x), channels)
        for _ in range(count):
            x = block(x, channels)
    model = keras.Model(z, layers.Activation("sigmoid")(convolve(normalized(x), 3)))
    rng = np.random.default_rng(_SEED)
    model.set_weights([v if v.ndim > 1 else v + 0.1 * rng.normal(size=v.shape) for v in model.get_weights()])
    return model


def main() -> int:
    """Builds the decoder and saves it."""
    model = build()
    model.save(Path(sys.argv[1]))
    print(model.count_params())
    return 0


if __name__ == "__main__":
    sys.exit(main())
