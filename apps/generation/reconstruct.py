"""Reconstruction: images, encoded and decoded again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pocketvae.apps.animation import PictureKind, picture
from pocketvae.apps.choice import Choice
from pocketvae.apps.sources import SourceImages
from pocketvae.errors import DataError, SpecError
from pocketvae.models.model_bundle import ModelBundle
from pocketvae.progress import Progress, ProgressCallback, ignore_progress
from pocketvae.system import files

Pixels = npt.NDArray[np.uint8]
_CHUNK = 64
_GRID_ROWS_LIMIT = 500
_PEAK = 255.0


@dataclass(frozen=True, kw_only=True)
class Reconstruction:
    """Images and their reconstructions.

    Attributes:
        images: `[N, H, W, C] uint8`.
        reconstructions: `[N, H, W, C] uint8`, decoded from the posterior's mean.
    """

    images: Pixels
    reconstructions: Pixels

    @property
    def psnr_db(self) -> float:
        """Peak signal-to-noise ratio of all pixels together, in dB; infinite if nothing differs."""
        error = self.images.astype(np.float64) - self.reconstructions
        mean_square = float(np.mean(np.square(error)))
        return float("inf") if mean_square == 0 else 10 * float(np.log10(_PEAK**2 / mean_square))


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
    """
    encoder, decoder = choice.encoder(bundle), choice.decoder(bundle)
    labels = source.labels_for(bundle.vae, label)
    parts = []
    for first in range(0, len(source), _CHUNK):
        part = slice(first, first + _CHUNK)
        own = labels[part] if isinstance(labels, np.ndarray) else labels
        parts.append(decoder.decode_pixels(encoder.encode(source.images[part], own).z_mean, own))
        progress(Progress(stage="reconstructing", done=min(first + _CHUNK, len(source)), total=len(source)))
    return Reconstruction(images=source.images, reconstructions=np.concatenate(parts))


def check_reconstruction_output(out: Path, *, columns: int, count: int | None = None) -> None:
    """Checks, before any work, that the output can be written.

    Args:
        out: `.png` or `.npz`.
        columns: Columns of the picture.
        count: Number of images, if it is known.

    Raises:
        SpecError: the extension is unknown, or `columns` is below 1.
        DataError: the PNG would have more than 500 rows.
    """
    if columns < 1:
        raise SpecError(f"columns must be at least 1, got {columns}")
    if out.suffix.lower() == ".npz":
        return
    if out.suffix.lower() != ".png":
        raise SpecError(f"the output must end in .png or .npz, got {out.name!r}")
    if count is not None and count > _GRID_ROWS_LIMIT * columns:
        raise DataError(f"a picture shows at most {_GRID_ROWS_LIMIT * columns} images: pass --count, or use .npz")


def write_reconstruction(result: Reconstruction, out: Path, *, columns: int, force: bool) -> None:
    """Writes a PNG grid, each row of images followed by a row of their reconstructions, or both arrays as `.npz`.

    Raises:
        SpecError: the extension is unknown, or `columns` is below 1.
        DataError: the PNG would have more than 500 rows.
        OutputExistsError: `out` exists and `force` is off.
    """
    check_reconstruction_output(out, columns=columns, count=len(result.images))
    files.check_output(out, force=force)
    if out.suffix.lower() == ".npz":
        with files.staged_file(out, force=force) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, images=result.images, reconstructions=result.reconstructions)
        return
    columns = min(columns, len(result.images))
    rows = -(-len(result.images) // columns)
    padding = rows * columns - len(result.images)
    blank = np.full((padding, *result.images.shape[1:]), 255, np.uint8)
    parts = (result.images, result.reconstructions)
    pairs = [np.concatenate([part, blank]).reshape(rows, columns, *result.images.shape[1:]) for part in parts]
    sheet = np.stack(pairs, axis=1).reshape(-1, *result.images.shape[1:])
    files.write_bytes(out, picture(sheet, columns, PictureKind.PNG, frame_ms=1))
