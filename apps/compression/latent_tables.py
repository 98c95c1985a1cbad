"""Integer frequency tables of quantized latents.

Every dimension has a grid whose unit is a power of two in proportion to the posterior's standard deviation, and a
histogram over it. A coarser grid, for a lower quality, adds up neighbouring cells. Fitting uses floating point once;
coding only uses the stored integers, and a latent is an integer times a power of two, which is exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pocketvae.apps.compression.rans import TOTAL
from pocketvae.errors import DataError, SpecError
from pocketvae.models.components import Posterior
from pocketvae.runtimes.base import FloatArray

Integers = npt.NDArray[np.int64]

# Grid units per step for each quality.
STEPS = (64, 48, 32, 24, 16, 12, 8, 6, 4, 2)
BEST_QUALITY = len(STEPS)
DEFAULT_QUALITY = 7
_UNITS_PER_SIGMA = 8
# Without posteriors, what stands for their standard deviation: this share of that of the latents. It is finer than
# decoders need, and fitting makes the unit coarser as far as the decoder allows.
_SIGMA_SHARE = 1 / 16
# A grid covers this many standard deviations of the latents, and all latents it is fitted to; others are moved to
# its edge.
_COVERED = 6
_SCALE = 1 << 24
_LEAST_SPREAD = 1e-6
_LARGEST_CELLS = 4096
# Of a latent or its standard deviation, which are about 1; a grid of larger ones would store all others as 0.
_LARGEST = 1e6


@dataclass(frozen=True, kw_only=True, eq=False)
class LatentTables:
    """Grids and histograms of all latent dimensions.

    Attributes:
        exponents: `[D]`, the unit of dimension d is 2^-exponent.
        counts: `[D, 2 * R + 1]`, how often each cell from -R to R occurs; at least 1.
    """

    exponents: Integers
    counts: Integers

    def __post_init__(self) -> None:
        dims, cells = self.counts.shape if self.counts.ndim == 2 else (0, 0)
        if self.exponents.shape != (dims,) or cells % 2 == 0 or not 1 < cells <= 2 * _LARGEST_CELLS + 1:
            raise DataError(
                f"latent tables must be [D] and [D, 2R + 1], got {self.exponents.shape}, {self.counts.shape}"
            )
        if (
            self.counts.min() < 1
            or self.counts.max() > 1 << 32
            or not -64 <= self.exponents.min() <= self.exponents.max() <= 64
        ):
            raise DataError("latent tables must hold counts of 1 to 2^32 and exponents of -64 to 64")

    @property
    def latent_dim(self) -> int:
        """D."""
        return len(self.exponents)

    def symbols(self, z: FloatArray, quality: int) -> Integers:
        """Quantizes latents `[N, D]` to symbols from 0 up, to the nearest grid point."""
        reach, step = self.counts.shape[1] // 2, steps_of(quality)
        units = np.round(np.ldexp(z.astype(np.float64), self.exponents.astype(np.int32)))
        cells = np.clip(units, -reach, reach).astype(np.int64)
        symbols: Integers = (cells + step // 2) // step + self._lowest(step)
        return symbols

    def left_out(self, z: FloatArray) -> npt.NDArray[np.bool_]:
        """Returns which of the latents `[N, D]` lie off the grid, so that they are moved to its edge, `[N]`."""
        units = np.ldexp(np.abs(z.astype(np.float64)), self.exponents.astype(np.int32))
        left_out: npt.NDArray[np.bool_] = (units > self.counts.shape[1] // 2 + 0.5).any(axis=1)
        return left_out

    def latents(self, symbols: Integers, quality: int) -> FloatArray:
        """Returns the latents that the symbols represent, `[N, D] float32`, exactly."""
        step = steps_of(quality)
        units = (symbols - self._lowest(step)) * step
        latents: FloatArray = np.ldexp(units.astype(np.float64), -self.exponents.astype(np.int32)).astype(np.float32)
        return latents

    def frequencies(self, quality: int) -> Integers:
        """Returns each dimension's symbol frequencies, `[D, S]`; each row adds up to 16384."""
        reach, step = self.counts.shape[1] // 2, steps_of(quality)
        cells = (np.arange(-reach, reach + 1) + step // 2) // step + self._lowest(step)
        sums = np.zeros((self.latent_dim, int(cells[-1]) + 1), np.int64)
        np.add.at(sums.T, cells, self.counts.T)
        share = TOTAL - sums.shape[1]
        table: Integers = 1 + sums * share // sums.sum(axis=1, keepdims=True)
        # The remainder of rounding down goes to the most frequent symbol.
        table[np.arange(len(table)), table.argmax(axis=1)] += TOTAL - table.sum(axis=1)
        return table

    def _lowest(self, step: int) -> int:
        """Returns the symbol of the latent 0."""
        reach = int(self.counts.shape[1]) // 2
        return -((-reach + step // 2) // step)


def steps_of(quality: int) -> int:
    """Returns the grid units per step of a quality.

    Raises:
        SpecError: the quality is not one of 1 to 10.
    """
    if not 1 <= quality <= BEST_QUALITY:
        raise SpecError(f"quality must be 1 (smallest) to {BEST_QUALITY} (best), got {quality}")
    return STEPS[quality - 1]


def fit_latent_tables(posterior: Posterior, *, doublings: int = 0) -> LatentTables:
    """Fits tables to the posteriors of images, `[N, D]`; a tenth of the histograms is the prior N(0, I).

    Of an encoder without a posterior, a sixteenth of the latents' own standard deviation stands for that of the
    posterior, and a normal distribution of their size for the prior.

    Args:
        posterior: Posteriors of the images.
        doublings: How often to double the unit, which is a sixteenth to an eighth of the mean standard deviation, or
            the smallest with which the grid reaches as far as the latents do.

    Raises:
        DataError: the posteriors are so wide or so far from the prior that no grid covers them.
    """
    means = posterior.z_mean.astype(np.float64)
    sizes = np.abs(means)
    spreads = np.ones(means.shape[1])
    if posterior.z_log_var is not None:
        _check_covered(posterior.z_mean, posterior.z_log_var)
        sigma = np.exp(0.5 * posterior.z_log_var.astype(np.float64)).mean(axis=0)
    else:
        # A latent that never changes is coded in any unit.
        sigma = _SIGMA_SHARE * np.maximum(means.std(axis=0), _LEAST_SPREAD)
        spreads = np.maximum(np.sqrt(np.square(means).mean(axis=0)), _LEAST_SPREAD)
    widths = np.maximum(_COVERED * np.maximum(spreads, sizes.std(axis=0) + sizes.mean(axis=0)), sizes.max(axis=0))
    with np.errstate(divide="ignore"):
        finest = np.ceil(np.log2(_UNITS_PER_SIGMA / sigma))
    # A grid that is too small would move latents to its edge, which costs far more than a coarser unit.
    reaching = np.floor(np.log2(_LARGEST_CELLS / widths))
    exponents = np.minimum(finest, reaching).astype(np.int64) - doublings
    units = np.ldexp(1.0, -exponents.astype(np.int32))
    reach = int(np.ceil(np.max(widths / units)))
    centres = np.arange(-reach, reach + 1)
    rows = [_histogram(means[:, d] / units[d], centres, float(units[d] / spreads[d])) for d in range(len(exponents))]
    return LatentTables(exponents=exponents, counts=np.stack(rows))


def _check_covered(z_mean: FloatArray, z_log_var: FloatArray) -> None:
    means, log_vars = np.abs(z_mean).max(axis=1), z_log_var.max(axis=1)
    far = np.flatnonzero((means > _LARGEST) | (log_vars > 2 * np.log(_LARGEST)))
    if len(far):
        raise DataError(
            f"the tables cannot cover the latents of {len(far)} of {len(means)} items to fit to, z_mean up to "
            f"{means.max():g} with a log-variance up to {log_vars.max():g}: fit to data like those that the model was "
            f"trained on"
        )


def _histogram(values: npt.NDArray[np.float64], centres: Integers, unit: float) -> Integers:
    """Returns the counts of values in units, a tenth of them of a normal distribution whose spread is 1 / unit."""
    reach = len(centres) // 2
    cells = np.clip(np.round(values), -reach, reach).astype(np.int64) + reach
    seen = np.bincount(cells, minlength=len(centres)) / len(values)
    # Few images leave gaps: a kernel of Silverman's width fills them.
    width = max(1.0, 1.06 * float(values.std()) * len(values) ** -0.2)
    offsets = np.arange(-int(3 * width), int(3 * width) + 1)
    kernel = np.exp(-0.5 * np.square(offsets / width))
    smooth = np.convolve(seen, kernel / kernel.sum())[len(offsets) // 2 :][: len(centres)]
    normal = np.exp(-0.5 * np.square(centres * unit))
    counts: Integers = 1 + np.round(_SCALE * (0.9 * smooth + 0.1 * normal / normal.sum())).astype(np.int64)
    return counts
