"""What sets of images and sets of other data have in common: items, their labels, and the parts of a source."""

from __future__ import annotations

from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt


def random_indices(length: int, count: int, rng: np.random.Generator) -> npt.NDArray[np.intp]:
    """Returns at most `count` of the indices below `length`, chosen at random, in ascending order."""
    return np.sort(rng.permutation(length)[:count])


class ItemSet(Protocol):
    """Items of one shape, with their labels if there are any."""

    @property
    def items(self) -> Any:
        """`[N, *data_shape]`: uint8 of images, else float32 in the unit of the model.

        An array, or what gives arrays for slices and indices and has `shape`: windows that are not all in memory.
        """

    @property
    def given(self) -> Any:
        """`[N, *input_shape]`, what an exported encoder takes: samples of sounds, else the items; see `items`."""

    @property
    def labels(self) -> npt.NDArray[np.int32] | None:
        """`[N] int32` class indices, or None."""

    def __len__(self) -> int: ...

    def labels_or_zeros(self) -> npt.NDArray[np.int32]:
        """Returns `[N] int32`: the labels, or zeros if there are none."""

    def take(self, indices: slice | npt.NDArray[np.intp]) -> Self:
        """Returns the selected items with their labels."""

    def some(self, count: int, rng: np.random.Generator) -> Self:
        """Returns at most `count` items, chosen at random, in their order."""

    def spaced(self, count: int) -> Self:
        """Returns at most `count` items, evenly spaced, in their order."""


class Parts(Protocol):
    """Items to fit with, and items for figures."""

    @property
    def train(self) -> ItemSet:
        """The items that weights are fitted to, or that calibrate."""

    @property
    def test(self) -> ItemSet:
        """The items for the final figures, used for nothing else."""


class Splits(Parts, Protocol):
    """One source's items, each in exactly one split."""

    @property
    def name(self) -> str:
        """Name of the source, for reports."""

    @property
    def validation(self) -> ItemSet:
        """The items for choosing between models."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is wrong with the data, as text."""

    def label_count(self) -> int:
        """Returns one more than the largest label; 0 without labels."""
