"""Output of many images, written one after another: a folder of PNG files, or one array file."""

from __future__ import annotations

import contextlib
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.data.pictures import png_bytes
from pocketvae.errors import DataError
from pocketvae.system.files import staged_file

Pixels = npt.NDArray[np.uint8]
_NAME_DIGITS = 6
_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
# Pattern of the names of images in a folder.
NUMBERED = f"{'[0-9]' * _NAME_DIGITS}*.png"


def image_name(index: int) -> str:
    """Returns the file name of an image in a folder."""
    return f"{index:0{_NAME_DIGITS}}.png"


def write_numbered(folder: Path, first: int, images: Pixels) -> None:
    """Writes images as PNG files with the numbers `first`, `first` + 1 and so on; no file is left half-written."""
    for offset, image in enumerate(images):
        path = folder / image_name(first + offset)
        temporary = folder / f".{path.name}.tmp"
        # Not synced: 100,000 syncs take minutes, and an interrupted process, unlike a power cut, loses no data.
        temporary.write_bytes(png_bytes(image))
        temporary.replace(path)


def written_count(folder: Path, first: int, count: int) -> int:
    """Returns how many consecutive images from `first` on are whole in a folder."""
    return next((done for done in range(count) if not _is_whole(folder / image_name(first + done))), count)


def _is_whole(file: Path) -> bool:
    """Whether a PNG file has its end, which a power cut may have taken."""
    try:
        with file.open("rb") as content:
            content.seek(-len(_PNG_END), os.SEEK_END)
            return content.read() == _PNG_END
    except OSError:
        return False


def check_space(folder: Path, size_bytes: int) -> None:
    """Checks, before any work, that the disk has enough space.

    Raises:
        DataError: there is not enough free space.
    """
    free = shutil.disk_usage(folder).free
    if size_bytes > free:
        raise DataError(f"the output needs about {size_bytes / 1e9:.3g} GB, but {folder} has {free / 1e9:.3g} GB free")


@contextlib.contextmanager
def array_file(
    path: Path, shape: tuple[int, ...], *, force: bool, name: str = "images", dtype: Any = np.uint8
) -> Iterator[Callable[[npt.NDArray[Any]], None]]:
    """Yields a function that appends items to an array of an `.npz` file; memory stays bounded.

    Args:
        path: The file, which appears once everything is written.
        shape: Shape of the whole array, `(N, ...)`.
        force: Replace a file that exists.
        name: Name of the array.
        dtype: Type of its elements.

    Raises:
        OutputExistsError: the file exists and `force` is off.
    """
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
    with (
        staged_file(path, force=force) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open(f"{name}.npy", "w", force_zip64=True) as member,
    ):
        np.lib.format.write_array_header_2_0(member, header)
        yield lambda images: _append(member, images)


def _append(member: object, images: npt.NDArray[Any]) -> None:
    member.write(np.ascontiguousarray(images).tobytes())  # type: ignore[attr-defined]
