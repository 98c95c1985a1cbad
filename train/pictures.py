"""The pictures of a run by its kind of data: grids of images, or curves and columns in the user's unit."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.data.dataset import ImageSet
from pocketvae.data.items import ItemSet
from pocketvae.fields import ChannelKind
from pocketvae.numerics.likelihoods import places
from pocketvae.numerics.normalization import in_own_unit
from pocketvae.train import plots
from pocketvae.train.model import VaeModel
from pocketvae.vae_spec import DataKind, VaeSpec

_IMAGES = 50
_CURVES, _COLUMNS = 8, 4
# More channels than these would hide one another.
_MOST_CHANNELS = 6
_MOST_FEATURES = 24
_COLOURS = ("#000000", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00")
_SAMPLE_STREAM = 1


def of_run(model: VaeModel, test: ItemSet, seed: int) -> tuple[bytes, bytes]:
    """Returns pictures of draws from the prior, and of items with their reconstructions, as PNG.

    Args:
        model: The trained model.
        test: The test items.
        seed: Of the draws.

    Raises:
        TargetError: matplotlib is not installed.
    """
    if isinstance(test, ImageSet):
        return plots.samples_png(model, seed), plots.reconstructions_png(model, test.take(slice(_IMAGES)))
    drawn = _drawn(model, seed)
    shown = test.spaced(_CURVES)
    z_mean, _ = model.encode(shown.items, shown.labels_or_zeros())
    decoded = np.asarray(model.means(z_mean, shown.labels_or_zeros()))
    draw = _sequences_png if model.spec.data is DataKind.SEQUENCE else _vectors_png
    draw = _spectrograms_png if model.spec.log_mel else draw
    return draw(model.spec, drawn, None), draw(model.spec, shown.items, decoded)


def _drawn(model: VaeModel, seed: int) -> npt.NDArray[np.float32]:
    rng = np.random.default_rng([seed, _SAMPLE_STREAM])
    eps = rng.standard_normal((_CURVES, model.spec.eps_dim)).astype(np.float32)
    z = eps if model.prior is None else np.asarray(model.prior(eps, training=False))
    labels = np.arange(_CURVES, dtype=np.int32) % max(1, model.spec.label_count)
    return np.asarray(model.means(z, labels))


def _sequences_png(vae: VaeSpec, items: npt.NDArray[np.float32], decoded: npt.NDArray[np.float32] | None) -> bytes:
    """Draws windows, a row of axes for each channel; reconstructions are thicker and lighter behind the data."""
    count = min(_MOST_CHANNELS, len(vae.channels))
    columns = min(_COLUMNS, len(items))
    figure = plots.new_figure(2.6 * columns, 1.1 + 1.3 * count)
    axes = figure.subplots(count, columns, squeeze=False, sharex=True, sharey="row")
    time = np.arange(vae.data_shape[0]) / (vae.rate_hz or 1.0)
    own = in_own_unit(items, vae.channels)
    behind = None if decoded is None else in_own_unit(decoded, vae.channels)
    for row, (channel, part) in enumerate(list(places(vae.channels))[:count]):
        for column in range(columns):
            if behind is not None:
                axes[row, column].plot(time, behind[column, :, part], color=_COLOURS[2], linewidth=2.5, alpha=0.6)
            axes[row, column].plot(time, own[column, :, part], color=_COLOURS[0], linewidth=0.8)
            axes[row, column].grid(alpha=0.3)
        axes[row, 0].set_ylabel(channel.name or f"channel {row}")
    for column in range(columns):
        axes[-1, column].set_xlabel("time [s]" if vae.rate_hz else "time step")
    more = "" if count == len(vae.channels) else f"; {len(vae.channels) - count} more channels are not shown"
    title = "draws from the prior" if decoded is None else "test windows (black) and reconstructions (orange)"
    figure.suptitle(f"{title}{more}", fontsize=10)
    return plots.figure_png(figure)


def _spectrograms_png(vae: VaeSpec, items: npt.NDArray[np.float32], decoded: npt.NDArray[np.float32] | None) -> bytes:
    """Draws spectrograms in one scale of decibels; reconstructions in the row below."""
    assert vae.log_mel is not None  # noqa: S101 - called for such a VAE alone
    rows = [in_own_unit(part, vae.channels) for part in (items, decoded) if part is not None]
    low, high = (float(np.quantile(rows[0], share)) for share in (0.01, 0.999))
    figure = plots.new_figure(1.6 * len(items), 0.8 + 1.9 * len(rows))
    axes = figure.subplots(len(rows), len(items), squeeze=False, sharex=True, sharey=True)
    seconds = vae.log_mel.frames * vae.log_mel.hop / vae.log_mel.rate_hz
    ticks = np.linspace(0, vae.log_mel.bands - 1, min(5, vae.log_mel.bands)).astype(int)
    for row, part in enumerate(rows):
        for column, item in enumerate(part):
            extent = (0.0, seconds, -0.5, vae.log_mel.bands - 0.5)
            shown = axes[row, column].imshow(
                item.T, origin="lower", aspect="auto", extent=extent, vmin=low, vmax=max(high, low + 1e-3)
            )
    axes[0, 0].set_yticks(ticks, [vae.channels[tick].name for tick in ticks])
    for column in range(len(items)):
        axes[-1, column].set_xlabel("time [s]")
    figure.colorbar(shown, ax=axes.ravel().tolist(), label="dB")
    title = "draws from the prior" if decoded is None else "test windows (above) and reconstructions (below)"
    figure.suptitle(title, fontsize=10)
    return plots.figure_png(figure)


def _vectors_png(vae: VaeSpec, items: npt.NDArray[np.float32], decoded: npt.NDArray[np.float32] | None) -> bytes:
    """Draws rows as points for each column, in standard deviations; categories by the number of the likeliest."""
    shown = list(places(vae.channels))[:_MOST_FEATURES]
    figure = plots.new_figure(max(6, 2 + 0.45 * len(shown)), 4.2)
    axes = figure.subplots()
    names = [channel.name or str(index) for index, (channel, _) in enumerate(shown)]
    for index in range(len(items)):
        shift = (index - (len(items) - 1) / 2) * 0.08
        places_of = np.arange(len(shown)) + shift
        axes.plot(places_of, _points(items[index], shown), "o", color=_COLOURS[0], markersize=3)
        if decoded is not None:
            axes.plot(places_of, _points(decoded[index], shown), "x", color=_COLOURS[2], markersize=5)
    axes.set_xticks(np.arange(len(shown)), names, rotation=60, ha="right")
    axes.set_ylabel("SDs, probability or no. of category")
    axes.grid(alpha=0.3)
    more = "" if len(shown) == len(vae.channels) else f"; {len(vae.channels) - len(shown)} more columns are not shown"
    title = "draws from the prior" if decoded is None else "test rows (points) and reconstructions (crosses)"
    figure.suptitle(f"{title}{more}", fontsize=10)
    return plots.figure_png(figure)


def _points(item: npt.NDArray[np.float32], shown: list[Any]) -> list[float]:
    return [
        float(np.argmax(item[part]) if channel.kind is ChannelKind.CATEGORY else item[part][0])
        for channel, part in shown
    ]
