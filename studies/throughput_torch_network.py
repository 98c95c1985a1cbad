"""The networks of pocketvae's MNIST presets in PyTorch, layer for layer and with the names of their Keras layers.

Needs PyTorch and numpy, neither pocketvae nor TensorFlow.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

Arrays = Mapping[str, npt.NDArray[np.float32]]
_LOG_TWO_PI = math.log(2 * math.pi)
_BEFORE_SHUFFLE = re.compile(r"weights/decoder/up_\d+")


class Vae(nn.Module):
    """Encoder, decoder, prior and the loss that training minimizes."""

    def __init__(self, config: Mapping[str, Any], image_shape: tuple[int, int, int]) -> None:
        """Builds the networks with PyTorch's own initial weights.

        Args:
            config: A pocketvae training configuration as plain values.
            image_shape: `(height, width, channels)`.
        """
        super().__init__()
        mlp = config["architecture"] == "mlp"
        self.encoder: nn.Module = (MlpEncoder if mlp else ConvEncoder)(config, image_shape)
        self.decoder: nn.Module = (MlpDecoder if mlp else ConvDecoder)(config, image_shape)
        self.prior = Flow(config) if config["prior"] == "realnvp" else None
        self._iwae = config["objective"] == "iwae"

    def loss(self, x: Tensor, eps: Tensor) -> Tensor:
        """Returns the batch's mean loss in nats.

        Args:
            x: `[N, C, H, W]` of 0 and 1.
            eps: `[K, N, D]` standard normal noise.
        """
        z_mean, z_log_var = self.encoder(x)
        z = z_mean + torch.exp(0.5 * z_log_var) * eps
        logits = self.decoder(z.flatten(0, 1)).unflatten(0, eps.shape[:2])
        log_likelihood = (x * logits - functional.softplus(logits)).sum((-3, -2, -1))
        if self.prior is None and not self._iwae:
            kl = 0.5 * (z_log_var.exp() + z_mean.square() - 1.0 - z_log_var).sum(-1)
            return kl.mean() - log_likelihood.mean()
        log_posterior = -0.5 * (_LOG_TWO_PI + z_log_var + eps.square()).sum(-1)
        log_weights = log_likelihood + self.log_prior(z) - log_posterior
        if self._iwae:
            return -(log_weights.logsumexp(0) - math.log(len(eps))).mean()
        return -log_weights.mean()

    def log_prior(self, z: Tensor) -> Tensor:
        """Returns log p(z) of `[..., D]`, summed over the last axis."""
        if self.prior is None:
            return -0.5 * (_LOG_TWO_PI + z.square()).sum(-1)
        # A dense layer's outputs are a view where its inputs have more axes, and a view makes in-place ReLU copy.
        log_density: Tensor = self.prior(z.flatten(0, -2))
        return log_density.unflatten(0, z.shape[:-1])

    def load_keras(self, arrays: Arrays) -> None:
        """Sets every weight from `weights/COMPONENT/LAYER/kernel` and `.../bias`; none may be missing or left over.

        Raises:
            ValueError: the layers are not the same on both sides.
        """
        own = {
            f"weights/{component}/{layer}": module
            for component, part in self.named_children()
            for layer, module in part.layers.items()
        }
        given = {name.rpartition("/")[0] for name in arrays if name.startswith("weights/")}
        if own.keys() != given:
            raise ValueError(f"layers that one side alone has: {sorted(own.keys() ^ given)}")
        for name, module in own.items():
            shuffled = _BEFORE_SHUFFLE.fullmatch(name) is not None
            _set_weights(module, arrays[f"{name}/kernel"], arrays[f"{name}/bias"], shuffled=shuffled)


class MlpEncoder(nn.Module):
    """Gated dense layers: `[N, C, H, W] -> z_mean [N, D], z_log_var [N, D]`."""

    def __init__(self, config: Mapping[str, Any], image_shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.layers = nn.ModuleDict()
        self._depth = config["hidden_layers"]
        width = _add_gated(self.layers, math.prod(image_shape), config)
        _add_posterior(self.layers, width, config)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Returns z_mean and z_log_var, `[N, D]` each, of `[N, C, H, W]`."""
        features = _gated(self.layers, x.permute(0, 2, 3, 1).flatten(1), self._depth)
        return self.layers["z_mean"](features), self.layers["z_log_var"](features)


