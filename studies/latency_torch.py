"""The decoders of decoder_latency.py in PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from latency_decoders import BASE, DEPTH_TO_SPACE, RESIZE, SIDE
from torch import Tensor, nn


class Decoder(nn.Module):
    """One decoder; images are channels first inside."""

    def __init__(self, name: str, weights: dict[str, Any]) -> None:
        """Takes the weights over."""
        super().__init__()
        self.name = name
        self.dense = nn.Linear(*weights["dense"].shape)
        channels_first = np.arange(SIDE * SIDE * BASE).reshape(SIDE, SIDE, BASE).transpose(2, 0, 1).reshape(-1)
        _fill(self.dense, weights["dense"].T[channels_first], weights["dense_bias"][channels_first])
        self.stages = nn.ModuleList(self._stage(weights[f"stage{i}"], weights[f"stage{i}_bias"]) for i in (0, 1))
        self.last = nn.Conv2d(weights["last"].shape[2], 1, 3, padding=1)
        _fill(self.last, weights["last"].transpose(3, 2, 0, 1), weights["last_bias"])

    def _stage(self, kernel: Any, bias: Any) -> nn.Module:
        size, _, inputs, outputs = kernel.shape
        if self.name == DEPTH_TO_SPACE:
            layer: nn.Module = nn.Conv2d(inputs, outputs, size)
            # PyTorch shuffles channels of [C, 2, 2], TensorFlow those of [2, 2, C].
            order = np.arange(outputs).reshape(2, 2, -1).transpose(2, 0, 1).reshape(-1)
            _fill(layer, kernel.transpose(3, 2, 0, 1)[order], bias[order])
        elif self.name == RESIZE:
            layer = nn.Conv2d(inputs, outputs, size, padding=1)
            _fill(layer, kernel.transpose(3, 2, 0, 1), bias)
        else:
            layer = nn.ConvTranspose2d(inputs, outputs, size, stride=2, padding=(size - 2) // 2)
            _fill(layer, kernel.transpose(2, 3, 0, 1), bias)
        return layer

    def forward(self, z: Tensor) -> Tensor:
        """Maps `[1, 16]` to `[1, 1, 28, 28]`."""
        x = torch.relu(self.dense(z)).reshape(1, BASE, SIDE, SIDE)
        for index, layer in enumerate(self.stages):
            side = 2 * SIDE * (index + 1)
            if self.name == DEPTH_TO_SPACE:
                x = nn.functional.pixel_shuffle(layer(nn.functional.pad(x, (0, 1, 0, 1))), 2)
            elif self.name == RESIZE:
                x = layer(nn.functional.interpolate(x, scale_factor=2.0, mode="nearest"))
            else:
                x = layer(x)
                # An odd kernel makes a row and a column more than TensorFlow keeps.
                x = x if x.shape[2] == side else x[:, :, :side, :side]
            x = torch.relu(x)
        return torch.sigmoid(self.last(x))


def decoder(home: Path) -> Decoder:
    """Returns the decoder whose weights lie in a folder."""
    with np.load(home / "weights.npz", allow_pickle=False) as arrays:
        return Decoder(home.name, dict(arrays)).eval()


def _fill(layer: Any, weight: Any, bias: Any) -> None:
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(np.ascontiguousarray(weight)))
        layer.bias.copy_(torch.from_numpy(np.ascontiguousarray(bias)))
