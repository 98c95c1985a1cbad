"""Output of decompressed data: one PNG, a folder of PNG files, rows of a table, sound, or arrays."""

from __future__ import annotations

import re
import sys
import unicodedata
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from pocketvae.apps.animation import check_channels, pixels_of, single
from pocketvae.apps.compression.codec import Decompressed
from pocketvae.apps.image_output import NUMBERED, write_numbered
from pocketvae.apps.sound_output import check_sound, write_sound
from pocketvae.apps.value_rows import check_rows, write_rows
from pocketvae.data.image_folder import SUFFIXES
from pocketvae.data.pictures import png_bytes
from pocketvae.documents import decode, encode
from pocketvae.errors import DataError, DataWarning, ManifestError, SpecError
from pocketvae.kinds.registry import kind_of
from pocketvae.numerics.normalization import for_user
from pocketvae.spec import STRICT
from pocketvae.system import files, folders
from pocketvae.system.written import check_nothing_else, check_untouched
from pocketvae.vae_spec import DataKind, VaeSpec

Pixels = npt.NDArray[np.uint8]
# Marks a folder that decompress made, so that --force may replace it.
DECOMPRESSED_NAME = "decompressed.json"
# What systems leave in any folder.
_LEFT = (".DS_Store", "Thumbs.db", "desktop.ini")
# A part of a path that file systems take, whose names have at most 255 bytes.
_LARGEST_NAME_BYTES = 240
_NO_NAME_ON_WINDOWS = re.compile(r'(con|prn|aux|nul|com\d|lpt\d)(\..*)?|.*[<>:"|?*\\].*|.*[. ]', re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class DecompressedFolder:
    """The content of a folder of decompressed images.

    Attributes:
        images: Number of images, numbered from 0.
        exact: Whether they equal the images that were compressed.
        names: Of the images in the order of their numbers, if the compressed file has them.
        files: Path of each image in the folder, with forward slashes; empty if their names are their numbers.
    """

    __pydantic_config__ = STRICT
    schema_version: int = 1
    images: int
    exact: bool
    names: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


def check_only_decompressed(folder: Path) -> None:
    """Checks that a folder that decompress made, and may replace, holds nothing else.

    Raises:
        OutputExistsError: it does.
    """
    try:
        note = decode(DecompressedFolder, (folder / DECOMPRESSED_NAME).read_bytes(), DECOMPRESSED_NAME)
    except (OSError, ManifestError):
        note = DecompressedFolder(images=0, exact=False)
    if note.files:
        check_untouched(folder, dict.fromkeys((*note.files, DECOMPRESSED_NAME), ""), _LEFT, "move what you need")
    else:
        check_nothing_else(folder, (DECOMPRESSED_NAME, NUMBERED))


def file_names(names: Sequence[str]) -> tuple[str, ...]:
    """Returns a path of a PNG file for each name of an image: with `.png` in place of its ending.

    If two are the same then, `.png` is behind the endings of all.

    Returns:
        The paths, with forward slashes; empty if one would lead out of its folder or is no name of a file here, or if
        two are still the same, in capitals or not.
    """
    if not all(map(_is_file_name, names)):
        return ()
    for form in (_in_place, _behind):
        paths = tuple(form(PurePosixPath(name)).as_posix() for name in names)
        if _are_apart(paths):
            return paths
    return ()


def _in_place(path: PurePosixPath) -> PurePosixPath:
    return path.with_suffix(".png") if path.suffix.lower() in SUFFIXES else _behind(path)


def _behind(path: PurePosixPath) -> PurePosixPath:
    return path.with_name(f"{path.name}.png")


def _is_file_name(name: str) -> bool:
    path = PurePosixPath(name)
    return (
        len(path.parts) > 0
        and not path.is_absolute()
        and ".." not in path.parts
        and all(unicodedata.category(character) != "Cc" for character in name)
        and all(len(part.encode()) <= _LARGEST_NAME_BYTES for part in path.parts)
        and not (sys.platform == "win32" and any(map(_NO_NAME_ON_WINDOWS.fullmatch, path.parts)))
    )


def _are_apart(paths: Sequence[str]) -> bool:
    """Whether no two paths are the same file, and none is the folder of another, on any file system."""
    folded = {unicodedata.normalize("NFC", path).casefold() for path in paths}
    folders = {str(parent) for path in folded for parent in PurePosixPath(path).parents}
    return len(folded) == len(paths) and not folded & {*folders, DECOMPRESSED_NAME}


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
    """Writes one item as `.png`, all as `.npz` (`images`, and `labels`, `z`, `names` if there are any), or a folder.

    Vectors and sequences also go into a `.csv`, with a row each, and sequences into a `.wav`, one behind the other; a
    folder is for images, under their names if there are any.

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
        names = np.array(result.names) if result.names else None
        given = {"labels": result.labels, "z": result.z, "names": names}
        extra = {name: value for name, value in given.items() if value is not None}
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
        _write_folder(folder, pictures, result)


def _write_folder(folder: Path, pictures: Pixels, result: Decompressed) -> None:
    paths = file_names(result.names)
    if result.names and not paths:
        warnings.warn(
            f"the images are numbered, because their names cannot be those of files here: {DECOMPRESSED_NAME} has them",
            DataWarning,
            stacklevel=4,
        )
    if not paths:
        write_numbered(folder, 0, pictures)
    for path, picture in zip(paths, pictures if paths else (), strict=True):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(png_bytes(picture))
    note = DecompressedFolder(
        images=len(pictures),
        exact=result.z is None,
        names=result.names,
        files=paths,
    )
    files.write_text(folder / DECOMPRESSED_NAME, encode(note))
