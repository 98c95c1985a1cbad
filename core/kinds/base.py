"""What every kind of data says about itself."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from pocketvae.numerics.arrays import mean_square_error
from pocketvae.vae_spec import VaeSpec

FloatArray: TypeAlias = npt.NDArray[np.float32]
DoubleArray: TypeAlias = npt.NDArray[np.float64]

# How much brighter than the data a picture of differences is.
AMPLIFICATION = 16


class Kind(ABC):
    """One kind of data; what it is called and how its values are shown and compared.

    Attributes:
        noun: One item.
        plural: Several items.
        element: What one number of an item belongs to.
    """

    noun: str
    plural: str
    element = "value"

    def counted(self, count: int) -> str:
        """Returns a number of items in words, for example `1 image` or `2 images`."""
        return f"{count} {self.noun if count == 1 else self.plural}"

    @abstractmethod
    def description(self, shape: tuple[int, ...]) -> str:
        """Returns items of a shape in words, for example `28x28x1 images`."""

    @abstractmethod
    def item(self, shape: tuple[int, ...]) -> str:
        """Returns what one item holds in words, for example `28x28, grey, rows, columns, channels`."""

    @abstractmethod
    def shown(self, values: npt.NDArray[Any], vae: VaeSpec) -> FloatArray:
        """Returns items as pictures `[N, H, W, 1 or 3]` from 0 to 1.

        Args:
            values: `[N, ...]`, also flat, in the VAE's `data_range`.
            vae: Gives the shape and the range.
        """

    @abstractmethod
    def shown_difference(self, values: npt.NDArray[Any], expected: npt.NDArray[Any], vae: VaeSpec) -> FloatArray:
        """Returns |values - expected| times `AMPLIFICATION` as pictures, like `shown`."""

    def deviation(self, share: float) -> str:
        """Returns a deviation as text.

        Args:
            share: Of the range, 1 for all of it.
        """
        return f"{100 * share:.2g} % of the range"

    def budget(self, steps: float, span: float) -> str:
        """Returns where a limit comes from, as text.

        Args:
            steps: The limit in 255ths of the range.
            span: Of the range.
        """
        return f"budget: {self.deviation(steps / 255)} of {span:.3g}"

    def closeness(self, values: npt.NDArray[Any], expected: npt.NDArray[Any], vae: VaeSpec) -> str:
        """Returns how close reconstructions are to their originals, as text.

        Args:
            values: `[N, ...]` in the VAE's `data_range`, or of images pixels, uint8.
            expected: The same of the originals.
            vae: Gives the range.
        """
        error = rms_error(values, expected)
        return f"RMS error {error:.3g}, {100 * error / vae.range_span:.2g} % of the range"

    def similarity(self, values: FloatArray, expected: FloatArray, vae: VaeSpec) -> Mapping[str, DoubleArray]:
        """Returns figures of each item by name that tell how alike items look; none by default."""
        return {}


def rms_error(values: npt.NDArray[Any], expected: npt.NDArray[Any]) -> float:
    """Returns the square root of the mean squared difference, in the values' unit."""
    return math.sqrt(mean_square_error(values, expected))


def unit(values: npt.NDArray[Any], vae: VaeSpec) -> FloatArray:
    """Returns values scaled from the VAE's range to 0 and 1."""
    with np.errstate(over="ignore"):  # Infinite is as far outside the range as any large number.
        scaled: FloatArray = ((values - np.float32(vae.data_range[0])) / np.float32(vae.range_span)).astype(np.float32)
    return scaled
