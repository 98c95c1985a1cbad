"""Latent maps: the part of a latent that has a place in the image, in levels from coarse to fine.

An artifact takes one vector whatever the levels are: first the values without a place, then each map, coarsest first.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from pocketvae.errors import SpecError
from pocketvae.train.config import TrainConfig


@dataclass(frozen=True, kw_only=True)
class LatentMap:
    """One level.

    Attributes:
        stage: Behind which stage of the encoder it stands.
        rows: Height where the decoder takes it.
        columns: Width there; 1 of sequences.
        channels: Values at every place.
        first: Where it begins in the whole latent.
    """

    stage: int
    rows: int
    columns: int
    channels: int
    first: int

    @property
    def size(self) -> int:
        """Number of its values."""
        return self.rows * self.columns * self.channels

    @property
    def name(self) -> str:
        """What the layers around it are called."""
        return f"level_{self.stage}"


def latent_maps(config: TrainConfig, data_shape: tuple[int, ...]) -> tuple[LatentMap, ...]:
    """Returns the levels, coarsest first.

    Args:
        config: The network.
        data_shape: Of one item: `(H, W, C)` or `(T, C)`.
    """
    maps: list[LatentMap] = []
    first = config.latent_dim
    for stage in reversed(range(len(config.latent_maps))):
        if channels := config.latent_maps[stage]:
            rows, columns = stage_extent(config, data_shape, stage)
            maps.append(LatentMap(stage=stage, rows=rows, columns=columns, channels=channels, first=first))
            first += maps[-1].size
    return tuple(maps)


def latent_size(config: TrainConfig, data_shape: tuple[int, ...]) -> int:
    """Returns D, the number of latent dimensions of all levels together.

    Raises:
        SpecError: a RealNVP prior cannot halve it.
    """
    size = config.latent_dim + sum(level.size for level in latent_maps(config, data_shape))
    if config.couplings and size % 2:
        raise SpecError(
            f"a realnvp prior needs an even number of latent dimensions, got {size}: change latent_dim by 1"
        )
    return size


def stage_extent(config: TrainConfig, data_shape: tuple[int, ...], stage: int) -> tuple[int, int]:
    """Returns the height and width of the decoder's features at a stage: multiples of those of the last one."""
    finer = 2 ** (len(config.channels) - 1 - stage)
    rows, columns = coarsest_extent(config, data_shape)
    return rows * finer, columns * finer if len(data_shape) == 3 else 1


def coarsest_extent(config: TrainConfig, data_shape: tuple[int, ...]) -> tuple[int, int]:
    """Returns the height and width that a decoder begins with; of a sequence the width is 1."""
    scale = 2 ** len(config.channels)
    return math.ceil(data_shape[0] / scale), math.ceil(data_shape[1] / scale) if len(data_shape) == 3 else 1
