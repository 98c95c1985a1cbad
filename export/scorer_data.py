"""The data that a scorer needs for its threshold: of the run, or of the user's own; checked before anything is made."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.bundle.reference import REFERENCE_NAME, held_out_count, read_reference
from pocketvae.data.dataset import ImageSplits
from pocketvae.data.items import ItemSet
from pocketvae.data.values import load_values
from pocketvae.errors import SpecError
from pocketvae.export.config import ExportConfig
from pocketvae.export.external.data import check_source, load_data
from pocketvae.export.subject import Subject
from pocketvae.kinds.registry import kind_of
from pocketvae.numerics.conformal import check_rate
from pocketvae.progress import ProgressCallback
from pocketvae.spec import Component
from pocketvae.system.files import write_bytes
from pocketvae.vae_spec import DataKind, VaeSpec

# Every file scores them all: more make a threshold no better than the rate that it holds on average.
_MOST_ITEMS = 5000
_MORE = "more of them with --calibrate-scores DATA"


def check_through(config: ExportConfig, subject: Subject) -> None:
    """Checks that what takes data through encoder and decoder can be made.

    Raises:
        SpecError: a model or the data are missing, or the latent is integer codes.
        DataError: there are too few held-out items for the rate of false alarms.
    """
    asked = [component for component in config.components if component.takes_data_through]
    for component in asked:
        missing = [part for part in (Component.ENCODER, Component.DECODER) if part not in subject.models]
        if missing:
            raise SpecError(f"{component}s need a model of the {missing[0]}: name it with --{missing[0]} FILE")
        if subject.vae.codes:
            raise SpecError(
                f"{component}s need real numbers as latents, but those of this VAE are integer codes, which have no "
                f"likelihood: export encoder and decoder"
            )
    if Component.SCORER not in asked:
        return
    plural = kind_of(subject.vae.data).plural
    if subject.vae.conditions and not subject.vae.has_one_label:
        raise SpecError("a scorer needs items with one label at most, but this VAE takes other conditions")
    if subject.reference is None:
        raise SpecError(f"a scorer needs normal {plural} for its threshold: name them with --data SRC")
    more = (
        f"{_MORE} (or train with a smaller --stride)"
        if subject.vae.data is DataKind.SEQUENCE and subject.vae.channels
        else _MORE
    )
    check_rate(config.false_positive_rate, held_out_count(subject.reference), plural, more)


def check_scores_asked(config: ExportConfig, *, has_data: bool) -> None:
    """Checks, before any expensive work, that normal items for a threshold are of use.

    Args:
        config: Names the items, or none.
        has_data: Whether there are data to calibrate with.

    Raises:
        SpecError: no scorer is asked for, or there are no other data.
        DataError: there is nothing of that name.
    """
    if config.calibrate_scores is None:
        return
    if Component.SCORER not in config.components:
        raise SpecError("--calibrate-scores fits the threshold of a scorer: add it to --components")
    if not has_data:
        raise SpecError("--calibrate-scores fits a threshold, but the files have to be calibrated too: add --data SRC")
    check_source(config.calibrate_scores, "--calibrate-scores")


def with_scores_of(subject: Subject, config: ExportConfig, folder: Path, progress: ProgressCallback) -> Subject:
    """Returns the subject with the user's normal items in place of those that its run held out.

    Args:
        subject: What is exported.
        config: Names the items, or none.
        folder: Gets a file of them.
        progress: Called while they are read.

    Raises:
        DataError: they cannot be read, or are not of the model's shape.
        SpecError: no scorer is asked for, or the subject has no other data.
    """
    source, vae = config.calibrate_scores, subject.vae
    check_scores_asked(config, has_data=subject.reference is not None)
    if source is None or subject.reference is None:
        return subject
    items, labels = _normal_items(source, vae, config, progress)
    dtype = np.uint8 if vae.data is DataKind.IMAGE else np.float32
    found = read_reference(subject.reference, vae.input_shape, dtype)
    path = folder / REFERENCE_NAME
    write_bytes(path, replace(found, held_out=items, held_out_labels=labels).archive())
    facts = {"threshold of the scorer": f"{len(items)} {kind_of(vae.data).plural} of {Path(source).name}"}
    return replace(subject, reference=path, provenance={**subject.provenance, **facts})


def _normal_items(
    source: str, vae: VaeSpec, config: ExportConfig, progress: ProgressCallback
) -> tuple[npt.NDArray[Any], npt.NDArray[np.int32]]:
    """Returns the user's normal items and their labels, chosen at random where they are many."""
    if vae.data is not DataKind.IMAGE and not vae.conditions:
        # All of them: how few are enough is for the rate to say.
        values = load_values(source, vae, config.scores_windowing)
        values = values.some(_MOST_ITEMS, np.random.default_rng(config.seed))
        return values.whole(), values.labels_or_zeros()
    splits = load_data(source, vae, config.scores_windowing, progress)
    parts = [splits.train, splits.test, *([splits.validation] if isinstance(splits, ImageSplits) else [])]
    chosen = np.random.default_rng(config.seed).permutation(sum(map(len, parts)))[:_MOST_ITEMS]
    found: list[ItemSet] = []
    first = 0
    for part in parts:
        found.append(part.take(np.sort(chosen[(first <= chosen) & (chosen < first + len(part))] - first)))
        first += len(part)
    return np.concatenate([part.items for part in found]), np.concatenate([part.labels_or_zeros() for part in found])
