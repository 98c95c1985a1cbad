"""What is computed of a block: the functions that the commands call on this machine, applied to some of the items."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from pocketvae.apps.anomaly.calibration import Calibration
from pocketvae.apps.anomaly.features import image_features
from pocketvae.apps.anomaly.scores import scores
from pocketvae.apps.choice import Choice
from pocketvae.apps.clusters.reading import Reader, Source, at_hand, open_reader, read_all, read_sound
from pocketvae.apps.compression.codec import decoded_items, far_outside
from pocketvae.apps.generation.generate import GenerateRequest, generate
from pocketvae.apps.generation.reconstruct import reconstruct
from pocketvae.apps.latents_file import encode_images
from pocketvae.apps.sources import SourceImages
from pocketvae.blocks.plan import SKIPPED, Arrays, Block, Compute
from pocketvae.blocks.storage import Storage, is_address
from pocketvae.blocks.work_folder import Place
from pocketvae.data.item_files import ItemFile
from pocketvae.documents import encode
from pocketvae.errors import DataError, ManifestError
from pocketvae.models.model_bundle import ModelBundle
from pocketvae.models.model_bundle import open as open_models
from pocketvae.system.files import sha256_bytes
from pocketvae.system.temporary import temporary_directory

NAME, LABEL, BEYOND = "name", "label", "beyond"
ITEM, RECONSTRUCTION = "item", "reconstruction"
# Files of a work folder.
LATENTS, CLASSES = "input-latents.npy", "input-labels.npy"
Z_MEAN, Z_LOG_VAR, FAR = "z_mean", "z_log_var", "far"


@dataclass(frozen=True, kw_only=True)
class BundlePlace:
    """Where workers find the bundle of the command.

    Attributes:
        place: The bundle's folder, or its address.
        sha256: Of its manifest, see `manifest_sha256`.
    """

    place: str
    sha256: str

    @contextlib.contextmanager
    def opened(self) -> Iterator[ModelBundle]:
        """Yields the bundle; from an address it is copied to this machine first.

        Raises:
            ManifestError: it is not a bundle, or another than the command's.
        """
        with contextlib.ExitStack() as stack:
            folder: str | Path = self.place
            if is_address(self.place):
                folder = Storage(self.place).fetch(stack.enter_context(temporary_directory()))
            bundle = stack.enter_context(open_models(folder))
            if manifest_sha256(bundle) != self.sha256:
                raise ManifestError(
                    f"the bundle at {self.place} must be the one that the command opened, but its manifest is another: "
                    f"it was exported again since, or this machine has another one there"
                )
            yield bundle


def manifest_sha256(bundle: ModelBundle) -> str:
    """Returns the SHA-256 of a bundle's manifest, which holds the hashes of its files, as it was when it was opened."""
    return sha256_bytes(encode(bundle.manifest).encode())


@dataclass(frozen=True, kw_only=True)
class ItemJob(ABC):
    """Something that is computed of the items of a source.

    Attributes:
        bundle: Where the bundle is.
        source: The source.
        choice: Which artifacts to use.
        label: One class for all; by default each item's own.
    """

    bundle: BundlePlace
    source: Source
    choice: Choice
    label: int | None = None

    @contextlib.contextmanager
    def open(self) -> Iterator[Compute]:
        """See `Job.open`."""
        with self.bundle.opened() as bundle, at_hand(self.source, bundle.vae) as source:
            yield partial(self._of_block, bundle, open_reader(source, bundle.vae))

    def _of_block(self, bundle: ModelBundle, reader: Reader, block: Block) -> Arrays:
        lost: list[str] = []
        try:
            items = read_sound(reader, block, lost) if self.source.skip_corrupt else read_all(reader, block)
        except DataError as e:
            raise DataError(f"it cannot be read: {e}; --skip-corrupt leaves it out") from e
        notes = {SKIPPED: np.array(lost, np.str_)}
        if items is None:
            return notes
        found = {NAME: np.array(items.names), **notes, **self.of_items(bundle, items)}
        return found if items.labels is None else {**found, LABEL: items.labels}

    @abstractmethod
    def of_items(self, bundle: ModelBundle, items: SourceImages) -> Arrays:
        """Returns columns with a row for each item."""


@dataclass(frozen=True, kw_only=True)
class EncodeJob(ItemJob):
    """Posteriors, and whether an item is far outside the data that the model was made for."""

    def of_items(self, bundle: ModelBundle, items: SourceImages) -> Arrays:
        """See `ItemJob`."""
        posterior = encode_images(bundle, items, self.choice, self.label)
        found = {Z_MEAN: posterior.z_mean, FAR: far_outside(bundle.vae, items.images)}
        return found if posterior.z_log_var is None else {**found, Z_LOG_VAR: posterior.z_log_var}


@dataclass(frozen=True, kw_only=True)
class ScoreJob(ItemJob):
    """Every score of a calibration.

    Attributes:
        calibration: What scores are computed with.
    """

    calibration: Calibration

    def of_items(self, bundle: ModelBundle, items: SourceImages) -> Arrays:
        """See `ItemJob`."""
        fitted = self.calibration
        features = image_features(bundle, items, self.choice, fitted.sampling, self.label)
        found = scores(features, bundle.vae, fitted.noise_scale, fitted.density, fitted.offset)
        return {**{str(kind): values for kind, values in found.items()}, BEYOND: features.beyond}


@dataclass(frozen=True, kw_only=True)
class ReconstructJob(ItemJob):
    """Items as the decoder would have to return them, and what it returns."""

    def of_items(self, bundle: ModelBundle, items: SourceImages) -> Arrays:
        """See `ItemJob`."""
        found = reconstruct(bundle, items, self.choice, self.label)
        return {ITEM: found.images, RECONSTRUCTION: found.reconstructions}


@dataclass(frozen=True, kw_only=True)
class GenerateJob:
    """Items of the prior.

    Attributes:
        bundle: Where the bundle is.
        request: All of them.
    """

    bundle: BundlePlace
    request: GenerateRequest

    @contextlib.contextmanager
    def open(self) -> Iterator[Compute]:
        """See `Job.open`."""
        with self.bundle.opened() as bundle:
            yield partial(self._of_block, bundle)

    def _of_block(self, bundle: ModelBundle, block: Block) -> Arrays:
        return {ITEM: np.concatenate(list(generate(bundle, self.request.part(block.first, block.last))))}


@dataclass(frozen=True, kw_only=True)
class DecodeJob:
    """What the decoder makes of latents.

    Attributes:
        bundle: Where the bundle is.
        place: Where the latents are, `[N, D] float32` in `LATENTS`.
        has_labels: Whether labels are there, `[N] int32` in `CLASSES`.
        choice: Which decoder to use.
    """

    bundle: BundlePlace
    place: Place
    has_labels: bool
    choice: Choice

    @contextlib.contextmanager
    def open(self) -> Iterator[Compute]:
        """See `Job.open`."""
        labels = ItemFile(self.place.opened(CLASSES)) if self.has_labels else None
        with self.bundle.opened() as bundle:
            yield partial(self._of_block, bundle, ItemFile(self.place.opened(LATENTS)), labels)

    def _of_block(self, bundle: ModelBundle, latents: ItemFile, labels: ItemFile | None, block: Block) -> Arrays:
        part = slice(block.first, block.last)
        own = None if labels is None else labels[part]
        return {ITEM: decoded_items(bundle, latents[part], own, self.choice)}
