"""Sources read by the block: any worker reads any items, and nobody needs the others."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from pocketvae.apps import sources
from pocketvae.apps.sources import SourceImages, load_items
from pocketvae.blocks.plan import Block
from pocketvae.blocks.storage import Storage, is_address
from pocketvae.data import image_files
from pocketvae.data.array_files import open_npz
from pocketvae.data.embedded import MNIST, located
from pocketvae.data.folders import check_is_one_part
from pocketvae.data.forms import Form, checked
from pocketvae.data.image_folder import list_folder
from pocketvae.data.item_files import ItemFile, RandomFile
from pocketvae.data.windows import WHOLE, Windowing
from pocketvae.errors import DataError, SpecError
from pocketvae.numerics.normalization import normalized
from pocketvae.parsing import shortened
from pocketvae.system.files import sha256_bytes
from pocketvae.system.temporary import temporary_directory
from pocketvae.vae_spec import DataKind, VaeSpec

_MOST_TRIED = 64
_ITEMS, _LABELS = "input-items.npy", "input-labels.npy"


@dataclass(frozen=True, kw_only=True)
class Source:
    """What is read, and how; see `load_items`.

    Attributes:
        path: `mnist`, a file or a folder, or the address of one.
        resize: Scale images to the model's size and convert between grey and colour.
        count: Only the first items; all if None.
        windowing: How recordings are read and cut.
        unpacked: Folder with the arrays of an `.npz`, see `unpack`; None if it is read as it is.
        skip_corrupt: Leave out what cannot be read.
    """

    path: str
    resize: bool = False
    count: int | None = None
    windowing: Windowing = WHOLE
    unpacked: Path | None = None
    skip_corrupt: bool = False


class Reader(Protocol):
    """An open source."""

    def __len__(self) -> int: ...

    def read(self, block: Block, skipped: dict[Path, str] | None = None) -> SourceImages:
        """Returns the items of a block, under the names that they have among all.

        Args:
            block: Which items.
            skipped: Takes files that are damaged, with the reason; None refuses them.

        Raises:
            DataError: they cannot be read, or are not what the model takes.
        """


def open_reader(source: Source, vae: VaeSpec) -> Reader:
    """Opens a source.

    Arrays in `.npy` files, folders of images and recordings are read by the block; all others are loaded as a whole.

    Raises:
        DataError: it is missing, damaged or empty.
        SpecError: an option does not fit the kind of data.
    """
    if source.count is not None and source.count < 1:
        raise DataError(f"at least one item is needed, got --count {source.count}")
    if _is_read_there(source, vae):
        return _ArrayReader(source, Storage(source.path).opened(), vae)
    path = located(source.path)
    if source.unpacked is not None:
        return _ArrayReader(source, source.unpacked / _ITEMS, vae, source.unpacked / _LABELS)
    is_image = vae.data is DataKind.IMAGE
    if is_image and source.path != MNIST and image_files.is_image_folder(path):
        return _FolderReader(source, path, vae)
    if path.suffix.lower() == ".npy" and path.is_file() and (is_image or vae.data is not DataKind.SEQUENCE):
        return _ArrayReader(source, path, vae)
    skipped: dict[Path, str] = {}
    items = load_items(
        source.path,
        vae,
        resize=source.resize,
        count=source.count,
        windowing=source.windowing,
        in_memory=False,
        skipped=skipped if source.skip_corrupt else None,
    )
    return WholeReader(items, skipped)


def read_all(reader: Reader, block: Block) -> SourceImages:
    """Returns the items of a block.

    Raises:
        DataError: one of them cannot be read; the message names the first such.
    """
    try:
        return reader.read(block)
    except (DataError, OSError) as e:
        reasons: list[str] = []
        parts = _sound_parts(reader, block, None, reasons)
        while not reasons and next(parts, None) is not None:
            pass
        raise DataError(next(iter(reasons), str(e))) from e


def first_sound(reader: Reader) -> SourceImages:
    """Returns one item that can be read, of up to 64 all over the source.

    Raises:
        DataError: none of them can.
    """
    lost: list[str] = []
    places = np.unique(np.linspace(0, len(reader) - 1, _MOST_TRIED).astype(int)).tolist()
    for place in places:
        found = read_sound(reader, Block(index=0, first=place, last=place + 1), lost)
        if found is not None:
            return found
    raise DataError(f"none of the {len(places)} items that were tried can be read; {lost[0]}")


def read_sound(reader: Reader, block: Block, lost: list[str]) -> SourceImages | None:
    """Returns the items of a block that can be read; None if none of them can.

    Args:
        reader: An open source.
        block: Which items.
        lost: Takes what cannot be read, with the reason.
    """
    files: dict[Path, str] = {}
    reasons: list[str] = []
    parts = [part for part in _sound_parts(reader, block, files, reasons) if len(part)]
    lost.extend(files.values())
    whole = len(reasons) == block.last - block.first > 1
    lost.extend([f"{block}: {reasons[0]}"] if whole else reasons)
    if not parts:
        return None
    return replace(
        parts[0],
        images=np.concatenate([part.images[:] for part in parts]),
        names=tuple(name for part in parts for name in part.names),
        labels=None if parts[0].labels is None else np.concatenate([part.labels for part in parts]),
    )


def _sound_parts(
    reader: Reader, block: Block, files: dict[Path, str] | None, reasons: list[str]
) -> Iterator[SourceImages]:
    """Yields what can be read of a block: of one that cannot, of its halves, down to the item that is the reason."""
    try:
        yield reader.read(block, files)
    except (DataError, OSError) as e:
        if block.last - block.first == 1:
            reasons.append(f"item {block.first}: {e}")
            return
        middle = (block.first + block.last) // 2
        for half in (replace(block, last=middle), replace(block, first=middle)):
            yield from _sound_parts(reader, half, files, reasons)


class WholeReader:
    """A source that is loaded, or windows of recordings, which are read when they are looked at.

    Attributes:
        items: All of them.
    """

    def __init__(self, items: SourceImages, skipped: Mapping[Path, str]) -> None:
        """Takes what was loaded.

        Args:
            items: All items.
            skipped: Files that are damaged, with the reason, and have no items.
        """
        self.items, self._skipped = items, skipped

    def __len__(self) -> int:
        return len(self.items)

    def read(self, block: Block, skipped: dict[Path, str] | None = None) -> SourceImages:
        """See `Reader.read`; what was left out is told once, with the first item."""
        if skipped is not None and block.first == 0:
            skipped.update(self._skipped)
        part = slice(block.first, block.last)
        return replace(
            self.items,
            images=self.items.images[part],
            names=self.items.names[part],
            labels=None if self.items.labels is None else self.items.labels[part],
            timeline=None,
        )


class _FolderReader:
    def __init__(self, source: Source, path: Path, vae: VaeSpec) -> None:
        check_is_one_part(path, "classes")
        self._source, self._path, self._vae, self._listing = source, path, vae, list_folder(path)

    def __len__(self) -> int:
        return len(self._listing.files[: self._source.count])

    def read(self, block: Block, skipped: dict[Path, str] | None = None) -> SourceImages:
        part = slice(block.first, block.last)
        return sources.of_listing(
            self._path, self._listing, part, self._vae, resize=self._source.resize, skipped=skipped
        )


class _ArrayReader:
    def __init__(self, source: Source, file: Path | RandomFile, vae: VaeSpec, labels: Path | None = None) -> None:
        self._source, self._vae = source, vae
        self._name = source.path if is_address(source.path) else str(located(source.path))
        if source.windowing != WHOLE:
            raise SpecError(f"--stride, --channels and --fill-gaps are for recordings, but {self._name} is not one")
        if source.resize and vae.data is not DataKind.IMAGE:
            raise SpecError(f"--resize is for images, but this model is of {vae.data}s: leave it out")
        try:
            self._items = ItemFile(file)
        except (ValueError, OSError) as e:
            raise DataError(f"{self._name} cannot be read as numpy data: {shortened(e)}") from e
        self._labels = None
        if labels is not None and labels.exists():
            self._labels = image_files.as_labels(np.load(labels, allow_pickle=False), f"{self._name}: labels")
            if len(self._labels) != len(self._items):
                raise DataError(
                    f"{self._name} must hold one label per item, got {len(self._labels)} for {len(self._items)}"
                )

    def __len__(self) -> int:
        return min(len(self._items), self._source.count or len(self._items))

    def read(self, block: Block, skipped: dict[Path, str] | None = None) -> SourceImages:
        del skipped
        part = slice(block.first, block.last)
        array, labels = self._items[part], None if self._labels is None else self._labels[part]
        names = tuple(map(str, range(block.first, block.last)))
        if self._vae.data is DataKind.IMAGE:
            pixels = image_files.as_pixels(array, self._name)
            found = sources.from_array(pixels, labels, self._name, self._vae, count=None, resize=self._source.resize)
            return replace(found, names=names)
        items = tuple(f"item {name}" for name in names)
        values = normalized(checked(array, Form.of(self._vae), self._name, items), self._vae.input_channels)
        return SourceImages(images=values, names=names, labels=labels)


@contextlib.contextmanager
def at_hand(source: Source, vae: VaeSpec) -> Iterator[Source]:
    """Yields a source that `open_reader` takes: of an address what it must have as files is copied to this machine.

    Raises:
        DataError: there is nothing at the address.
    """
    if not is_address(source.path) or _is_read_there(source, vae):
        yield source
        return
    with temporary_directory() as folder:
        copy = replace(source, path=str(Storage(source.path).fetch(folder)))
        yield unpack(copy, folder) if needs_unpacking(copy, vae) else copy


def _is_read_there(source: Source, vae: VaeSpec) -> bool:
    """Whether the items of an address can be read by the block where they are."""
    return is_address(source.path) and str(Storage(source.path)).endswith(".npy") and vae.data is not DataKind.SEQUENCE


def needs_unpacking(source: Source, vae: VaeSpec) -> bool:
    """Whether a source is an archive of arrays, which cannot be read by the block."""
    path = located(source.path)
    # Sequences in an archive may be recordings, which are cut first.
    return path.suffix.lower() == ".npz" and path.is_file() and vae.data is not DataKind.SEQUENCE


def unpack(source: Source, folder: Path) -> Source:
    """Copies the arrays of an `.npz` archive into a folder, and returns the source that is read from there.

    Raises:
        DataError: the archive is damaged or holds no items.
    """
    path = located(source.path)
    try:
        with open_npz(path) as archive:
            for keys, name in ((image_files.TRAIN_KEYS, _ITEMS), (image_files.TRAIN_LABEL_KEYS, _LABELS)):
                key = next((key for key in keys if key in archive.names), None)
                if key is None and name == _ITEMS:
                    raise DataError(
                        f"{path} must hold an array named {' or '.join(keys)}, got {shortened(sorted(archive.names))}"
                    )
                if key is not None:
                    with archive.opened(key) as member, (folder / name).open("wb") as file:
                        shutil.copyfileobj(member, file, 1 << 20)
    except ValueError as e:
        raise DataError(f"{path} cannot be read as numpy data: {e}") from e
    return replace(source, path=str(path), unpacked=folder)


def fingerprint(source: Source) -> str:
    """Returns a hash of the names, sizes and dates of change of a source's files: reading them all would take long.

    Raises:
        DataError: there is nothing at its address.
    """
    if source.path == MNIST and not Path(MNIST).exists():
        return sha256_bytes(MNIST.encode())
    if is_address(source.path):
        files_there = Storage(source.path).existing_files()
        return sha256_bytes(repr(sorted(files_there.items())).encode("utf-8", "surrogateescape"))
    path = located(source.path)
    if not path.exists():
        return ""  # Opening it says what is wrong.
    files: Sequence[Path] = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    lines = []
    for file in files:
        found = file.stat()
        lines.append(f"{found.st_size} {found.st_mtime_ns} {file.relative_to(path) if path.is_dir() else file.name}\n")
    return sha256_bytes("".join(lines).encode("utf-8", "surrogateescape"))
