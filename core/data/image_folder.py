"""Folders of image files, decoded once into a memory-mapped file.

The pixels lie in a temporary file that has no name, so that memory stays bounded for folders of any size and nothing is
left behind when the process ends, however it ends.
"""

from __future__ import annotations

import math
import mmap
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from pocketvae.errors import DataError
from pocketvae.progress import Progress, ProgressCallback

Pixels: TypeAlias = npt.NDArray[np.uint8]
Labels: TypeAlias = npt.NDArray[np.int32]

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff"})
_GREY_MODES = ("1", "L")
_COLOUR_MODES = ("P", "PA", "LA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")
_PROGRESS_EVERY = 500


@dataclass(frozen=True, kw_only=True)
class FolderListing:
    """The image files of a folder.

    Attributes:
        files: The files, in the order of their names.
        labels: `[N] int32`, from the first level of subfolders; None if a file is not in a subfolder.
        classes: The label of each subfolder by name.
    """

    files: tuple[Path, ...]
    labels: Labels | None
    classes: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class FolderImages:
    """A decoded folder.

    Attributes:
        images: `[N, H, W, C] uint8`, backed by a file without a name.
        labels: `[N] int32`, or None.
        skipped: Files that were skipped because they cannot be read, with the reason.
    """

    images: Pixels
    labels: Labels | None
    skipped: tuple[str, ...]


def list_folder(path: Path, classes: Mapping[str, int] | None = None) -> FolderListing:
    """Lists a folder's image files and their labels.

    Args:
        path: The folder.
        classes: Labels that are already known, from the training images of the same data.

    Raises:
        DataError: the folder has no image files, or a subfolder that is not one of `classes`.
    """
    files = tuple(sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file()))
    if not files:
        raise DataError(f"{path} does not contain images: expected {', '.join(sorted(SUFFIXES))} files")
    names = [file.relative_to(path).parts[0] if file.parent != path else None for file in files]
    if None in names:
        return FolderListing(files=files, labels=None, classes={})
    found = sorted({name for name in names if name})
    known = classes or {name: index for index, name in enumerate(found)}
    unknown = [name for name in found if name not in known]
    if unknown:
        raise DataError(f"{path} has the subfolder {unknown[0]!r}, which the training images do not have")
    labels = np.array([known[name] for name in names if name], np.int32)
    return FolderListing(files=files, labels=labels, classes=known)


def decode_folder(
    listing: FolderListing, order: npt.NDArray[np.intp], *, skip_corrupt: bool, progress: ProgressCallback
) -> FolderImages:
    """Decodes every file of a listing.

    Args:
        listing: The files.
        order: `[N]`, the order in which to store them, so that splits can be slices.
        skip_corrupt: Skip files that cannot be read.
        progress: Called after every 500 files.

    Raises:
        DataError: a file cannot be read, is transparent or differs in size from the first; the message names the file.
    """
    shape, skipped = _common_shape(listing.files, skip_corrupt=skip_corrupt)
    images = _nameless_array((len(order), *shape))
    kept: list[int] = []
    for done, index in enumerate(order, start=1):
        file = listing.files[index]
        if file not in skipped:
            try:
                images[len(kept)] = read_image(file)
                kept.append(int(index))
            except _UnreadableError as e:
                if not skip_corrupt:
                    raise
                skipped[file] = str(e)
        if done % _PROGRESS_EVERY == 0 or done == len(order):
            progress(Progress(stage="reading images", done=done, total=len(order)))
    return FolderImages(
        images=images[: len(kept)],
        labels=None if listing.labels is None else listing.labels[kept],
        skipped=tuple(skipped.values()),
    )


class _UnreadableError(DataError):
    """A file is damaged, as opposed to intact but of the wrong kind."""


def _common_shape(files: tuple[Path, ...], *, skip_corrupt: bool) -> tuple[tuple[int, int, int], dict[Path, str]]:
    """Reads only the headers, which finds a wrong size among 100,000 files in seconds, before any pixel is read."""
    skipped: dict[Path, str] = {}
    first: tuple[Path, tuple[int, int]] | None = None
    channels = 1
    for file in files:
        try:
            size, grey = _read_header(file)
        except _UnreadableError as e:
            if not skip_corrupt:
                raise
            skipped[file] = str(e)
            continue
        first = first or (file, size)
        if size != first[1]:
            raise DataError(
                f"images must all have the same size: {first[0]} is {first[1][0]}x{first[1][1]}, "
                f"{file} is {size[0]}x{size[1]}"
            )
        channels = channels if grey else 3
    if first is None:
        raise DataError(f"none of the {len(files)} image files can be read; {next(iter(skipped.values()))}")
    width, height = first[1]
    return (height, width, channels), skipped


def _read_header(file: Path) -> tuple[tuple[int, int], bool]:
    """Returns (width, height) and whether the image is grey."""
    from PIL import Image

    try:
        with Image.open(file) as image:
            _check_mode(image.mode, file)
            return image.size, image.mode in _GREY_MODES
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as e:
        raise _UnreadableError(f"{file} cannot be read as an image: {e}") from e


def _check_mode(mode: str, file: Path) -> None:
    # Pillow converts 16-bit and float pixels by clipping them to 0..255: most would become white, or all black.
    if mode not in (*_GREY_MODES, *_COLOUR_MODES):
        raise DataError(f"{file} must have 8 bits per channel, got the mode {mode}: convert it first")


def read_image(file: Path) -> Pixels:
    """Reads one image file as `[H, W, 1 or 3] uint8`.

    Raises:
        DataError: the file cannot be read as an image, does not have 8 bits per channel, or has transparent pixels.
    """
    from PIL import Image

    try:
        with Image.open(file) as image:
            _check_mode(image.mode, file)
            if image.mode in _GREY_MODES:
                return np.asarray(image.convert("L"))[..., None]
            if "A" in image.getbands() or "transparency" in image.info:
                rgba = np.asarray(image.convert("RGBA"))
                if rgba[..., 3].min() < 255:
                    raise DataError(f"{file} has transparent pixels: flatten it onto a background first")
            return np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as e:
        raise _UnreadableError(f"{file} cannot be read as an image: {e}") from e


def _nameless_array(shape: tuple[int, ...]) -> Pixels:
    """Returns an array that may be larger than the memory; its space is freed with it."""
    size = math.prod(shape)
    try:
        if sys.platform == "win32":
            # Windows removes no file that is mapped, and keeps memory without a file in its page file.
            return np.frombuffer(mmap.mmap(-1, max(1, size)), np.uint8, size).reshape(shape)
        with tempfile.TemporaryFile(prefix="pocketvae-") as file:
            file.truncate(size)
            # The map outlives the descriptor.
            return np.memmap(file, np.uint8, "r+", shape=shape)
    except OSError as e:
        raise DataError(
            f"there is not enough space for {shape} pixels in {tempfile.gettempdir()}: set TMPDIR ({e})"
        ) from e
