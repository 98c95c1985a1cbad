"""Real items that a student learns from beside what its teacher makes of latents."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pocketvae.data.items import ItemSet
from pocketvae.data.values import ValueSplits, windowing_as_trained
from pocketvae.distil.source import Source
from pocketvae.distil.teacher import FloatArray, Latents, Teacher
from pocketvae.errors import ManifestError, SpecError
from pocketvae.export.external.data import check_source, load_data
from pocketvae.export.original.samples import encoder_grey, from_observed, observed_items
from pocketvae.models.model_bundle import find_artifact
from pocketvae.numerics.likelihoods import has_elbo
from pocketvae.numerics.spectrogram import model_items
from pocketvae.progress import ProgressCallback
from pocketvae.spec import Component, Precision
from pocketvae.train.config import TrainConfig
from pocketvae.train.data import sha256_of
from pocketvae.train.evaluated import evaluated_data
from pocketvae.train.presets import with_overrides
from pocketvae.vae_spec import DataKind, Likelihood, VaeSpec

# Keeps its draws apart from those of latents.
_STREAM = 5


@dataclass(frozen=True, kw_only=True)
class Examples:
    """The items of a source.

    Attributes:
        learned: Those to learn from.
        unseen: Those to choose a student with.
        source: Where they come from, as it was given.
        sha256: What identifies those to learn from.
    """

    learned: ItemSet
    unseen: ItemSet
    source: str
    sha256: str


Batch = tuple[Latents, tuple[FloatArray, ...]]


def load_examples(source: Source, data: str, progress: ProgressCallback, *, skip_corrupt: bool = False) -> Examples:
    """Loads the items of a source; for a run as its training did.

    Args:
        source: The run or bundle whose decoder is the teacher.
        data: Source of the items, as for `train`; of a bundle as for `export`.
        progress: Called while a folder is read.
        skip_corrupt: Skip items that cannot be read, of a run.

    Raises:
        DataError: the source is missing, damaged or too small, or its items or labels are not what the model takes.
        SpecError: there is no encoder that says where in the latent space an item lies, or items of a bundle's data are
            to be skipped.
    """
    _check_encoder(source)
    if skip_corrupt and source.run is None:
        raise SpecError("--skip-corrupt is for runs, whose training may have skipped items: leave it out for a bundle")
    if source.run is not None:
        of_run = evaluated_data(
            source.run, data, with_overrides(TrainConfig(), source.config()), skip_corrupt=skip_corrupt
        )
        learned, unseen = of_run.train, of_run.validation
    else:
        check_source(data)
        windowing = windowing_as_trained(data, source.vae, source.config())
        of_bundle = load_data(data, source.vae, windowing, progress)
        learned = of_bundle.train
        # Where there are no items for choosing, none are used for figures either: a bundle has its goldens for those.
        unseen = of_bundle.test if isinstance(of_bundle, ValueSplits) else of_bundle.validation
    return Examples(learned=learned, unseen=unseen, source=data, sha256=sha256_of(learned, unseen))


def draw_items(teacher: Teacher, items: ItemSet, count: int, *, seed: int, stream: int, number: int) -> Batch:
    """Draws items at random, a latent from the posterior of each, and what a student has to return for it.

    That is the item itself as the likelihood sees it, so that the ELBO's own term is minimised. Where the likelihood is
    unknown, or the decoder has a second output, it is what the teacher returns.

    Args:
        teacher: Whose posteriors they are.
        items: What to draw from.
        count: Of items; one can be drawn twice.
        seed: With the next two it determines every draw.
        stream: The purpose.
        number: Of the batch.
    """
    rng = np.random.default_rng([seed, _STREAM, stream, number])
    drawn = items.take(np.sort(rng.integers(0, len(items), count)))
    given, x = _observed(teacher.vae, drawn, rng)
    latents = teacher.from_posterior(given, drawn.labels_or_zeros(), rng)
    is_target = has_elbo(teacher.vae) and teacher.vae.likelihood.decoder_outputs == 1
    return latents, (x,) if is_target else teacher.targets(latents)


def _observed(
    vae: VaeSpec, drawn: ItemSet, rng: np.random.Generator
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Returns items as the encoder takes them, and as the decoder returns them."""
    items = np.asarray(drawn.given[:])
    if vae.data is not DataKind.IMAGE:
        return items, np.asarray(model_items(items, vae), np.float32)
    if vae.likelihood is Likelihood.BERNOULLI:
        x = from_observed(observed_items(items, vae, rng), vae).inputs["x"]
    else:
        x = encoder_grey(items, vae)
    x = np.asarray(x, np.float32).reshape(-1, *vae.data_shape)
    return x, x


def _check_encoder(source: Source) -> None:
    """Checks that the teacher will have an encoder.

    Raises:
        SpecError: it has none.
    """
    if source.bundle is None:
        return
    try:
        find_artifact(source.bundle.manifest, Component.ENCODER, Precision.FLOAT32, None)
    except ManifestError as e:
        raise SpecError(
            "--data needs the teacher's encoder, which says what latent an item has, but the bundle has none in "
            "float32: leave --data out"
        ) from e