class MlpDecoder(nn.Module):
    """Gated dense layers: `[N, D] -> logits [N, C, H, W]`."""

    def __init__(self, config: Mapping[str, Any], image_shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.layers = nn.ModuleDict()
        self._depth, self._shape = config["hidden_layers"], image_shape
        width = _add_gated(self.layers, config["latent_dim"], config)
        self.layers["pixels"] = nn.Linear(width, math.prod(image_shape))

    def forward(self, z: Tensor) -> Tensor:
        """Returns logits `[N, C, H, W]` of `[N, D]`."""
        pixels = self.layers["pixels"](_gated(self.layers, z, self._depth))
        return pixels.unflatten(1, self._shape).permute(0, 3, 1, 2)


class ConvEncoder(nn.Module):
    """Stride-2 convolutions, with residual blocks where the configuration has them."""

    def __init__(self, config: Mapping[str, Any], image_shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.layers = nn.ModuleDict()
        self._stages, self._blocks = len(config["channels"]), config["blocks"]
        height, width, inputs = image_shape
        for index, filters in enumerate(config["channels"]):
            # Keras pads an even size by 1 on each side for kernel 4 and stride 2.
            self.layers[f"down_{index}"] = nn.Conv2d(inputs, filters, 4, stride=2, padding=1)
            _add_blocks(self.layers, f"down_{index}", filters, self._blocks)
            inputs = filters
        scale = 2**self._stages
        features = inputs * (height // scale) * (width // scale)
        self.layers["hidden"] = nn.Linear(features, config["hidden_units"])
        _add_posterior(self.layers, config["hidden_units"], config)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Returns z_mean and z_log_var, `[N, D]` each, of `[N, C, H, W]`."""
        for index in range(self._stages):
            x = self.layers[f"down_{index}"](x)
            x = _activated(self.layers, x, f"down_{index}", self._blocks)
        # Keras flattens with the channels last; in the channels_last memory format this is no copy.
        features = _relu(self.layers["hidden"](x.permute(0, 2, 3, 1).flatten(1)))
        return self.layers["z_mean"](features), self.layers["z_log_var"](features)


class ConvDecoder(nn.Module):
    """Convolutions and depth-to-space."""

    def __init__(self, config: Mapping[str, Any], image_shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.layers = nn.ModuleDict()
        channels, self._blocks = config["channels"], config["blocks"]
        height, width, outputs = image_shape
        scale = 2 ** len(channels)
        self._smallest = (height // scale, width // scale, channels[-1])
        self.layers["hidden"] = nn.Linear(config["latent_dim"], config["hidden_units"])
        self.layers["unflatten_dense"] = nn.Linear(config["hidden_units"], math.prod(self._smallest))
        self._stages = list(reversed(range(len(channels))))
        for index in self._stages:
            filters = channels[index - 1] if index else outputs
            _add_blocks(self.layers, f"up_{index}", channels[index], self._blocks)
            self.layers[f"up_{index}"] = nn.Conv2d(channels[index], 4 * filters, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        """Returns logits `[N, C, H, W]` of `[N, D]`."""
        x = self.layers["unflatten_dense"](_relu(self.layers["hidden"](z)))
        x = (x if self._blocks else _relu(x)).unflatten(1, self._smallest).permute(0, 3, 1, 2)
        for index in self._stages:
            x = _blocks(self.layers, x, f"up_{index}", self._blocks)
            x = self.layers[f"up_{index}"](x)
            x = functional.pixel_shuffle(x if index == 0 or self._blocks else _relu(x), 2)
        return x


class Flow(nn.Module):
    """The density of a RealNVP prior: its couplings run backwards (Dinh et al. 2017, equation 6)."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.layers = nn.ModuleDict()
        self._couplings, self._half = config["couplings"], config["latent_dim"] // 2
        units = config["coupling_units"]
        for index in range(self._couplings):
            self.layers[f"coupling_{index}_hidden_0"] = nn.Linear(self._half, units)
            self.layers[f"coupling_{index}_hidden_1"] = nn.Linear(units, units)
            self.layers[f"coupling_{index}_shift"] = nn.Linear(units, self._half)
            self.layers[f"coupling_{index}_log_scale"] = nn.Linear(units, self._half)

    def forward(self, z: Tensor) -> Tensor:
        """Returns log p(z) of `[N, D]`, summed over dimensions."""
        log_scales: Tensor | float = 0.0
        for index in reversed(range(self._couplings)):
            interleaved = index % 4 >= 2
            first, second = (z[..., 0::2], z[..., 1::2]) if interleaved else z.chunk(2, -1)
            kept, changed = (first, second) if index % 2 == 0 else (second, first)
            x = _relu(self.layers[f"coupling_{index}_hidden_0"](kept))
            x = _relu(self.layers[f"coupling_{index}_hidden_1"](x))
            log_scale = torch.tanh(self.layers[f"coupling_{index}_log_scale"](x))
            changed = (changed - self.layers[f"coupling_{index}_shift"](x)) * torch.exp(-log_scale)
            log_scales = log_scales + log_scale.sum(-1)
            halves = (kept, changed) if index % 2 == 0 else (changed, kept)
            z = torch.stack(halves, -1).flatten(-2) if interleaved else torch.cat(halves, -1)
        return -0.5 * (_LOG_TWO_PI + z.square()).sum(-1) - log_scales


def _add_gated(layers: nn.ModuleDict, width: int, config: Mapping[str, Any]) -> int:
    for index in range(config["hidden_layers"]):
        for part in ("values", "gates"):
            layers[f"hidden_{index}_{part}"] = nn.Linear(width, config["hidden_units"])
        width = config["hidden_units"]
    return width


def _gated(layers: nn.ModuleDict, x: Tensor, depth: int) -> Tensor:
    for index in range(depth):
        x = layers[f"hidden_{index}_values"](x) * torch.sigmoid(layers[f"hidden_{index}_gates"](x))
    return x


def _add_posterior(layers: nn.ModuleDict, width: int, config: Mapping[str, Any]) -> None:
    for name in ("z_mean", "z_log_var"):
        layers[name] = nn.Linear(width, config["latent_dim"])


def _add_blocks(layers: nn.ModuleDict, name: str, filters: int, count: int) -> None:
    for block in range(count):
        for conv in range(2):
            layers[f"{name}_block_{block}_conv_{conv}"] = nn.Conv2d(filters, filters, 3, padding=1)


def _blocks(layers: nn.ModuleDict, x: Tensor, name: str, count: int) -> Tensor:
    for block in range(count):
        y = _relu(layers[f"{name}_block_{block}_conv_0"](functional.relu(x)))
        x = x + layers[f"{name}_block_{block}_conv_1"](y)
    return _relu(x) if count else x


def _activated(layers: nn.ModuleDict, x: Tensor, name: str, blocks: int) -> Tensor:
    """A stage ends with its residual blocks, which end with ReLU, or else with ReLU alone."""
    return _blocks(layers, x, name, blocks) if blocks else _relu(x)


def _relu(x: Tensor) -> Tensor:
    # In place: neither a convolution, a dense layer nor a sum needs its own output again.
    return functional.relu(x, inplace=True)


def _set_weights(
    module: nn.Module, kernel: npt.NDArray[np.float32], bias: npt.NDArray[np.float32], *, shuffled: bool
) -> None:
    """Sets one layer's weights; `shuffled` where depth-to-space follows a convolution."""
    if shuffled:
        kernel, bias = _for_pixel_shuffle(kernel), _for_pixel_shuffle(bias)
    turned = kernel.transpose(3, 2, 0, 1) if kernel.ndim == 4 else kernel.T
    with torch.no_grad():
        module.weight.copy_(torch.from_numpy(np.ascontiguousarray(turned)))  # type: ignore[operator]
        module.bias.copy_(torch.from_numpy(np.ascontiguousarray(bias)))  # type: ignore[operator]


def _for_pixel_shuffle(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Reorders the last axis from (row, column, channel), which Keras has, to (channel, row, column)."""
    *leading, depth = values.shape
    return np.moveaxis(values.reshape(*leading, 4, depth // 4), -1, -2).reshape(values.shape)
