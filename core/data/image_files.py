"""Readers of files with many images: the embedded MNIST, idx, npz and npy, as uint8 pixels and labels."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import math
import struct
import zlib
from importlib import resources
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from pocketvae.data.array_files import NpzReader, open_npz, read_header, read_npy
from pocketvae.errors import DataError
from pocketvae.numerics.pixels import to_pixels
from pocketvae.parsing import shortened

Pixels: TypeAlias = npt.NDArray[np.uint8]
Labels: TypeAlias = npt.NDArray[np.int32]
RawImages: TypeAlias = tuple[Pixels, Labels | None]

# SHA-256 of the uncompressed files. Source: Y. LeCun and C. Cortes, the MNIST database, CC BY-SA 3.0.
_MNIST_SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
_IDX_UBYTE = 0x08
_IDX_RANKS = (1, 3)
_CHUNK_BYTES = 1 << 20
# More classes than any data set has, and few enough for a table with a row for each.
_LARGEST_LABEL = (1 << 16) - 1
TRAIN_KEYS = ("images", "x_train", "train_images", "x", "data", "arr_0")
TRAIN_LABEL_KEYS = ("labels", "y_train", "train_labels", "y")
TEST_KEYS = ("x_test", "test_images")
TEST_LABEL_KEYS = ("y_test", "test_labels")


def read_mnist() -> tuple[RawImages, RawImages]:
    """Returns MNIST's 60,000 training and 10,000 test images with labels, which ship with the package.

    Raises:
        DataError: the installed files are missing or damaged.
    """
    train = _mnist_idx("train-images-idx3-ubyte")[..., None], _mnist_idx("train-labels-idx1-ubyte").astype(np.int32)
    test = _mnist_idx("t10k-images-idx3-ubyte")[..., None], _mnist_idx("t10k-labels-idx1-ubyte").astype(np.int32)
    return train, test


def idx_files(path: Path) -> list[Path]:
    """Returns the idx files of images in a folder."""
    return sorted(path.glob("*images*idx3-ubyte*"))


def is_image_folder(path: Path) -> bool:
    """Whether a path is a folder of image files, such as PNG, and not of idx files."""
    return path.is_dir() and not idx_files(path)


def read_source(path: Path) -> tuple[RawImages, RawImages | None]:
    """Reads a file, or a folder of idx files; the second value is the source's own test split if it has one.

    Raises:
        DataError: the content is damaged or not image data that pocketvae reads.
    """
    if path.is_dir():
        return _read_idx_directory(path, idx_files(path))
    if path.suffix == ".npz":
        return _read_npz(path)
    if path.suffix == ".npy":
        return _read_npy(path), None
    return _read_idx_pair(path), None


def check_whole_numbers(path: Path) -> None:
    """Checks, by the header, that the images of an array file are whole numbers, which pixels keep as they are.

    Raises:
        DataError: they are floats, which `read_source` rounds to 8 bits.
    """
    if path.suffix not in (".npy", ".npz") or not path.is_file():
        return
    try:
        dtype = _dtype_of_images(path)
    except (ValueError, OSError):
        return  # Reading it says what is wrong.
    if dtype is not None and dtype.kind == "f":
        raise DataError(
            f"{path} holds {dtype}, which would be rounded to 8 bits: leave out --lossless, or save pixels as uint8"
        )


def _dtype_of_images(path: Path) -> np.dtype[Any] | None:
    if path.suffix == ".npy":
        with path.open("rb") as file:
            return read_header(file).dtype
    with open_npz(path) as archive:
        key = next((key for key in TRAIN_KEYS if key in archive.names), None)
        if key is None:
            return None
        with archive.opened(key) as file:
            return read_header(file).dtype


def parse_idx(content: bytes, name: str) -> Pixels:
    """Parses one idx file of unsigned bytes: two zero bytes, the type, the rank, big-endian sizes, data.

    Raises:
        DataError: the header or the length is wrong.
    """
    if len(content) < 4 or content[:2] != b"\0\0":
        raise DataError(f"{name} is not an image file, .npz, .npy or idx file, which would begin with two zero bytes")
    kind, rank = content[2], content[3]
    if kind != _IDX_UBYTE:
        raise DataError(f"{name} must hold unsigned bytes (idx type 0x08), got type {kind:#04x}")
    if rank not in _IDX_RANKS:
        raise DataError(f"{name} must hold images (rank 3) or labels (rank 1), got rank {rank}")
    header = 4 + 4 * rank
    if len(content) < header:
        raise DataError(f"{name} is truncated inside its header")
    shape = struct.unpack(f">{rank}I", content[4:header])
    expected = math.prod(shape)
    if len(content) - header != expected:
        raise DataError(f"{name} must hold {expected} bytes for the shape {shape}, got {len(content) - header}")
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def _mnist_idx(name: str) -> Pixels:
    file = resources.files("pocketvae") / "mnist" / f"{name}.xz"
    try:
        content = lzma.decompress(file.read_bytes())
    except (OSError, lzma.LZMAError) as e:
        raise DataError(f"the embedded MNIST file {name}.xz is missing or damaged: reinstall pocketvae") from e
    if hashlib.sha256(content).hexdigest() != _MNIST_SHA256[name]:
        raise DataError(f"the embedded MNIST file {name}.xz has the wrong SHA-256: reinstall pocketvae")
    return parse_idx(content, name)


def _read_idx(path: Path) -> Pixels:
    try:
        with _open_idx(path) as file:
            # The header says how much to read: what a small file unpacks to may not fit the memory.
            header = file.read(4 + 4 * max(_IDX_RANKS))
            content = header + _read_at_most(file, _idx_bytes(header) + 1 - len(header))
    except (OSError, EOFError, zlib.error, lzma.LZMAError, MemoryError) as e:
        raise DataError(f"{path} cannot be read: {shortened(str(e) or type(e).__name__)}") from e
    return parse_idx(content, str(path))


def _read_at_most(file: IO[bytes], size_bytes: int) -> bytes:
    parts = []
    while size_bytes > 0 and (part := file.read(min(size_bytes, _CHUNK_BYTES))):
        parts.append(part)
        size_bytes -= len(part)
    return b"".join(parts)


def _open_idx(path: Path) -> IO[bytes]:
    openers: dict[str, Any] = {".gz": gzip.open, ".xz": lzma.open}
    file: IO[bytes] = openers.get(path.suffix, Path.open)(path, "rb")
    return file


def _idx_bytes(header: bytes) -> int:
    """Returns the length of an idx file by its first bytes; what is not one is read no further."""
    rank = header[3] if len(header) > 3 and header[:3] == bytes([0, 0, _IDX_UBYTE]) else 0
    size = 4 + 4 * rank
    if rank not in _IDX_RANKS or len(header) < size:
        return len(header)
    sizes: tuple[int, ...] = struct.unpack(f">{rank}I", header[4:size])
    return size + math.prod(sizes)


def _read_idx_pair(path: Path) -> RawImages:
    images = _read_idx(path)
    if images.ndim != 3:
        raise DataError(f"{path} must be an idx file of images (rank 3), got rank {images.ndim}")
    labels_path = path.with_name(path.name.replace("images-idx3", "labels-idx1").replace("images.idx3", "labels.idx1"))
    if labels_path == path or not labels_path.exists():
        return images[..., None], None
    labels = _read_idx(labels_path)
    if labels.ndim != 1:
        raise DataError(f"{labels_path} must be an idx file of labels (rank 1), got rank {labels.ndim}")
    return images[..., None], labels.astype(np.int32)


def _read_npz(path: Path) -> tuple[RawImages, RawImages | None]:
    try:
        with open_npz(path) as archive:
            train = _pick(archive, TRAIN_KEYS, TRAIN_LABEL_KEYS, path)
            test = _pick(archive, TEST_KEYS, TEST_LABEL_KEYS, path)
            names = shortened(sorted(archive.names))
    except (ValueError, OSError) as e:
        raise DataError(f"{path} cannot be read as numpy data: {e}") from e
    if train is None:
        raise DataError(f"{path} must hold an array named {' or '.join(TRAIN_KEYS)}, got {names}")
    return train, test


def _read_npy(path: Path) -> RawImages:
    try:
        array = read_npy(path)
    except (ValueError, OSError) as e:
        raise DataError(f"{path} cannot be read as numpy data: {e}") from e
    return as_pixels(array, str(path)), None


def _pick(archive: NpzReader, keys: tuple[str, ...], label_keys: tuple[str, ...], path: Path) -> RawImages | None:
    key = next((key for key in keys if key in archive.names), None)
    if key is None:
        return None
    label_key = next((key for key in label_keys if key in archive.names), None)
    images = as_pixels(archive.read(key), f"{path}:{key}")
    return images, None if label_key is None else as_labels(archive.read(label_key), f"{path}:{label_key}")


def as_labels(array: npt.NDArray[np.generic], name: str) -> Labels:
    """Checks and converts labels to `[N] int32`; whole numbers of any type are taken."""
    flat = array.reshape(-1)
    if flat.dtype.kind == "f" and not np.isfinite(flat).all():
        raise DataError(f"{name} holds {np.count_nonzero(~np.isfinite(flat))} labels that are NaN or infinite")
    if len(flat) and not 0 <= flat.min() <= flat.max() <= _LARGEST_LABEL:
        raise DataError(f"{name}: labels must be 0 to {_LARGEST_LABEL}, got {flat.min()} to {flat.max()}")
    labels = flat.astype(np.int32)
    if not np.array_equal(labels, flat):
        raise DataError(f"{name}: labels must be whole numbers, got {flat[labels != flat][0]}")
    return labels


def as_pixels(array: object, name: str) -> Pixels:
    """Checks and converts an array to `[N, H, W, C] uint8`.

    Raises:
        DataError: it has another shape or type, or is of floats that are not in [0, 1].
    """
    images = np.asarray(array)
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or images.shape[3] not in (1, 3) or 0 in images.shape:
        raise DataError(f"{name} must be [N, H, W] or [N, H, W, 1 or 3] and not empty, got {images.shape}")
    if images.dtype == np.uint8:
        return images
    if images.dtype.kind != "f":
        raise DataError(f"{name} must be uint8 or float, got {images.dtype}")
    if not np.isfinite(images).all():
        raise DataError(f"{name} holds {np.count_nonzero(~np.isfinite(images))} pixels that are NaN or infinite")
    low, high = float(images.min()), float(images.max())
    if low < 0 or high > 1:
        raise DataError(f"{name}: float pixels must be in [0, 1], got {low:g} to {high:g}")
    return to_pixels(images)


def _read_idx_directory(path: Path, idx_images: list[Path]) -> tuple[RawImages, RawImages | None]:
    test = [file for file in idx_images if file.name.startswith(("t10k", "test"))]
    train = [file for file in idx_images if file not in test]
    if len(train) != 1 or len(test) > 1:
        raise DataError(f"{path} must hold one training idx file, got {[file.name for file in idx_images]}")
    return _read_idx_pair(train[0]), _read_idx_pair(test[0]) if test else None
