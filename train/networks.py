"""Encoder and decoder as plain functional Keras models: only standard layers, so that any tool can load them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pocketvae.keras.io import import_keras
from pocketvae.train.config import Activation, Architecture, TrainConfig
from pocketvae.train.latent_maps import LatentMap, coarsest_extent, latent_maps, latent_size
from pocketvae.train.layers import crop, depth_to_space, part_of, with_label
from pocketvae.vae_spec import DataKind, VaeSpec

# Of ReLU6, which runtimes compute within the layer before it.
RELU_BOUND = 6.0
# From one component to the next, of layers that come after the first 100.
_MORE_SEEDS = 1_000_000
_MOMENTS = ("z_mean", "z_log_var")


def build_encoder(config: TrainConfig, vae: VaeSpec) -> Any:
    """Builds q(z|x): `x [N, *data_shape] float32 (, label [N] int32) -> z_mean [N, D], z_log_var [N, D]`.

    Images are in [0, 1]. A sequence is convolved as an image of one column, so that its layers are the convolutions
    that microcontrollers and accelerators have, without a reshape between them.
    """
    make = _Layers(config, component=0, is_sequence=vae.data is DataKind.SEQUENCE)
    x = given = make.keras.Input(vae.data_shape, name="x")
    if config.architecture.is_dense:
        features, label = with_label(x if len(vae.data_shape) == 1 else make.keras.Flatten(name="flatten")(x), vae)
        features = make.hidden_layers(features)
    else:
        x, stages = make.as_image(x), []
        for index, filters in enumerate(config.channels):
            x = make.conv(x, filters, 4, f"down_{index}", strides=2, activation=_stage_activation(config))
            x = make.residual_blocks(x, config.blocks, f"down_{index}")
            stages.append(x)
        features, label = with_label(make.keras.Flatten(name="flatten")(x), vae)
        features = make.dense(features, config.hidden_units, "hidden", activation=_activation(config))
        if config.latent_maps:
            moments = _moments_of_levels(config, vae, stages, features)
            return import_keras().Model([given, *label] if label else given, moments, name="encoder")
    z_mean = make.dense(features, config.latent_dim, "z_mean")
    z_log_var = make.dense(features, config.latent_dim, "z_log_var")
    return import_keras().Model([given, *label] if label else given, [z_mean, z_log_var], name="encoder")


def _moments_of_levels(config: TrainConfig, vae: VaeSpec, stages: list[Any], features: Any) -> list[Any]:
    """Returns mean and log-variance `[N, D]` of a latent with maps.

    Those of a fine level know what the coarser ones see: features go down again from stage to stage, each added to what
    the encoder had there (the deterministic path of a ladder VAE, Sonderby et al. 2016).
    """
    levels = latent_maps(config, vae.data_shape)
    make = _Layers(config, component=2, is_sequence=vae.data is DataKind.SEQUENCE)
    parts = [[make.dense(features, config.latent_dim, f"vector_{moment}") for moment in _MOMENTS]]
    x, by_stage = stages[-1], {level.stage: level for level in levels}
    for index in reversed(range(levels[-1].stage, len(stages))):
        if index < len(stages) - 1:
            _, rows, columns, filters = stages[index].shape
            x = make.conv(x, make.block * filters, 3, f"back_{index}")
            x = crop(make.depth_to_space(x, f"back_{index}_shuffle"), rows, columns, f"back_{index}_crop")
            x = make.keras.Add(name=f"back_{index}_add")([x, stages[index]])
            x = make.residual_blocks(x, max(1, config.blocks), f"back_{index}")
        if level := by_stage.get(index):
            parts.append([make.level_values(x, level, f"{level.name}_{moment}") for moment in _MOMENTS])
    return [
        make.keras.Concatenate(name=moment)(list(of))
        for moment, of in zip(_MOMENTS, zip(*parts, strict=True), strict=True)
    ]


def build_decoder(config: TrainConfig, vae: VaeSpec) -> Any:
    """Builds the decoder: `z [N, D] float32 (, label [N] int32)` to the likelihood's parameters, `[N, ...]` each.

    A convolutional stage is a convolution of 3 followed by depth-to-space, never a transposed convolution: it is faster
    on every runtime measured, quantizes per channel, and avoids a LiteRT GPU fault; of sequences it is a reshape. What
    is not divisible by the total stride is decoded larger and cropped.
    """
    make = _Layers(config, component=1, is_sequence=vae.data is DataKind.SEQUENCE)
    z = make.keras.Input((latent_size(config, vae.data_shape),), name="z")
    levels = latent_maps(config, vae.data_shape)
    vector = part_of(z, 0, config.latent_dim, "vector") if levels else z
    features, label = with_label(vector, vae)
    if config.architecture.is_dense:
        features = make.hidden_layers(features)
        outputs = [make.dense_data(features, vae, f"pixels{suffix}") for suffix in _heads(vae)]
    else:
        features = make.dense(features, config.hidden_units, "hidden", activation=_activation(config))
        outputs = _upsample(make, features, vae, {level.stage: _as_map(make, z, level) for level in levels})
    inputs = [z, *label] if label else z
    return import_keras().Model(inputs, outputs if len(outputs) > 1 else outputs[0], name="decoder")


def smallest_side(config: TrainConfig) -> int:
    """Returns the smallest image height and width, or number of time steps, that the networks support."""
    return 1 if config.architecture.is_dense else int(2 ** len(config.channels))


def _stage_activation(config: TrainConfig) -> str | None:
    # A residual block starts with its own activation.
    return None if config.blocks else _activation(config)


def _activation(config: TrainConfig) -> str:
    """Returns Keras's name of the nonlinearity."""
    if config.activation is Activation.SILU:
        return "swish"
    return "relu6" if config.quantization_friendly else "relu"


