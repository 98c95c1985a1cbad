"""Output of decompressed data: one PNG, a folder of PNG files, rows of a table, sound, or arrays."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pocketvae.apps.animation import check_channels, pixels_of, single
from pocketvae.apps.compression.codec import Decompressed
from pocketvae.apps.image_output import NUMBERED, write_numbered
from pocketvae.apps.sound_output import check_sound, write_sound
from pocketvae.apps.value_rows import check_rows, write_rows
from pocketvae.documents import encode
from pocketvae.errors import DataError, SpecError
from pocketvae.kinds.registry import kind_of
from pocketvae.numerics.normalization import for_user
from pocketvae.spec import STRICT
from pocketvae.system import files, folders
from pocketvae.vae_spec import DataKind, VaeSpec

# Marks a folder that decompress made, so that --force may replace it.
DECOMPRESSED_NAME = "decompressed.json"
# All that is written into a folder.
DECOMPRESSED_FILES = (DECOMPRESSED_NAME, NUMBERED)


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


def check_decompressed_output(
    out: Path, count: int | None = None, vae: VaeSpec | None = None, rate_hz: float | None = None
) -> None:
    """Checks, before the items are decoded, that they can be written to the output.

    Args:
        out: The output, whose extension decides; a name without one is a folder.
        count: Number of items, if it is known.
        vae: The interface of the model, if it is known.
        rate_hz: Time steps in a second of a `.wav`; None for the model's own.

    Raises:
        SpecError: the extension is unknown or not for this kind of data, or no rate or a useless one is known.
        DataError: there are several items for one `.png`, or too many for a `.wav`.
        TargetError: soundfile is not installed, and the output is a `.wav`.
    """
    kind = out.suffix.lower()
    if kind not in ("", ".png", ".npz", ".csv", ".wav"):
        raise SpecError(
            f"the output must end in .png or .npz, or name a folder, got {out.name!r}; vectors and sequences also go "
            f"into a .csv, and sequences into a .wav"
        )
    if rate_hz is not None and kind != ".wav":
        raise SpecError(f"only a .wav has a rate, got {out.name!r}: leave out --rate")
    if kind == ".wav" and vae is not None and count is not None:
        check_sound(vae, count, rate_hz)
    if vae is not None and kind == ".csv":
        check_rows(vae, "is of")
    if vae is not None and kind == "" and vae.data is not DataKind.IMAGE:
        plural = kind_of(vae.data).plural
        raise SpecError(f"a folder holds images, but the file holds {plural}: name an .npz, .csv or .png")
    if kind == ".png" and count is not None and count > 1:
        data = DataKind.IMAGE if vae is None else vae.data
        others = "a folder or an" if data is DataKind.IMAGE else "an"
        raise DataError(f"a .png file holds one {kind_of(data).noun}, got {count}: name {others} .npz file")


def write_decompressed(result: Decompressed, out: Path, *, rate_hz: float | None = None, force: bool) -> None:
    """Writes one item as `.png`, all as `.npz` (`images`, and `labels` and `z` if there are any), or a folder.

    Vectors and sequences also go into a `.csv`, with a row each, and sequences into a `.wav`, one behind the other; a
    folder is for images.

    Args:
        result: The items.
        out: The output, whose extension decides.
        rate_hz: Time steps in a second of a `.wav`; by default the model's own.
        force: Replace `out` if it exists.

    Raises:
        SpecError: the extension is unknown or not for this kind of data, or no rate or a useless one is known.
        DataError: there are several items for one `.png`, or too many for a `.wav`.
        TargetError: soundfile is not installed, and the output is a `.wav`.
        OutputExistsError: `out` exists and `force` is off.
    """
    vae, kind = result.vae, out.suffix.lower()
    check_decompressed_output(out, len(result.images), vae, rate_hz)
    if kind == ".npz":
        extra = {name: value for name, value in (("labels", result.labels), ("z", result.z)) if value is not None}
        arrays = {kind_of(vae.data).plural: for_user(result.images, vae), **extra}
        with files.staged_file(out, force=force) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)
        return
    if kind == ".csv":
        write_rows(out, vae, [result.images], force=force)
        return
    if kind == ".wav":
        rate = check_sound(vae, len(result.images), rate_hz)
        write_sound(out, rate, vae.data_shape[1], [for_user(result.images, vae)], force=force)
        return
    pictures = pixels_of(vae, result.images)
    check_channels(pictures.shape[3])
    if kind == ".png":
        files.check_output(out, force=force)
        files.write_bytes(out, single(pictures[0]), force=force)
        return
    with folders.staged_directory(out, force=force) as folder:
        write_numbered(folder, 0, pictures)
        note = DecompressedFolder(images=len(result.images), exact=result.z is None)
        files.write_text(folder / DECOMPRESSED_NAME, encode(note))
