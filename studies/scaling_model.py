"""Writes a decoder of a chosen size, untrained: what it costs does not depend on what it has learnt.

python studies/scaling_model.py SIDE PARAMETERS FILE
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

LATENT_DIM = 16
_CHANNELS = 3
_BOTTOM = 8
# Of the parameters, those of the convolutions; the others are in the dense layers before them.
_CONVOLUTION_SHARE = 0.4


def stages(side: int) -> int:
    """Returns how often the smallest map, of at most 8 pixels a side, is doubled."""
    count = 1
    while side / 2**count > _BOTTOM:
        count += 1
    return count


def network_sizes(side: int, parameters: int) -> tuple[tuple[int, ...], int]:
    """Returns the channels of each stage and the units of the hidden layer of a decoder of about so many parameters."""
    count = stages(side)
    base = 2
    while _convolution_parameters(base + 1, count) <= _CONVOLUTION_SHARE * parameters:
        base += 1
    channels = tuple(base * 2**stage for stage in range(count))
    bottom = math.ceil(side / 2**count) ** 2
    units = (parameters - _convolution_parameters(base, count)) // (bottom * channels[-1] + LATENT_DIM)
    return channels, max(4, units)


def _convolution_parameters(base: int, count: int) -> int:
    channels = [base * 2**stage for stage in range(count)]
    return sum(9 * channels[i] * 4 * (channels[i - 1] if i else _CHANNELS) for i in range(count))


def main() -> int:
    """Builds the decoder with pocketvae's own layers and saves it."""
    from pocketvae.keras.io import save_model
    from pocketvae.train import TrainConfig
    from pocketvae.train.networks import build_decoder
    from pocketvae.vae_spec import VaeSpec, vector_latent

    side, parameters, out = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    channels, units = network_sizes(side, parameters)
    config = TrainConfig(latent_dim=LATENT_DIM, channels=channels, hidden_units=units)
    vae = VaeSpec(data_shape=(side, side, _CHANNELS), latents=vector_latent(LATENT_DIM))
    model = build_decoder(config, vae)
    save_model(model, out)
    print(model.count_params())
    return 0


if __name__ == "__main__":
    sys.exit(main())
