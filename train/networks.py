"""Encoder and decoder as plain functional Keras models: only standard layers, so that any tool can load them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pocketvae.keras.io import import_keras
from pocketvae.train.config import Architecture, TrainConfig
from pocketvae.vae_spec import VaeSpec

# Of ReLU6, which runtimes compute within the layer before it.
RELU_BOUND = 6.0


def build_encoder(config: TrainConfig, vae: VaeSpec) -> Any:
    """Builds q(z|x): `x [N, H, W, C] float32 in [0, 1] (, label [N] int32) -> z_mean [N, D], z_log_var [N, D]`."""
    make = _Layers(config, component=0)
    x = image = make.keras.Input(vae.image_shape, name="x")
    if config.architecture is Architecture.MLP:
        features, label = make.with_label(make.keras.Flatten(name="flatten")(x), vae)
        for index in range(config.hidden_layers):
            features = make.gated(features, config.hidden_units, f"hidden_{index}")
    else:
        for index, filters in enumerate(config.channels):
            x = make.conv(x, filters, 4, f"down_{index}", strides=2, activation=_stage_activation(config))
            x = make.residual_blocks(x, config.blocks, f"down_{index}")
        features, label = make.with_label(make.keras.Flatten(name="flatten")(x), vae)
        features = make.dense(features, config.hidden_units, "hidden", activation=_relu(config))
    z_mean = make.dense(features, config.latent_dim, "z_mean")
    z_log_var = make.dense(features, config.latent_dim, "z_log_var")
    return import_keras().Model([image, *label] if label else image, [z_mean, z_log_var], name="encoder")


def build_decoder(config: TrainConfig, vae: VaeSpec) -> Any:
    """Builds the decoder: `z [N, D] float32 (, label [N] int32)` to the likelihood's parameters, `[N, H, W, C]` each.

    A convolutional stage is a 3x3 convolution followed by depth-to-space, never a transposed convolution: it is faster
    on every runtime measured, quantizes per channel, and avoids a LiteRT GPU fault. An image whose size is not
    divisible by the total stride is decoded larger and cropped.
    """
    make = _Layers(config, component=1)
    z = make.keras.Input((config.latent_dim,), name="z")
    features, label = make.with_label(z, vae)
    if config.architecture is Architecture.MLP:
        for index in range(config.hidden_layers):
            features = make.gated(features, config.hidden_units, f"hidden_{index}")
        outputs = [make.dense_image(features, vae, f"pixels{suffix}") for suffix in _heads(vae)]
    else:
        features = make.dense(features, config.hidden_units, "hidden", activation=_relu(config))
        outputs = _upsample(make, features, vae)
    inputs = [z, *label] if label else z
    return import_keras().Model(inputs, outputs if len(outputs) > 1 else outputs[0], name="decoder")


def smallest_side(config: TrainConfig) -> int:
    """Returns the smallest image height and width that the networks support."""
    return 1 if config.architecture is Architecture.MLP else int(2 ** len(config.channels))


def _stage_activation(config: TrainConfig) -> str | None:
    # A residual block starts with its own activation.
    return None if config.blocks else _relu(config)


def _relu(config: TrainConfig) -> str:
    return "relu6" if config.quantization_friendly else "relu"


def _heads(vae: VaeSpec) -> tuple[str, ...]:
    """Returns a suffix for the layers that compute each of the likelihood's parameters."""
    return ("", "_log_scale")[: vae.likelihood.decoder_outputs]


def _upsample(make: _Layers, features: Any, vae: VaeSpec) -> list[Any]:
    config = make.config
    height, width, channels = vae.image_shape
    scale = int(2 ** len(config.channels))
    rows, columns, widest = math.ceil(height / scale), math.ceil(width / scale), config.channels[-1]
    activation = _stage_activation(config)
    x = make.dense(features, rows * columns * widest, "unflatten_dense", activation=activation)
    x = make.keras.Reshape((rows, columns, widest), name="unflatten")(x)
    # Mirrors the encoder: the stage that undoes down_i has as many filters as down_i had inputs.
    for index in reversed(range(1, len(config.channels))):
        x = make.residual_blocks(x, config.blocks, f"up_{index}")
        x = make.conv(x, 4 * config.channels[index - 1], 3, f"up_{index}", activation=activation)
        x = make.depth_to_space(x, f"up_{index}_shuffle")
    x = make.residual_blocks(x, config.blocks, "up_0")
    outputs = []
    for suffix in _heads(vae):
        y = make.conv(x, 4 * channels, 3, f"up_0{suffix}")
        y = make.depth_to_space(y, f"up_0{suffix}_shuffle")
        outputs.append(make.crop(y, height, width, f"crop{suffix}"))
    return outputs


