"""The pictures of a run: prior samples, reconstructions and learning curves, as PNG bytes."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.data.dataset import ImageSet, to_unit_interval
from pocketvae.data.pictures import grid, pixel_scale, png_bytes
from pocketvae.errors import missing_package
from pocketvae.numerics.pixels import to_pixels
from pocketvae.train.loop import EpochMetrics
from pocketvae.train.model import VaeModel

_SAMPLE_COUNT, _COLUMNS = 100, 10


def samples_png(model: VaeModel, seed: int) -> bytes:
    """Draws the decoder's mean images for 100 latents from the prior; with labels, a column for each in turn."""
    rng = np.random.default_rng([seed, 1])
    eps = rng.standard_normal((_SAMPLE_COUNT, model.spec.eps_dim)).astype(np.float32)
    z = eps if model.prior is None else np.asarray(model.prior(eps, training=False))
    labels = np.arange(_SAMPLE_COUNT, dtype=np.int32) % _COLUMNS % max(1, model.spec.label_count)
    images = to_pixels(np.asarray(model.means(z, labels)))
    return png_bytes(grid(images, _COLUMNS), scale=pixel_scale(images.shape[1]))


def reconstructions_png(model: VaeModel, originals: ImageSet) -> bytes:
    """Draws rows of originals, each followed by the row of their reconstructions from the posterior mean.

    Args:
        model: The trained model.
        originals: The images to draw, cut to full rows of 10.
    """
    images, labels = originals.images, originals.labels_or_zeros()
    z_mean, _ = model.encode(to_unit_interval(images), labels)
    decoded = to_pixels(np.asarray(model.means(z_mean, labels)))
    columns = min(_COLUMNS, len(images))
    rows: list[npt.NDArray[np.uint8]] = [
        part[start : start + columns]
        for start in range(0, len(images) - columns + 1, columns)
        for part in (images, decoded)
    ]
    return png_bytes(grid(np.concatenate(rows), columns), scale=pixel_scale(images.shape[1]))


def check_plots() -> None:
    """Checks, without importing it, that what draws is installed.

    Raises:
        TargetError: matplotlib is not installed.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise missing_package("matplotlib", "train")


def new_figure(width: float, height: float) -> Any:
    """Returns an empty matplotlib figure of a size in inches.

    Raises:
        TargetError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as e:
        raise missing_package("matplotlib", "train") from e
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def figure_png(figure: Any) -> bytes:
    """Returns a figure as PNG."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=110, metadata={"Software": None})
    return file.getvalue()


def _settled(line: Any, epochs: int) -> npt.NDArray[np.float64]:
    """Returns the values of a line behind so many epochs."""
    numbers, values = (np.asarray(found, np.float64) for found in line.get_data())
    return values[numbers > epochs]


def curves_png(epochs: Sequence[EpochMetrics], noun: str = "image") -> bytes:
    """Plots the training loss and the validation's negative ELBO, and its two terms, against epochs.

    Args:
        epochs: Of the whole run.
        noun: What one item is called.

    Raises:
        TargetError: matplotlib is not installed.
    """
    figure = new_figure(9, 3.6)
    left, right = figure.subplots(1, 2)
    numbers = [metrics.epoch for metrics in epochs]
    style = "o-" if len(epochs) <= 30 else "-"
    left.plot(numbers, [metrics.train_loss_nats for metrics in epochs], style, label="training loss")
    left.plot(numbers, [m.validation_negative_elbo_nats for m in epochs], style, label="validation negative ELBO")
    bounds = [(m.epoch, m.validation_bound_nats) for m in epochs if m.validation_bound_nats is not None]
    if bounds:
        left.plot(*zip(*bounds, strict=True), style, label="validation bound")
    left.set(xlabel="epoch", ylabel=f"nats per {noun}")
    right.plot(numbers, [m.validation_reconstruction_nats for m in epochs], style, label="reconstruction")
    right.plot(numbers, [m.validation_kl_nats for m in epochs], style, label="KL to the prior")
    right.set(xlabel="epoch", ylabel="validation terms [nats]")
    # In the first epochs of a long training run the loss falls so steeply that nothing else would be visible.
    settled = len(epochs) // 20
    for axes in (left, right):
        shown = np.concatenate([_settled(line, settled) for line in axes.get_lines()])
        margin = 0.05 * float(np.ptp(shown)) or 1.0
        axes.set_ylim(shown.min() - margin, shown.max() + margin)
        axes.legend()
        axes.grid(alpha=0.3)
        axes.xaxis.get_major_locator().set_params(integer=True)
    return figure_png(figure)
