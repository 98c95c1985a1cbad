"""The pictures of a run: prior samples, reconstructions and learning curves, as PNG bytes."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pocketvae.errors import missing_package
from pocketvae.images import to_pixels, to_unit_interval
from pocketvae.pictures import grid, pixel_scale, png_bytes
from pocketvae.train.loop import EpochMetrics
from pocketvae.train.vae import Vae

_SAMPLE_COUNT, _SAMPLE_COLUMNS = 100, 10
_RECONSTRUCTION_COLUMNS = 10


def samples_png(vae: Vae) -> bytes:
    """Draws the decoder's mean images for 100 latents from the prior."""
    rng = np.random.default_rng([vae.config.seed, 1])
    z = rng.standard_normal((_SAMPLE_COUNT, vae.config.latent_dim)).astype(np.float32)
    images = to_pixels(_decode(vae, z))
    return png_bytes(grid(images, _SAMPLE_COLUMNS), scale=pixel_scale(images.shape[1]))


def reconstructions_png(vae: Vae, images: npt.NDArray[np.uint8]) -> bytes:
    """Draws rows of originals, each followed by the row of their reconstructions from the posterior mean.

    Args:
        vae: The trained model.
        images: `[N, H, W, C] uint8`; as many full rows of 10 as there are.
    """
    z_mean, _ = vae.encoder(to_unit_interval(images), training=False)
    decoded = to_pixels(_decode(vae, z_mean.numpy()))
    columns = min(_RECONSTRUCTION_COLUMNS, len(images))
    rows = [
        part[start : start + columns]
        for start in range(0, len(images) - columns + 1, columns)
        for part in (images, decoded)
    ]
    return png_bytes(grid(np.concatenate(rows), columns), scale=pixel_scale(images.shape[1]))


def curves_png(epochs: Sequence[EpochMetrics]) -> bytes:
    """Plots the negative ELBO of training and validation, and the validation's two terms, against epochs.

    Raises:
        TargetError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as e:
        raise missing_package("matplotlib", "train") from e
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    numbers = [metrics.epoch for metrics in epochs]
    left.plot(numbers, [metrics.train_negative_elbo_nats for metrics in epochs], "o-", label="training")
    left.plot(numbers, [metrics.validation_negative_elbo_nats for metrics in epochs], "o-", label="validation")
    left.set(xlabel="epoch", ylabel="negative ELBO [nats]")
    right.plot(numbers, [m.validation_reconstruction_nats for m in epochs], "o-", label="reconstruction")
    right.plot(numbers, [m.validation_kl_nats for m in epochs], "o-", label="KL to the prior")
    right.set(xlabel="epoch", ylabel="validation terms [nats]", ylim=(0, None))
    for axes in (left, right):
        axes.legend()
        axes.grid(alpha=0.3)
        axes.xaxis.get_major_locator().set_params(integer=True)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=110, metadata={"Software": None})
    return file.getvalue()


def _decode(vae: Vae, z: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    logits = vae.decoder(z, training=False).numpy().astype(np.float64)
    probabilities: npt.NDArray[np.float32] = (1 / (1 + np.exp(-logits))).astype(np.float32)
    return probabilities
