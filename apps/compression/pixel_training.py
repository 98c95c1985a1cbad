"""Training of the pixel network: a float network in numpy, trained with Adam, then rounded to integers."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from pocketvae.apps.compression.pixel_network import (
    ACTIVATION_BITS,
    INPUT_WEIGHT_BITS,
    TREE_NODES,
    VALUE_BITS,
    WEIGHT_BITS,
    Integers,
    PixelNetwork,
    Pixels,
    Window,
    squash_table,
)
from pocketvae.errors import SpecError
from pocketvae.progress import Progress, ProgressCallback, ignore_progress
from pocketvae.system.limits import check_number

FloatArray = npt.NDArray[np.float32]
Parameters = dict[str, FloatArray]

# Most windows are blank and all of those are alike: one in so many is used for training, with that weight.
_EMPTY_SHARE = 8
_REPORT_STEPS = 100
# Far above what is of use; numpy would take the memory.
_MOST_STEPS, _MOST_UNITS, _MOST_BATCH_PIXELS = 10_000_000, 4096, 1_000_000


@dataclass(frozen=True, kw_only=True)
class PixelTraining:
    """How the pixel network is fitted.

    Attributes:
        window: The pixels that it sees.
        units: Width of both hidden layers.
        steps: Optimizer steps.
        batch_pixels: Pixels in one step.
        learning_rate: Initial learning rate; it falls to 0 as a half cosine.
        seed: Seed of initial weights and of the order of pixels.

    Raises:
        SpecError: the number of steps, units or pixels is below 1, or absurd.
    """

    window: Window = field(default_factory=lambda: Window(above=4, beside=5))
    units: int = 64
    steps: int = 6000
    batch_pixels: int = 2048
    learning_rate: float = 3e-3
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.steps, self.units, self.batch_pixels) < 1:
            raise SpecError(
                "the pixel network needs at least 1 step, unit and pixel in a batch, "
                f"got {self.steps}, {self.units} and {self.batch_pixels}"
            )
        check_number(self.steps, "steps of the pixel network", most=_MOST_STEPS)
        check_number(self.units, "units of the pixel network", most=_MOST_UNITS)
        check_number(self.batch_pixels, "pixels in a batch", most=_MOST_BATCH_PIXELS)


def fit_pixel_network(
    images: Pixels, training: PixelTraining, progress: ProgressCallback = ignore_progress
) -> PixelNetwork:
    """Fits a network to grey images.

    Args:
        images: `[N, H, W] uint8`.
        training: How to train it.
        progress: Called with the bits per pixel.
    """
    rng = np.random.default_rng(training.seed)
    parameters = _initial(images, training, rng)
    optimizer = _Adam(parameters)
    batches = _PixelBatches(images, training.window, rng)
    bits = 0.0
    for step in range(training.steps):
        loss, gradients = loss_and_gradients(parameters, batches.draw(training.batch_pixels))
        bits += (loss - bits) / min(step + 1, 2 * _REPORT_STEPS)
        rate = training.learning_rate * 0.5 * (1 + np.cos(np.pi * step / training.steps))
        optimizer.step(parameters, gradients, rate)
        if (step + 1) % _REPORT_STEPS == 0 or step + 1 == training.steps:
            detail = f"{bits:.3f} bits per pixel"
            progress(Progress(stage="pixel network", done=step + 1, total=training.steps, detail=detail))
    return _rounded(parameters, training.window)


@dataclass(frozen=True, kw_only=True, eq=False)
class PixelBatch:
    """Pixels to train on.

    Attributes:
        inputs: `[N, I] float32` in [0, 1].
        rows: `[N]`, positions of the pixels.
        columns: `[N]`.
        values: `[N] uint8`, their values.
        weights: `[N] float32`, how many pixels each stands for.
    """

    inputs: FloatArray
    rows: npt.NDArray[np.intp]
    columns: npt.NDArray[np.intp]
    values: Pixels
    weights: FloatArray


class _PixelBatches:
    """Draws random pixels with their windows."""

    def __init__(self, images: Pixels, window: Window, rng: np.random.Generator) -> None:
        self._height, self._width = images.shape[1:]
        self._window, self._rng = window, rng
        self._padded = window.pad(images)
        stride = self._padded.shape[2]
        self._steps = np.array([dy * stride + dx for dy, dx in window.offsets])

    def draw(self, count: int) -> PixelBatch:
        parts: list[npt.NDArray[np.intp]] = []
        weights: list[FloatArray] = []
        found = 0
        while found < count:
            where = self._rng.integers(0, len(self._padded) * self._height * self._width, 4 * count)
            windows = self._flat(where)
            empty = np.asarray(~windows.any(axis=1))
            keep = ~empty | (self._rng.integers(0, _EMPTY_SHARE, len(where)) == 0)
            parts.append(where[keep])
            weights.append(np.where(empty[keep], _EMPTY_SHARE, 1).astype(np.float32))
            found += int(keep.sum())
        where = np.concatenate(parts)[:count]
        values = self._flat(where)
        inputs = np.concatenate(
            [values[:, :-1].astype(np.float32) / 255, (values[:, :-1] > 0)], axis=1, dtype=np.float32
        )
        _, rows, columns = np.unravel_index(where, (len(self._padded), self._height, self._width))
        return PixelBatch(
            inputs=inputs, rows=rows, columns=columns, values=values[:, -1], weights=np.concatenate(weights)[:count]
        )

    def _flat(self, where: npt.NDArray[np.intp]) -> Pixels:
        """Returns every window followed by the pixel itself, `[N, K + 1]`."""
        image, row, column = np.unravel_index(where, (len(self._padded), self._height, self._width))
        _, height, width = self._padded.shape
        centre = (image * height + row + self._window.above) * width + column + self._window.beside
        pixels: Pixels = self._padded.reshape(-1)[centre[:, None] + np.append(self._steps, 0)]
        return pixels


def loss_and_gradients(parameters: Parameters, batch: PixelBatch) -> tuple[float, Parameters]:
    """Returns the mean code length in bits per pixel, and its gradients."""
    p = parameters
    first = np.maximum(batch.inputs @ p["inputs"] + p["rows"][batch.rows] + p["columns"][batch.columns], 0)
    second = np.maximum(first @ p["hidden"] + p["hidden_bias"], 0)
    logits = second @ p["decisions"] + p["decisions_bias"]
    nodes, bits, used = _paths(batch.values)
    chosen = np.take_along_axis(logits, nodes, axis=1)
    signed = np.where(bits, -chosen, chosen)
    weights = used * (batch.weights / batch.weights.sum())[:, None]
    loss = float(np.sum(np.logaddexp(0, signed) * weights) / np.log(2))
    slope = (1 / (1 + np.exp(-chosen)) - bits) * weights / np.log(2)
    d_logits = np.zeros_like(logits)
    # Unused decisions repeat node 0 with weight 0, so that sums are needed, not assignments.
    np.add.at(d_logits, (np.arange(len(nodes))[:, None], nodes), slope.astype(np.float32))
    d_second = (d_logits @ p["decisions"].T) * (second > 0)
    d_first = (d_second @ p["hidden"].T) * (first > 0)
    return loss, {
        "inputs": batch.inputs.T @ d_first,
        "rows": _sum_by(batch.rows, d_first, len(p["rows"])),
        "columns": _sum_by(batch.columns, d_first, len(p["columns"])),
        "hidden": first.T @ d_second,
        "hidden_bias": d_second.sum(axis=0),
        "decisions": second.T @ d_logits,
        "decisions_bias": d_logits.sum(axis=0),
    }


def _paths(values: Pixels) -> tuple[Integers, npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Returns nodes, bits and which of them exist, `[N, 9]` each: is it 0, then eight bits where it is not."""
    wide = values.astype(np.int64)
    shifts = np.arange(VALUE_BITS, 0, -1)
    # The node of a bit is a 1 followed by the bits before it.
    nodes = (wide[:, None] | (1 << VALUE_BITS)) >> shifts
    bits = (wide[:, None] >> (shifts - 1)) & 1
    zero = (wide == 0)[:, None]
    used = np.concatenate([np.ones_like(zero), np.repeat(~zero, VALUE_BITS, axis=1)], axis=1)
    all_nodes = np.concatenate([np.zeros_like(zero, np.int64), np.where(zero, 0, nodes)], axis=1)
    return all_nodes, np.concatenate([zero, bits.astype(bool)], axis=1), used


