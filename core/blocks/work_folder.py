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
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from pocketvae.blocks.plan import Arrays, Block
from pocketvae.documents import decode, encode
from pocketvae.errors import DataError, OutputExistsError
from pocketvae.spec import STRICT
from pocketvae.system.files import sha256_bytes, write_text

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


class WorkFolder:
    """One work folder, of the driver or of a worker.

    Attributes:
        path: The folder, which all workers must see.
    """

    def __init__(self, path: Path) -> None:
        """Names the folder; `begin` makes what is in it."""
        self.path = path

    def begin(self, manifest: WorkManifest, *, force: bool = False) -> None:
        """Writes the manifest, or checks that the folder holds the same work.

        Args:
            manifest: What is to be computed.
            force: Remove the results of other work.

        Raises:
            OutputExistsError: it holds other work, and `force` is off; the message says in what it differs.
        """
        path = self.path / MANIFEST_NAME
        if path.exists():
            found = decode(WorkManifest, path.read_bytes(), str(path))
            others = [name for name, value in asdict(manifest).items() if asdict(found)[name] != value]
            if others and force:
                shutil.rmtree(self.path / _BLOCKS, ignore_errors=True)
            elif others:
                raise OutputExistsError(
                    f"{self.path} holds results of another {' and '.join(others)}: repeat that command to go on with "
                    f"it, or pass --force to start over"
                )
        (self.path / _BLOCKS).mkdir(exist_ok=True)
        write_text(path, encode(manifest))

    def done(self) -> dict[int, Path]:
        """Returns the files of the blocks that are done, by number."""
        folder = self.path / _BLOCKS
        if not folder.is_dir():
            return {}
        # Where the processors of two workers round differently, a block may be there twice: every call takes the same.
        files = sorted((file for file in folder.iterdir() if _NAME.fullmatch(file.name)), reverse=True)
        return {int(file.name[:8]): file for file in files}

    def remove_damaged(self) -> None:
        """Removes the blocks whose content is not what was written, so that they are computed again."""
        for path in self.done().values():
            if not _is_sound(path, path.read_bytes()):
                path.unlink()

    def write(self, block: Block, arrays: Arrays) -> None:
        """Writes the result of a block."""
        content = io.BytesIO()
        np.savez(content, allow_pickle=False, **arrays)
        data = content.getvalue()
        final = self.path / _BLOCKS / f"{block.index:08d}-{sha256_bytes(data)}.npz"
        temporary = final.with_name(f".{final.name}.{secrets.token_hex(4)}.tmp")
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(final)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    def results(self, blocks: Sequence[Block]) -> Iterator[Arrays]:
        """Yields the results of blocks, in order.

        Raises:
            DataError: one is missing or damaged.
        """
        done = self.done()
        for block in blocks:
            path = done.get(block.index)
            data = b"" if path is None else path.read_bytes()
            if path is None or not _is_sound(path, data):
                raise DataError(f"the result of {block} is missing or damaged in {self.path}: run the command again")
            with np.load(io.BytesIO(data), allow_pickle=False) as archive:
                yield {name: archive[name] for name in archive.files}


def _is_sound(path: Path, data: bytes) -> bool:
    found = _NAME.fullmatch(path.name)
    return found is not None and sha256_bytes(data) == found[2]
