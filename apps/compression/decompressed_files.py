"""Output of decompressed images: one PNG, a folder of PNG files, or arrays."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pocketvae.apps.animation import check_channels, single
from pocketvae.apps.compression.codec import Decompressed
from pocketvae.apps.image_output import write_numbered
from pocketvae.documents import encode
from pocketvae.errors import DataError, SpecError
from pocketvae.spec import STRICT
from pocketvae.system import files, folders

# Marks a folder that decompress made, so that --force may replace it.
DECOMPRESSED_NAME = "decompressed.json"


@dataclass(frozen=True, kw_only=True)
class DecompressedFolder:
    """The content of a folder of decompressed images.

    Attributes:
        images: Number of images, numbered from 0.
        exact: Whether they equal the images that were compressed.
    """

    __pydantic_config__ = STRICT
    schema_version: int = 1
    images: int
    exact: bool


def check_decompressed_output(out: Path, count: int | None = None) -> None:
    """Checks, before the images are decoded, that they can be written to the output.

    Args:
        out: The output, whose extension decides; a name without one is a folder.
        count: Number of images, if it is known.

    Raises:
        SpecError: the extension is unknown.
        DataError: there are several images for one `.png`.
    """
    kind = out.suffix.lower()
    if kind not in ("", ".png", ".npz"):
        raise SpecError(f"the output must end in .png or .npz, or name a folder, got {out.name!r}")
    if kind == ".png" and count is not None and count > 1:
        raise DataError(f"a .png file holds one image, got {count}: name a folder or an .npz file")


def write_decompressed(result: Decompressed, out: Path, *, force: bool) -> None:
    """Writes one image as `.png`, all as `.npz` (`images`, and `labels` and `z` if there are any), or a folder.

    Raises:
        SpecError: the extension is unknown.
        DataError: there are several images for one `.png`.
        OutputExistsError: `out` exists and `force` is off.
    """
    check_decompressed_output(out, len(result.images))
    kind = out.suffix.lower()
    if kind == ".npz":
        extra = {name: value for name, value in (("labels", result.labels), ("z", result.z)) if value is not None}
        with files.staged_file(out, force=force) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, images=result.images, **extra)
        return
    check_channels(result.images.shape[3])
    if kind == ".png":
        files.check_output(out, force=force)
        files.write_bytes(out, single(result.images[0]))
        return
    with folders.staged_directory(out, force=force) as folder:
        write_numbered(folder, 0, result.images)
        note = DecompressedFolder(images=len(result.images), exact=result.z is None)
        files.write_text(folder / DECOMPRESSED_NAME, encode(note))