def _heads(vae: VaeSpec) -> tuple[str, ...]:
    """Returns a suffix for the layers that compute each of the likelihood's parameters."""
    return ("", "_log_scale")[: vae.likelihood.decoder_outputs]


def _as_map(make: _Layers, z: Any, level: LatentMap) -> Any:
    values = part_of(z, level.first, level.size, level.name)
    return make.keras.Reshape((level.rows, level.columns, level.channels), name=f"{level.name}_map")(values)


def _upsample(make: _Layers, features: Any, vae: VaeSpec, maps: Mapping[int, Any]) -> list[Any]:
    """Returns the likelihood's parameters; `maps` are those of the latent, by stage."""
    config = make.config
    height, width, channels = (
        vae.data_shape if vae.data is DataKind.IMAGE else (vae.data_shape[0], 1, vae.data_shape[1])
    )
    (rows, columns), widest = coarsest_extent(config, vae.data_shape), config.channels[-1]
    activation = _stage_activation(config)
    x = make.dense(features, rows * columns * widest, "unflatten_dense", activation=activation)
    x = make.keras.Reshape((rows, columns, widest), name="unflatten")(x)
    # Mirrors the encoder: the stage that undoes down_i has as many filters as down_i had inputs.
    for index in reversed(range(1, len(config.channels))):
        x = make.with_map(x, maps.get(index), f"level_{index}")
        x = make.residual_blocks(x, config.blocks, f"up_{index}")
        x = make.conv(x, make.block * config.channels[index - 1], 3, f"up_{index}", activation=activation)
        x = make.depth_to_space(x, f"up_{index}_shuffle")
    x = make.with_map(x, maps.get(0), "level_0")
    x = make.residual_blocks(x, config.blocks, "up_0")
    outputs = []
    for suffix in _heads(vae):
        y = make.conv(x, make.block * channels, 3, f"up_0{suffix}")
        y = make.depth_to_space(y, f"up_0{suffix}_shuffle")
        y = crop(y, height, width, f"crop{suffix}")
        outputs.append(make.keras.Reshape(vae.data_shape, name=f"steps{suffix}")(y) if make.is_sequence else y)
    return outputs


