"""Reconstruction: images or other data, encoded and decoded again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.apps.animation import PictureKind, picture, pixels_of
from pocketvae.apps.choice import Choice
from pocketvae.apps.sources import SourceImages
from pocketvae.apps.value_rows import check_rows, write_rows
from pocketvae.errors import DataError, SpecError
from pocketvae.kinds.registry import kind_of
from pocketvae.models.model_bundle import ModelBundle
from pocketvae.numerics.arrays import mean_square_error
from pocketvae.numerics.normalization import for_user
from pocketvae.numerics.spectrogram import model_items
from pocketvae.progress import Progress, ProgressCallback, ignore_progress
from pocketvae.system import files
from pocketvae.vae_spec import DataKind, VaeSpec

_CHUNK = 64
_GRID_ROWS_LIMIT = 500
_PEAK = 255.0


@dataclass(frozen=True, kw_only=True)
class Reconstruction:
    """Images or other data and their reconstructions.

    Attributes:
        vae: The interface of the model.
        images: `[N, H, W, C] uint8`, or `[N, *data_shape] float32` of data that are not images.
        reconstructions: The same, decoded from the posterior's mean.
    """

    vae: VaeSpec
    images: npt.NDArray[Any]
    reconstructions: npt.NDArray[Any]

    @property
    def psnr_db(self) -> float:
        """Peak signal-to-noise ratio of all pixels together, in dB; infinite if nothing differs."""
        mean_square = mean_square_error(self.images, self.reconstructions)
        return float("inf") if mean_square == 0 else 10 * float(np.log10(_PEAK**2 / mean_square))

    @property
    def closeness(self) -> str:
        """How close they are, in the units of their kind."""
        return kind_of(self.vae.data).closeness(self.reconstructions, self.images, self.vae)


def reconstruct(
    bundle: ModelBundle,
    source: SourceImages,
    choice: Choice,
    label: int | None = None,
    progress: ProgressCallback = ignore_progress,
) -> Reconstruction:
    """Encodes images and decodes the means of their posteriors.

    Raises:
        ManifestError: the bundle has no encoder or no decoder of the precision.
        SpecError: the label does not fit the VAE.
        DataError: there are no items, or images that are no pixels.
    """
    source.check(bundle.vae)
    encoder, decoder = choice.encoder(bundle), choice.decoder(bundle)
    decode = decoder.decode_pixels if bundle.vae.data is DataKind.IMAGE else decoder.decode
    labels = source.labels_for(bundle.vae, label)
    parts = []
    for first in range(0, len(source), _CHUNK):
        part = slice(first, first + _CHUNK)
        own = labels[part] if isinstance(labels, np.ndarray) else labels
        with source.named_from(first, bundle.vae):
            parts.append(decode(encoder.encode(source.images[part], own).z_mean, own))
        progress(Progress(stage="reconstructing", done=min(first + _CHUNK, len(source)), total=len(source)))
    items = model_items(source.images, bundle.vae)
    return Reconstruction(vae=bundle.vae, images=items, reconstructions=np.concatenate(parts))


def check_reconstruction_output(
    out: Path, *, columns: int, count: int | None = None, vae: VaeSpec | None = None
) -> None:
    """Checks, before any work, that the output can be written.

    Args:
        out: `.png`, `.npz` or `.csv`.
        columns: Columns of the picture.
        count: Number of items, if it is known.
        vae: The interface of the model, if it is known.

    Raises:
        SpecError: the extension is unknown or not for this kind of data, or `columns` is below 1.
        DataError: the PNG would have more than 500 rows.
    """
    if columns < 1:
        raise SpecError(f"columns must be at least 1, got {columns}")
    kind = out.suffix.lower()
    if kind not in (".png", ".npz", ".csv"):
        raise SpecError(
            f"the output must end in .png or .npz, got {out.name!r}; vectors and sequences also go into a .csv"
        )
    if kind == ".csv" and vae is not None:
        check_rows(vae, "is of")
    if kind == ".png" and count is not None and count > _GRID_ROWS_LIMIT * columns:
        plural = "images" if vae is None else kind_of(vae.data).plural
        raise DataError(f"a picture shows at most {_GRID_ROWS_LIMIT * columns} {plural}: pass --count, or use .npz")


def write_reconstruction(result: Reconstruction, out: Path, *, columns: int, force: bool) -> None:
    """Writes a PNG grid, each row of items followed by a row of their reconstructions; or both arrays as `.npz`.

    Arrays and rows hold values in the unit of the user's data.

    A `.csv` has a row with the reconstruction of each vector or sequence.

    Raises:
        SpecError: the extension is unknown or not for this kind of data, or `columns` is below 1.
        DataError: the PNG would have more than 500 rows.
        OutputExistsError: `out` exists and `force` is off.
    """
    vae, kind = result.vae, out.suffix.lower()
    check_reconstruction_output(out, columns=columns, count=len(result.images), vae=vae)
    files.check_output(out, force=force)
    if kind == ".npz":
        plural = kind_of(vae.data).plural
        arrays = {plural: for_user(result.images, vae), "reconstructions": for_user(result.reconstructions, vae)}
        with files.staged_file(out, force=force) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)
    elif kind == ".csv":
        write_rows(out, vae, [result.reconstructions], force=force)
    else:
        originals, made = (pixels_of(vae, part) for part in (result.images, result.reconstructions))
        files.write_bytes(out, _sheet(originals, made, columns), force=force)


def _sheet(originals: npt.NDArray[np.uint8], made: npt.NDArray[np.uint8], columns: int) -> bytes:
    columns = min(columns, len(originals))
    rows = -(-len(originals) // columns)
    blank = np.full((rows * columns - len(originals), *originals.shape[1:]), 255, np.uint8)
    pairs = [np.concatenate([part, blank]).reshape(rows, columns, *part.shape[1:]) for part in (originals, made)]
    sheet = np.stack(pairs, axis=1).reshape(-1, *originals.shape[1:])
    return picture(sheet, columns, PictureKind.PNG, frame_ms=1)
