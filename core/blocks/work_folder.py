"""The work folder: a manifest of what is computed, and the result of each block that is done.

A block's file is named by its number and the SHA-256 of its content, and is there completely or not at all. So the
folder itself says what is done, whoever was killed and when: no list has to be kept, and a block that two workers
compute, because one of them was thought to be lost, is there once.
"""

from __future__ import annotations

import io
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from pocketvae.blocks.plan import Arrays, Block
from pocketvae.documents import decode, encode
from pocketvae.errors import DataError, OutputExistsError
from pocketvae.spec import STRICT
from pocketvae.system.files import sha256_bytes

MANIFEST_NAME = "work.json"
_BLOCKS = "blocks"
_NAME = re.compile(r"(\d{8})-([0-9a-f]{64})\.npz")


@dataclass(frozen=True, kw_only=True)
class WorkManifest:
    """What is computed in a work folder.

    Attributes:
        command: The command.
        pocketvae: Version of pocketvae.
        model: SHA-256 of the bundle's manifest, which holds the hashes of its files.
        input: Hash of the names, sizes and dates of change of the files that are read.
        options: What else decides the results, by name.
        block_items: Number of items in a block.
    """

    __pydantic_config__ = STRICT
    schema_version: int = 1
    command: str
    pocketvae: str
    model: str
    input: str
    options: dict[str, str]
    block_items: int


class Place(Protocol):
    """Where results lie, and all workers look: a folder, or storage by address. Names are relative to it."""

    def is_there(self, name: str = "") -> bool:
        """Whether there is such a file, or the place itself."""

    def files(self, name: str = "") -> Mapping[str, Any]:
        """Returns the files of a folder in it by name relative to the folder, sorted; none if there is no folder."""

    def read(self, name: str) -> bytes:
        """Returns the content of a file."""

    def opened(self, name: str = "") -> Any:
        """Returns a file as `ItemFile` takes it, to read any part of."""

    def write(self, name: str, content: bytes) -> None:
        """Writes a file, which appears whole or not at all."""

    def remove(self, name: str = "") -> None:
        """Removes a file, or a folder with all that is in it, if it is there."""


class Folder:
    """A place that is a folder of this machine, or one that all machines have under the same path."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __str__(self) -> str:
        return str(self._path)

    def is_there(self, name: str = "") -> bool:
        """See `Place`."""
        return (self._path / name).exists()

    def files(self, name: str = "") -> Mapping[str, Any]:
        """See `Place`."""
        folder = self._path / name
        return dict.fromkeys(sorted(file.name for file in folder.iterdir())) if folder.is_dir() else {}

    def read(self, name: str) -> bytes:
        """See `Place`."""
        return (self._path / name).read_bytes()

    def opened(self, name: str = "") -> Any:
        """See `Place`."""
        return self._path / name

    def write(self, name: str, content: bytes) -> None:
        """See `Place`; two that write the same do not disturb one another."""
        final = self._path / name
        final.parent.mkdir(exist_ok=True)
        temporary = final.with_name(f".{final.name}.{secrets.token_hex(4)}.tmp")
        try:
            with temporary.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(final)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    def remove(self, name: str = "") -> None:
        """See `Place`."""
        path = self._path / name
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


class WorkFolder:
    """One work folder.

    Attributes:
        path: A folder of this process, for what is made of the results.
        place: Where the results of blocks are; the same folder unless it is elsewhere.
    """

    def __init__(self, path: Path, place: Place | None = None) -> None:
        """Names the folder; `begin` makes what is in it."""
        self.path, self.place = path, place or Folder(path)

    def begin(self, manifest: WorkManifest, *, force: bool = False) -> None:
        """Writes the manifest, or checks that the folder holds the same work.

        Args:
            manifest: What is to be computed.
            force: Remove the results of other work.

        Raises:
            OutputExistsError: it holds other work, and `force` is off; the message says in what it differs.
        """
        if self.place.is_there(MANIFEST_NAME):
            found = decode(WorkManifest, self.place.read(MANIFEST_NAME), f"{self.place}/{MANIFEST_NAME}")
            words = {"options": "set of options", "block_items": "size of blocks"}
            before = asdict(found)
            others = [words.get(name, name) for name, value in asdict(manifest).items() if before[name] != value]
            if others and force:
                self.remove_results()
            elif others:
                raise OutputExistsError(
                    f"{self.place} holds results of another {' and '.join(others)}: repeat that command to go on with "
                    f"it, or pass --force to start over"
                )
        self.place.write(MANIFEST_NAME, encode(manifest).encode())

    def done(self) -> dict[int, str]:
        """Returns the files of the blocks that are done, by number; each as its name at the place."""
        # Where the processors of two workers round differently, a block may be there twice: every call takes the same.
        names = sorted((name for name in self.place.files(_BLOCKS) if _NAME.fullmatch(name)), reverse=True)
        return {int(name[:8]): f"{_BLOCKS}/{name}" for name in names}

    def remove_damaged(self) -> None:
        """Removes the blocks whose content is not what was written, so that they are computed again."""
        for name in self.done().values():
            if not _is_sound(name, self.place.read(name)):
                self.place.remove(name)

    def remove_results(self) -> None:
        """Removes the results of all blocks."""
        self.place.remove(_BLOCKS)

    def results(self, blocks: Sequence[Block]) -> Iterator[Arrays]:
        """Yields the results of blocks, in order.

        Raises:
            DataError: one is missing or damaged.
        """
        done = self.done()
        for block in blocks:
            name = done.get(block.index)
            data = b"" if name is None else self.place.read(name)
            if name is None or not _is_sound(name, data):
                raise DataError(f"the result of {block} is missing or damaged in {self.place}: run the command again")
            with np.load(io.BytesIO(data), allow_pickle=False) as archive:
                yield {name: archive[name] for name in archive.files}


def write_result(place: Place, block: Block, arrays: Arrays) -> None:
    """Writes the result of a block."""
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **arrays)
    data = content.getvalue()
    place.write(f"{_BLOCKS}/{block.index:08d}-{sha256_bytes(data)}.npz", data)


def _is_sound(name: str, data: bytes) -> bool:
    found = _NAME.fullmatch(name.rpartition("/")[2])
    return found is not None and sha256_bytes(data) == found[2]