@dataclass
class _Layers:
    """Creates layers, each with its own seed: a shared seed would give layers of equal shape equal weights."""

    config: TrainConfig
    component: int
    is_sequence: bool

    def __post_init__(self) -> None:
        first = self.config.seed * 1000 + self.component * 100
        # What is deeper goes on where no other component begins.
        more = first + _MORE_SEEDS * (self.component + 1)
        self._seeds: Iterator[int] = itertools.chain(range(first, first + 100), itertools.count(more))
        self.keras = import_keras().layers

    @property
    def block(self) -> int:
        """How many values become one value's depth where a stage halves the resolution."""
        return 2 if self.is_sequence else 4

    def as_image(self, x: Any) -> Any:
        """Returns a sequence as an image of one column, and an image as it is."""
        return self.keras.Reshape((x.shape[1], 1, x.shape[2]), name="column")(x) if self.is_sequence else x

    def dense(self, x: Any, units: int, name: str, *, activation: str | None = None) -> Any:
        return self.keras.Dense(units, activation, kernel_initializer=self._glorot(), name=name)(x)

    def level_values(self, x: Any, level: LatentMap, name: str) -> Any:
        """Returns `[N, size]` of a level; its border is zero where the decoder's features are larger since it crops."""
        x = self.conv(x, level.channels, 1, name)
        rows, columns = level.rows - x.shape[1], level.columns - x.shape[2]
        if rows or columns:
            sides = ((rows // 2, rows - rows // 2), (columns // 2, columns - columns // 2))
            x = self.keras.ZeroPadding2D(sides, name=f"{name}_border")(x)
        return self.keras.Flatten(name=f"{name}_values")(x)

    def with_map(self, x: Any, latents: Any | None, name: str) -> Any:
        """Returns features to which a map of latents is added; the features themselves where there is none."""
        if latents is None:
            return x
        # Without a bias, which the features have: TensorFlow's remapper fails on the sum of two that have one.
        layer = self.keras.Conv2D(x.shape[-1], 1, use_bias=False, kernel_initializer=self._glorot(), name=f"{name}_in")
        return self.keras.Add(name=f"{name}_add")([x, layer(latents)])

    def dense_data(self, x: Any, vae: VaeSpec, name: str) -> Any:
        x = self.dense(x, math.prod(vae.data_shape), name)
        return x if len(vae.data_shape) == 1 else self.keras.Reshape(vae.data_shape, name=f"{name}_image")(x)

    def hidden_layers(self, x: Any) -> Any:
        for index in range(self.config.hidden_layers):
            name = f"hidden_{index}"
            if self.config.architecture is Architecture.MLP:
                x = self.gated(x, self.config.hidden_units, name)
            else:
                x = self.dense(x, self.config.hidden_units, name, activation=_activation(self.config))
        return x

    def gated(self, x: Any, units: int, name: str) -> Any:
        """A dense layer whose outputs are multiplied by those of a second layer, which lie between 0 and 1."""
        values = self.dense(x, units, f"{name}_values")
        gates = self.dense(x, units, f"{name}_gates", activation="sigmoid")
        return self.keras.Multiply(name=name)([values, gates])

    def conv(
        self, x: Any, filters: int, size: int, name: str, *, strides: int = 1, activation: str | None = None
    ) -> Any:
        layer = self.keras.Conv2D(
            filters,
            self._extent(size),
            strides=self._extent(strides),
            padding="same",
            activation=activation,
            kernel_initializer=self._glorot(),
            name=name,
        )
        return layer(x)

    def residual_blocks(self, x: Any, count: int, name: str) -> Any:
        """ReLU, 3x3, ReLU, 3x3, added to the input (He et al. 2016, figure 4e, without normalization); ReLU last.

        Or what the configuration has in place of ReLU.

        The last convolution of a block is initialized to zero, so that a deep network starts as a shallow one (Zhang
        et al. 2019).
        """
        for index in range(count):
            block, filters = f"{name}_block_{index}", x.shape[-1]
            y = self.activated(x, block)
            y = self.conv(y, filters, 3, f"{block}_conv_0", activation=_activation(self.config))
            size = self._extent(3)
            y = self.keras.Conv2D(filters, size, padding="same", kernel_initializer="zeros", name=f"{block}_conv_1")(y)
            x = self.keras.Add(name=f"{block}_add")([x, y])
        return self.activated(x, name) if count else x

    def activated(self, x: Any, name: str) -> Any:
        if self.config.activation is Activation.SILU:
            return self.keras.Activation("swish", name=f"{name}_silu")(x)
        bound = RELU_BOUND if self.config.quantization_friendly else None
        return self.keras.ReLU(bound, name=f"{name}_relu")(x)

    def depth_to_space(self, x: Any, name: str) -> Any:
        """Depth-to-space with block size 2; of sequences a reshape."""
        if self.is_sequence:
            _, rows, _, depth = x.shape
            return self.keras.Reshape((2 * rows, 1, depth // 2), name=f"{name}_join")(x)
        return depth_to_space(x, 2, name)

    def _extent(self, size: int) -> tuple[int, int]:
        """Returns a size in rows and columns."""
        return (size, 1) if self.is_sequence else (size, size)

    def _glorot(self) -> Any:
        return import_keras().initializers.GlorotUniform(seed=next(self._seeds))
