"""Storage by address, `s3://`, `gs://` or what else pyarrow.fs knows: files and work folders that every machine sees.

Credentials are the user's, from where pyarrow looks for them: the environment, the files of the cloud's own tools, or
the machine's role.
"""

from __future__ import annotations

import contextlib
import re
import secrets
import shutil
from pathlib import Path
from typing import Any

from pocketvae.errors import DataError, missing_package
from pocketvae.parsing import shortened

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://")
_KNOWN = ("s3://", "gs://", "abfs://", "abfss://", "hdfs://", "file://")
_PIECE = 8 << 20
# Objects of these appear when they are complete and lie in no folders; what else has a name can be renamed.
_OBJECT_STORES = ("s3", "gcs", "abfs")
# Stores copy objects of up to 5 GB; what is larger takes the place of the old one without a copy.
_LARGEST_COPY = 4 << 30


def is_address(text: str) -> bool:
    """Whether a text is an address and no path."""
    return _ADDRESS.match(text) is not None


class Storage:
    """A file or folder at an address; names are relative to it, and the empty name is itself."""

    def __init__(self, address: str, suffix: str = "") -> None:
        """Connects to the storage.

        Args:
            address: As pyarrow.fs takes it, with options such as `?endpoint_override=...` behind the path.
            suffix: Follows the path.

        Raises:
            DataError: the address is none, or the storage cannot be used.
            TargetError: pyarrow is not installed.
        """
        try:
            from pyarrow import fs
        except ImportError as e:
            raise missing_package("pyarrow", "parquet") from e
        try:
            system, path = fs.FileSystem.from_uri(address)
        except ValueError as e:
            spaces = ": write a space as %20" if " " in address else ""
            reason = shortened(e) if address.startswith(_KNOWN) else f"known are {', '.join(_KNOWN)}"
            raise DataError(f"{address} is no address of a storage: {reason}{spaces}") from e
        except OSError as e:
            raise DataError(f"the storage of {address} cannot be reached: {shortened(e)}") from e
        if address.startswith("file://") and "?" in address:
            raise DataError(f"file:// takes no options, got {address}: write a question mark in a name as %3F")
        self._fs: Any = system
        self._api: Any = fs
        self._address, self._suffix, self._root = address, suffix, str(path).rstrip("/") + suffix

    def __reduce__(self) -> tuple[type[Storage], tuple[str, str]]:
        # Every machine connects with its own credentials: none of this one's are sent.
        return Storage, (self._address, self._suffix)

    def __str__(self) -> str:
        return self._address.partition("://")[0] + "://" + self._root

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}" if name else self._root

    def is_there(self, name: str = "") -> bool:
        """Whether there is such a file or folder."""
        return bool(self._fs.get_file_info(self._path(name)).type != self._api.FileType.NotFound)

    def is_folder(self) -> bool:
        """Whether the address is a folder's."""
        return bool(self._fs.get_file_info(self._root).type == self._api.FileType.Directory)

    def files(self, name: str = "") -> dict[str, tuple[int, int]]:
        """Returns size in bytes and date of change in ns of all files below a folder, by name relative to it; sorted.

        A file is the only one below itself, with an empty name.
        """
        root = self._path(name)
        found = [self._fs.get_file_info(root)]
        if found[0].type == self._api.FileType.Directory:
            found = self._fs.get_file_info(self._api.FileSelector(root, recursive=True))
        kept = [info for info in found if info.type == self._api.FileType.File]
        return {
            info.path[len(root) :].lstrip("/"): (info.size, info.mtime_ns or 0)
            for info in sorted(kept, key=lambda info: info.path)
        }

    def existing_files(self, name: str = "") -> dict[str, tuple[int, int]]:
        """Returns what `files` does.

        Raises:
            DataError: there are none.
        """
        found = self.files(name)
        if not found:
            raise DataError(f"{self}{name and '/'}{name} does not exist")
        return found

    def opened(self, name: str = "") -> Any:
        """Returns a file, open for reading at any place: it has `read`, `readinto`, `seek` and `size()`.

        Raises:
            DataError: there is no such file.
        """
        self.existing_files(name)
        return self._fs.open_input_file(self._path(name))

    def read(self, name: str) -> bytes:
        """Returns the content of a file."""
        with self._fs.open_input_file(self._path(name)) as file:
            content: bytes = file.read()
        return content

    def write(self, name: str, content: bytes) -> None:
        """Writes a file, which appears whole or not at all."""
        with self._appearing(name, len(content)) as file:
            file.write(content)

    def upload(self, source: Path) -> None:
        """Writes a file of this machine to the address, where it appears whole or not at all."""
        with source.open("rb") as content, self._appearing("", source.stat().st_size) as file:
            shutil.copyfileobj(content, file, _PIECE)

    def fetch(self, folder: Path) -> Path:
        """Copies the file, or the folder with all that is below it, into a folder of this machine; returns the copy.

        Raises:
            DataError: there is nothing at the address.
        """
        files = self.existing_files()
        copy = folder / self._root.rpartition("/")[2]
        for name in files:
            target = copy / name if name else copy
            if not target.resolve().is_relative_to(folder.resolve()):
                raise DataError(f"{self} has a file whose name leads out of it: {name}")
            target.parent.mkdir(parents=True, exist_ok=True)
            with self._fs.open_input_stream(self._path(name)) as content, target.open("wb") as file:
                shutil.copyfileobj(content, file, _PIECE)
        return copy

    def remove(self, name: str = "") -> None:
        """Removes a file, or a folder with all that is below it, if it is there."""
        info = self._fs.get_file_info(self._path(name))
        if info.type == self._api.FileType.Directory:
            self._fs.delete_dir(info.path)
        elif info.type == self._api.FileType.File:
            self._fs.delete_file(info.path)

    def _appearing(self, name: str, size_bytes: int) -> _Appearing:
        path = self._path(name)
        is_there = self._fs.get_file_info(path).type != self._api.FileType.NotFound
        return _Appearing(self._fs, path, replaces=is_there and size_bytes <= _LARGEST_COPY)


class _Appearing:
    """A file that is written, and is there when the block ends well."""

    def __init__(self, system: Any, path: str, *, replaces: bool) -> None:
        self._fs, self._final = system, path
        parent, _, name = path.rpartition("/")
        self._is_object = system.type_name in _OBJECT_STORES
        # An object appears when it is complete, but its writing cannot be given up: closing completes half of it.
        is_apart = replaces or not self._is_object
        self._path = f"{parent}/.{name}.{secrets.token_hex(4)}.tmp" if is_apart else path
        if not self._is_object:
            system.create_dir(parent, recursive=True)

    def __enter__(self) -> Any:
        self._file = self._fs.open_output_stream(self._path)
        return self._file

    def __exit__(self, kind: object, *rest: object) -> None:
        is_whole = False
        try:
            self._file.close()
            is_whole = kind is None
        finally:
            if not is_whole:
                with contextlib.suppress(OSError):
                    self._fs.delete_file(self._path)
        if not is_whole or self._path == self._final:
            return
        if not self._is_object:
            self._fs.move(self._path, self._final)
            return
        self._fs.copy_file(self._path, self._final)
        self._fs.delete_file(self._path)