def _sum_by(keys: npt.NDArray[np.intp], values: FloatArray, count: int) -> FloatArray:
    hot = np.zeros((count, len(keys)), np.float32)
    hot[keys, np.arange(len(keys))] = 1
    return hot @ values


def _initial(images: Pixels, training: PixelTraining, rng: np.random.Generator) -> Parameters:
    units, fan_in = training.units, training.window.input_count

    def normal(rows: int, columns: int, scale: float) -> FloatArray:
        return (rng.standard_normal((rows, columns)) * scale).astype(np.float32)

    return {
        "inputs": normal(fan_in, units, (2 / fan_in) ** 0.5),
        "rows": np.zeros((images.shape[1], units), np.float32),
        "columns": np.zeros((images.shape[2], units), np.float32),
        "hidden": normal(units, units, (2 / units) ** 0.5),
        "hidden_bias": np.zeros(units, np.float32),
        "decisions": normal(units, TREE_NODES, (1 / units) ** 0.5),
        "decisions_bias": np.zeros(TREE_NODES, np.float32),
    }


class _Adam:
    """The Adam optimizer of Kingma and Ba 2015, with their constants."""

    def __init__(self, parameters: Parameters) -> None:
        self._mean = {name: np.zeros_like(value) for name, value in parameters.items()}
        self._square = {name: np.zeros_like(value) for name, value in parameters.items()}
        self._steps = 0

    def step(self, parameters: Parameters, gradients: Parameters, rate: float) -> None:
        self._steps += 1
        scale = np.float32(rate * np.sqrt(1 - 0.999**self._steps) / (1 - 0.9**self._steps))
        for name, gradient in gradients.items():
            mean, square = self._mean[name], self._square[name]
            mean += np.float32(0.1) * (gradient - mean)
            square += np.float32(0.001) * (np.square(gradient) - square)
            parameters[name] -= scale * mean / (np.sqrt(square) + np.float32(1e-8))


def _rounded(parameters: Parameters, window: Window) -> PixelNetwork:
    def fixed(name: str, bits: int, divisor: int = 1) -> Integers:
        return np.round(parameters[name].astype(np.float64) * 2.0**bits / divisor).astype(np.int64)

    return PixelNetwork(
        window=window,
        # The integer inputs range from 0 to 255, the float ones from 0 to 1.
        inputs=fixed("inputs", INPUT_WEIGHT_BITS, 255),
        rows=fixed("rows", INPUT_WEIGHT_BITS),
        columns=fixed("columns", INPUT_WEIGHT_BITS),
        hidden=fixed("hidden", WEIGHT_BITS),
        hidden_bias=fixed("hidden_bias", WEIGHT_BITS + ACTIVATION_BITS),
        decisions=fixed("decisions", WEIGHT_BITS),
        decisions_bias=fixed("decisions_bias", WEIGHT_BITS + ACTIVATION_BITS),
        squash=squash_table(),
    )
