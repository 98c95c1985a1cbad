"""The decoders of decoder_latency.py: their weights, their multiply-adds and, in plain numpy, their images.

All map 16 latent values to a 28x28 image: a dense layer to 7x7x64, two stages that double the size (64 and 32 channels,
ReLU), a 3x3 convolution and a sigmoid. They differ in how a stage doubles. Needs numpy alone, so that every
contender's Python can import it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Weights = Mapping[str, Array]

LATENT, SIDE, BASE, CHANNELS = 16, 7, 64, (64, 32)
TRANSPOSED = {"transposed-2": 2, "transposed-3": 3, "transposed-4": 4, "transposed-5": 5}
DEPTH_TO_SPACE, RESIZE = "depth-to-space", "resize"
DECODERS = (*TRANSPOSED, DEPTH_TO_SPACE, RESIZE)


def make_weights(name: str, seed: int = 0) -> dict[str, Array]:
    """Returns the weights of a decoder: `dense [16, 3136]`, `stage0`, `stage1`, `last` and a bias of each.

    Kernels are `[kh, kw, C_in, C_out]`, of depth-to-space with `[2, 2, C]` as output channels.
    """
    rng = np.random.default_rng(seed)
    size = TRANSPOSED.get(name, 2 if name == DEPTH_TO_SPACE else 3)
    copies = 4 if name == DEPTH_TO_SPACE else 1
    # A place of a block sees a quarter of a transposed kernel.
    taps = size**2 / (4 if name in TRANSPOSED else 1)
    shapes = {"dense": (LATENT, SIDE * SIDE * BASE), "last": (3, 3, CHANNELS[-1], 1)}
    gains = {"dense": 2 / LATENT, "last": 4 / (9 * CHANNELS[-1])}
    for index, inputs in enumerate((BASE, CHANNELS[0])):
        shapes[f"stage{index}"] = (size, size, inputs, copies * CHANNELS[index])
        gains[f"stage{index}"] = 2 / (taps * inputs)
    weights: dict[str, Array] = {}
    for key in sorted(shapes):
        weights[key] = (rng.normal(size=shapes[key]) * np.sqrt(gains[key])).astype(np.float32)
        bias = rng.normal(size=shapes[key][-1]) * 0.1
        # One bias for each channel of the image, whichever way its pixels are made.
        weights[f"{key}_bias"] = (
            np.tile(bias[: len(bias) // copies], copies).astype(np.float32)
            if copies > 1 and (key.startswith("stage"))
            else bias.astype(np.float32)
        )
    return weights


def multiply_adds(name: str) -> int:
    """Returns the multiplications of a decoder as it is written down, borders included."""
    size = TRANSPOSED.get(name, 2 if name == DEPTH_TO_SPACE else 3)
    total, side, inputs = LATENT * SIDE * SIDE * BASE, SIDE, BASE
    for channels in CHANNELS:
        # A resize comes first, so its convolution runs on four times as many pixels; depth-to-space has 4 C channels.
        total += side * side * size * size * inputs * channels * (1 if name in TRANSPOSED else 4)
        side, inputs = 2 * side, channels
    return total + side * side * 9 * inputs


def reference_image(name: str, weights: Weights, z: Array) -> npt.NDArray[np.float64]:
    """Returns `[784]`, computed in double precision straight from the definitions."""
    x = np.maximum(z.astype(np.float64) @ weights["dense"] + weights["dense_bias"], 0).reshape(SIDE, SIDE, BASE)
    double: Callable[..., Any] = {DEPTH_TO_SPACE: _shuffled, RESIZE: _resized}.get(name, _transposed)
    for index in range(len(CHANNELS)):
        x = np.maximum(double(x, weights[f"stage{index}"], weights[f"stage{index}_bias"]), 0)
    logits = _convolved(x, weights["last"], (1, 1)) + weights["last_bias"]
    return np.asarray(1 / (1 + np.exp(-logits))).reshape(-1)


def _convolved(x: Any, kernel: Array, pad: tuple[int, int]) -> Any:
    x = np.pad(x, [pad, pad, (0, 0)])
    size = kernel.shape[0]
    side = len(x) - size + 1
    return sum(x[a : a + side, b : b + side] @ kernel[a, b].astype(np.float64) for a, b in np.ndindex(size, size))


def _transposed(x: Any, kernel: Array, bias: Array) -> Any:
    size, side = kernel.shape[0], len(x)
    canvas = np.zeros((2 * side + size, 2 * side + size, kernel.shape[3]))
    for a, b in np.ndindex(size, size):
        canvas[a : a + 2 * side : 2, b : b + 2 * side : 2] += x @ kernel[a, b].astype(np.float64)
    start = max(0, size - 2) // 2
    return canvas[start : start + 2 * side, start : start + 2 * side] + bias


def _shuffled(x: Any, kernel: Array, bias: Array) -> Any:
    side, channels = len(x), kernel.shape[3] // 4
    y = (_convolved(x, kernel, (0, 1)) + bias).reshape(side, side, 2, 2, channels)
    return y.transpose(0, 2, 1, 3, 4).reshape(2 * side, 2 * side, channels)


def _resized(x: Any, kernel: Array, bias: Array) -> Any:
    return _convolved(x.repeat(2, 0).repeat(2, 1), kernel, (1, 1)) + bias
