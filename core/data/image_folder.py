"""Folders of image files, decoded once into a memory-mapped file.

The pixels lie in a temporary file that has no name, so that memory stays bounded for folders of any size and nothing is
left behind when the process ends, however it ends.
"""

from __future__ import annotations

import math
import mmap
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from pocketvae.data.folders import data_files
from pocketvae.data.image_decoder import ImageReport
from pocketvae.data.image_process import ImageProcess
from pocketvae.errors import DataError, ImageWarning
from pocketvae.progress import Progress, ProgressCallback

Pixels: TypeAlias = npt.NDArray[np.uint8]
Labels: TypeAlias = npt.NDArray[np.int32]

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff"})
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
    files = tuple(data_files(path, SUFFIXES))
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
    listing: FolderListing,
    order: npt.NDArray[np.intp],
    *,
    skip_corrupt: bool,
    progress: ProgressCallback,
    size: tuple[int, int] | None = None,
) -> FolderImages:
    """Decodes every file of a listing.

    Args:
        listing: The files.
        order: `[N]`, the order in which to store them, so that splits can be slices.
        skip_corrupt: Skip files that cannot be read.
        progress: Called after every 500 files.
        size: Height and width to scale all images to; None refuses different sizes.

    Raises:
        DataError: a file cannot be read, is transparent or differs in size from the first; the message names the file.
    """
    with ImageProcess(size=size) as process:
        shape, skipped = _common_shape(process, listing.files, size, skip_corrupt=skip_corrupt)
        images = nameless_array((len(order), *shape))
        wanted = [int(index) for index in order if listing.files[index] not in skipped]
        kept: list[int] = []
        notes = _Notes()
        done = len(order) - len(wanted)
        for index, (file, report, pixels) in zip(
            wanted, process.images([listing.files[index] for index in wanted], math.prod(shape)), strict=True
        ):
            done += 1
            try:
                images[len(kept)] = notes.checked(file, report, pixels)
                kept.append(index)
            except _UnreadableError as e:
                if not skip_corrupt:
                    raise
                skipped[file] = str(e)
            if done % _PROGRESS_EVERY == 0 or done == len(order):
                progress(Progress(stage="reading images", done=done, total=len(order)))
    notes.say()
    return FolderImages(
        images=images[: len(kept)],
        labels=None if listing.labels is None else listing.labels[kept],
        skipped=tuple(skipped.values()),
    )


def read_images(files: Sequence[Path]) -> Iterator[Pixels]:
    """Yields each file's image as `[H, W, 1 or 3] uint8`.

    They are decoded in a child process, where each has a time limit.

    Raises:
        DataError: a file cannot be read as an image, does not have 8 bits per channel, or has transparent pixels.
    """
    return (pixels for _, pixels in read_numbered_images(files))


def read_numbered_images(files: Sequence[Path], skipped: dict[Path, str] | None = None) -> Iterator[tuple[int, Pixels]]:
    """Yields images like `read_images`, each with the number of its file.

    Args:
        files: The files.
        skipped: Takes the files that are damaged, with the reason, and nothing is yielded for them; None refuses them.

    Raises:
        DataError: see `read_images`.
    """
    notes = _Notes()
    with ImageProcess() as process:
        for number, (file, report, pixels) in enumerate(process.images(files)):
            try:
                image = notes.checked(file, report, pixels)
            except _UnreadableError as e:
                if skipped is None:
                    raise
                skipped[file] = str(e)
                continue
            yield number, image
    notes.say()


class _UnreadableError(DataError):
    """A file is damaged, as opposed to intact but of the wrong kind."""


class _Notes:
    """What is wrong with files whose pixels are right, which is said once for all of them."""

    def __init__(self) -> None:
        self._first = ""
        self._files: set[Path] = set()

    def checked(self, file: Path, report: ImageReport, pixels: Pixels | None) -> Pixels:
        """Returns the pixels, and keeps the note.

        Raises:
            _UnreadableError: the file is damaged.
            DataError: it is not an image that can be used.
        """
        _check(file, report)
        if report.note:
            self._first = self._first or f"{file}: {report.note}"
            self._files.add(file)
        if pixels is None:
            raise DataError(f"{file} has no pixels")
        return pixels

    def say(self) -> None:
        if self._files:
            more = f" (and {len(self._files) - 1} more files)" if len(self._files) > 1 else ""
            warnings.warn(f"{self._first}{more}; the pixels are not affected", ImageWarning, stacklevel=3)


def _common_shape(
    process: ImageProcess, files: tuple[Path, ...], size: tuple[int, int] | None, *, skip_corrupt: bool
) -> tuple[tuple[int, int, int], dict[Path, str]]:
    """Reads only the headers, which finds a wrong size among 100,000 files in seconds, before any pixel is read."""
    skipped: dict[Path, str] = {}
    first: tuple[Path, ImageReport] | None = None
    channels = 1
    for file, report in process.headers(files):
        try:
            _check(file, report)
        except _UnreadableError as e:
            if not skip_corrupt:
                raise
            skipped[file] = str(e)
            continue
        first = first or (file, report)
        if size is None and (report.width, report.height) != (first[1].width, first[1].height):
            raise DataError(
                f"images must all have the same size: {first[0]} is {first[1].width}x{first[1].height}, "
                f"{file} is {report.width}x{report.height}; train --resize 64 scales all to 64x64"
            )
        channels = max(channels, report.channels)
    if first is None:
        raise DataError(f"none of the {len(files)} image files can be read; {next(iter(skipped.values()))}")
    height, width = size or (first[1].height, first[1].width)
    return (height, width, channels), skipped


def _check(file: Path, report: ImageReport) -> None:
    if report.problem:
        raise (_UnreadableError if report.is_damaged else DataError)(f"{file} {report.problem}")


def array_like(images: Pixels, count: int) -> Pixels:
    """Returns an empty array for so many images of the same size, which like these may be larger than the memory."""
    shape = (count, *images.shape[1:])
    return nameless_array(shape) if isinstance(images, np.memmap) else np.empty(shape, np.uint8)


def nameless_array(shape: tuple[int, ...]) -> Pixels:
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
