"""Scorers and reconstructors of a bundle as objects to call."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pocketvae.errors import DataError, NotFiniteValuesError
from pocketvae.kinds.registry import kind_of
from pocketvae.models.components import Model, first_not_finite
from pocketvae.models.conditions import Given
from pocketvae.numerics.arrays import as_array
from pocketvae.numerics.normalization import in_own_unit, normalized
from pocketvae.numerics.pixels import from_pixels
from pocketvae.runtimes.base import Array, FloatArray
from pocketvae.spec import Component
from pocketvae.vae_spec import ALARM, CONTRIBUTIONS, SCORE, WINDOW, DataKind, VaeSpec


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What a scorer says of N items.

    Attributes:
        score: `[N] float32` in nats, higher is stranger; not finite where an item is not, or far beyond the data.
        alarm: `[N]`, whether the score is above the file's threshold, or no number.
        contributions: `[N, C] float32` in nats, each channel's part of the score; None where there is one channel.
    """

    score: FloatArray
    alarm: npt.NDArray[np.bool_]
    contributions: FloatArray | None


class Scorer(Model):
    """Items to anomaly scores and decisions."""

    @property
    def threshold(self) -> float:
        """In nats: a larger score is an alarm."""
        return self.artifact.scoring.threshold if self.artifact.scoring else float("inf")

    def score(self, windows: Array, label: Given | None = None) -> Scores:
        """Scores items.

        Args:
            windows: `[N, *input_shape]` in the unit of the user's data; images also as uint8 pixels of 0 to 255.
            label: As for an encoder.

        Raises:
            DataError: the items have another shape or type.
            SpecError: a label is missing, superfluous or out of range.
        """
        items = _items(windows, self.vae)
        # A label may stand before it.
        data = next(given for given in self.artifact.inputs if given.name in (WINDOW, "x"))
        name = data.name
        # A file of integers takes what is normalized already.
        taken = items if name == WINDOW else normalized(items, self.vae.input_channels)
        broken = ~np.isfinite(taken).reshape(len(taken), -1).all(axis=1)
        if broken.any():
            # The integers of such a file would make a number of what is none.
            taken = taken.copy()
            taken[broken] = 0
        shaped = taken.reshape(len(taken), *data.shape[1:])
        found = self._outputs({name: shaped}, label)
        contributions = found.get(CONTRIBUTIONS)
        for values in (found[SCORE], contributions):
            if values is not None:
                values[broken] = np.nan
        return Scores(score=found[SCORE], alarm=(found[ALARM] > 0) | broken, contributions=contributions)


class Reconstructor(Model):
    """Items to what the decoder makes of their posteriors' means."""

    def reconstruct(self, items: Array, label: Given | None = None) -> FloatArray:
        """Returns `[N, *data_shape] float32` in the unit of the user's data; of sounds spectrograms in dB.

        Args:
            items: `[N, *input_shape]`; images also as uint8 pixels of 0 to 255.
            label: As for an encoder.

        Raises:
            DataError: the items have another shape or type.
            NotFiniteValuesError: the items or what the model makes of them are not finite.
            SpecError: a label is missing, superfluous or out of range.
        """
        x = normalized(_items(items, self.vae), self.vae.input_channels)
        if not np.isfinite(x).all():
            count, plural = np.count_nonzero(~np.isfinite(x)), kind_of(self.vae.data).plural
            raise NotFiniteValuesError(f"{plural} must be finite, got {count} values that are not", first_not_finite(x))
        found = self._run({"x": x.reshape(len(x), *self.vae.tensor_shape(Component.ENCODER))}, label)
        return in_own_unit(found[self.vae.output].reshape(-1, *self.vae.data_shape), self.vae.channels)


def _items(given: Array, vae: VaeSpec) -> FloatArray:
    plural, is_image = kind_of(vae.data).plural, vae.data is DataKind.IMAGE
    items = as_array(plural, given)
    if items.shape[1:] != vae.input_shape or len(items) == 0:
        raise DataError(f"{plural} must be [N, {', '.join(map(str, vae.input_shape))}], got {list(items.shape)}")
    if items.dtype == np.uint8 and is_image:
        return from_pixels(items, vae.data_range)
    if items.dtype.kind != "f":
        raise DataError(f"{plural} must be {'uint8 or ' if is_image else ''}float, got {items.dtype}")
    return items.astype(np.float32, copy=False)