@dataclass
class _Layers:
    """Creates layers, each with its own seed: a shared seed would give layers of equal shape equal weights."""

    config: TrainConfig
    component: int

    def __post_init__(self) -> None:
        first = self.config.seed * 1000 + self.component * 100
        self._seeds: Iterator[int] = iter(range(first, first + 100))
        self.keras = import_keras().layers

    def dense(self, x: Any, units: int, name: str, *, activation: str | None = None) -> Any:
        return self.keras.Dense(units, activation, kernel_initializer=self._glorot(), name=name)(x)

    def dense_image(self, x: Any, vae: VaeSpec, name: str) -> Any:
        x = self.dense(x, math.prod(vae.image_shape), name)
        return self.keras.Reshape(vae.image_shape, name=f"{name}_image")(x)

    def crop(self, x: Any, height: int, width: int, name: str) -> Any:
        """Crops the centre of an image that was decoded larger than needed."""
        _, rows, columns, _ = x.shape
        if (rows, columns) == (height, width):
            return x
        top, left = (rows - height) // 2, (columns - width) // 2
        return self.keras.Cropping2D(((top, rows - height - top), (left, columns - width - left)), name=name)(x)

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
            size,
            strides=strides,
            padding="same",
            activation=activation,
            kernel_initializer=self._glorot(),
            name=name,
        )
        return layer(x)

    def residual_blocks(self, x: Any, count: int, name: str) -> Any:
        """ReLU, 3x3, ReLU, 3x3, added to the input (He et al. 2016, figure 4e, without normalization); ReLU last.

        The last convolution of a block is initialized to zero, so that a deep network starts as a shallow one (Zhang
        et al. 2019).
        """
        for index in range(count):
            block, filters = f"{name}_block_{index}", x.shape[-1]
            y = self.rectified(x, f"{block}_relu")
            y = self.conv(y, filters, 3, f"{block}_conv_0", activation=_relu(self.config))
            y = self.keras.Conv2D(filters, 3, padding="same", kernel_initializer="zeros", name=f"{block}_conv_1")(y)
            x = self.keras.Add(name=f"{block}_add")([x, y])
        return self.rectified(x, f"{name}_relu") if count else x

    def rectified(self, x: Any, name: str) -> Any:
        bound = RELU_BOUND if self.config.quantization_friendly else None
        return self.keras.ReLU(bound, name=name)(x)

    def depth_to_space(self, x: Any, name: str) -> Any:
        """Depth-to-space with block size 2 from three standard layers; Keras 2 does not have such a layer."""
        _, rows, columns, depth = x.shape
        x = self.keras.Reshape((rows, columns, 2, 2, depth // 4), name=f"{name}_split")(x)
        x = self.keras.Permute((1, 3, 2, 4, 5), name=f"{name}_interleave")(x)
        return self.keras.Reshape((2 * rows, 2 * columns, depth // 4), name=f"{name}_join")(x)

    def with_label(self, x: Any, vae: VaeSpec) -> tuple[Any, list[Any]]:
        """Appends a one-hot label to `[N, F]` if the VAE is conditional; also returns the label's input."""
        if not vae.label_count:
            return x, []
        label = self.keras.Input((), dtype="int32", name="label")
        one_hot = self.keras.Embedding(
            vae.label_count, vae.label_count, embeddings_initializer="identity", trainable=False, name="one_hot"
        )(label)
        return self.keras.Concatenate(name="with_label")([x, one_hot]), [label]

    def _glorot(self) -> Any:
        return import_keras().initializers.GlorotUniform(seed=next(self._seeds))
