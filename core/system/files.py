"""Atomic writing to disk: completely or not at all.

Every artifact is written to a temporary name in the same folder, synced and renamed, so that a reader sees the old
file or the new one. What a link leads to is replaced and the link stays; devices and pipes are written to as they are.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import re
import secrets
import stat
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from pocketvae.errors import DataError, OutputExistsError
from pocketvae.system.leftovers import settled_on_error
from pocketvae.system.locks import new_held_file, remove_abandoned
from pocketvae.system.temporary import temporary_directory

_CHUNK_BYTES = 1 << 20
_OWN_FILE = re.compile(r"/dev/(std(in|out|err)|fd/\d+)|/proc/(self|\d+)/fd/\d+")

StrPath = str | os.PathLike[str]


def write_bytes(path: Path, data: bytes, *, force: bool = True) -> None:
    """Writes a file atomically; a device or pipe is written to.

    Raises:
        OutputExistsError: it exists and `force` is off: another process may have made it meanwhile.
        OSError: the folder is missing, not writable or full; the old content is untouched.
    """
    with naming_output(path):
        if is_stream(path):
            _write_through(path, io.BytesIO(data))
            return
        with _becoming(path, force=force) as temporary, temporary.open("wb") as file:
            file.write(data)


def write_new(path: Path, data: bytes) -> None:
    """Writes a file that is not there yet: whole, or not at all.

    Raises:
        FileExistsError: another process made it meanwhile; it is what that process wrote.
        OSError: the folder is missing, not writable or full.
    """
    final = _behind_links(path)
    with naming_output(path), _beside(final) as temporary:
        temporary.write_bytes(data)
        sync(temporary)
        _appear(temporary, final)


def _appear(temporary: Path, final: Path) -> None:
    """Renames a file to a name that nothing has.

    Raises:
        FileExistsError: something has it.
    """
    try:
        os.link(temporary, final)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        if final.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(final)) from None
        temporary.rename(final)
    else:
        temporary.unlink()


@contextlib.contextmanager
def naming_output(path: Path) -> Iterator[None]:
    """Names the output as it was typed where the system names a temporary file beside it, or none, as of a full disk.

    Raises:
        DataError: its folder takes no new files.
        OSError: with the output's path.
    """
    try:
        yield
    except OSError as e:
        given = Path(e.filename).name if isinstance(e.filename, str) else ""
        if given and given not in (path.name, _behind_links(path).name) and not given.startswith(f".{path.name}."):
            raise
        parent = _behind_links(path).absolute().parent
        if given and e.errno == errno.ENOENT and parent.is_dir():
            raise DataError(_no_new_files(path, parent)) from e
        raise OSError(e.errno, e.strerror, str(path)) from e


@contextlib.contextmanager
def staged_file(final: Path, *, force: bool) -> Iterator[Path]:
    """Yields the path of a file to write piece by piece, which becomes `final` when the block ends well.

    On an error or an interruption the file is removed and `final` is what it was before. A device or pipe is given the
    whole of it at the end.

    Raises:
        OutputExistsError: `final` exists and `force` is off, also if another process made it meanwhile.
        DataError: the parent folder of `final` does not exist.
    """
    check_output(final, force=force)
    if is_stream(final):
        with temporary_directory() as folder:
            yield folder / f"output{final.suffix}"
            with naming_output(final), (folder / f"output{final.suffix}").open("rb") as file:
                _write_through(final, file)
        return
    with naming_output(final), _becoming(final, force=force) as temporary:
        yield temporary


@contextlib.contextmanager
def _becoming(path: Path, *, force: bool) -> Iterator[Path]:
    """Yields an empty file to write to, which becomes the one at a path when the block ends well.

    Raises:
        OutputExistsError: there is one and `force` is off.
    """
    final = _behind_links(path)
    with _beside(final) as temporary:
        yield temporary
        sync(temporary)
        if force:
            _keep_mode(final, temporary)
            temporary.replace(final)
            return
        try:
            _appear(temporary, final)
        except FileExistsError as e:
            raise _exists(path) from e


@contextlib.contextmanager
def _beside(final: Path) -> Iterator[Path]:
    """Yields an empty file beside `final`, which is removed if the block does not end well.

    What killed processes left of the same file is removed.
    """
    _remove_abandoned(final)
    temporary = final.with_name(f".{final.name}.{secrets.token_hex(4)}.tmp")
    with settled_on_error(partial(temporary.unlink, missing_ok=True)), new_held_file(temporary):
        yield temporary


def sync(file: Path) -> None:
    """Writes a file's content to the disk."""
    # Windows syncs only what is open for writing.
    with file.open("rb+") as opened:
        os.fsync(opened.fileno())


def _remove_abandoned(final: Path) -> None:
    # A folder that may be written to, but not read, is not looked through.
    with contextlib.suppress(OSError), os.scandir(final.parent) as entries:
        for entry in entries:
            if _is_unfinished(entry.name, final.name) and entry.is_file(follow_symlinks=False):
                remove_abandoned(Path(entry.path))


def _is_unfinished(name: str, final: str) -> bool:
    return name.endswith(".tmp") and re.fullmatch(rf"\.{re.escape(final)}\.[0-9a-f]{{8}}\.tmp", name) is not None


def is_stream(path: Path) -> bool:
    """Whether a path is a device, a pipe or a socket, or one of this process's own files, such as `/dev/stdout`."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return False
    if stat.S_ISREG(mode):
        return _OWN_FILE.fullmatch(path.as_posix()) is not None
    return not stat.S_ISDIR(mode)


def _write_through(path: Path, source: IO[bytes]) -> None:
    # Appended to, because a file behind /dev/stdout may hold what this process has printed.
    with path.open("ab", buffering=0) as file:
        while chunk := source.read(_CHUNK_BYTES):
            left = memoryview(chunk)
            while left:
                left = left[file.write(left) or 0 :]


def _behind_links(path: Path) -> Path:
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def _keep_mode(old: Path, new: Path) -> None:
    with contextlib.suppress(OSError):
        new.chmod(stat.S_IMODE(old.stat().st_mode))


def write_text(path: Path, text: str, *, force: bool = True) -> None:
    """Writes UTF-8 text atomically; of a file name that is none, a question mark stands for what is not.

    Raises:
        OutputExistsError, OSError: see `write_bytes`.
    """
    write_bytes(path, text.encode("utf-8", errors="replace"), force=force)


def write_pieces(path: Path, pieces: Iterable[str]) -> None:
    """Writes UTF-8 text atomically, one piece after another, so that it need not fit into memory.

    File names that are not UTF-8 get the bytes that they have.
    """
    with (
        staged_file(path, force=True) as temporary,
        temporary.open("w", encoding="utf-8", errors="surrogateescape", newline="\n") as file,
    ):
        file.writelines(pieces)


def plain_name(text: str) -> str:
    """Returns a text as part of a file name: all but ASCII letters, digits, dots, dashes becomes underscores."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", text)


def sha256_bytes(data: bytes) -> str:
    """Returns the hexadecimal SHA-256 of some bytes."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Returns the hexadecimal SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def size_bytes(path: Path) -> int:
    """Returns the size of a file, or of all files in a folder; 0 if there is none."""
    if path.is_dir():
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return path.stat().st_size if path.is_file() else 0


def sha256_path(path: Path) -> str:
    """Returns the hexadecimal SHA-256 of a file or of a folder.

    That of a folder is of the lines `SHA-256  relative/path` of its files, in the order of the parts of their paths,
    each compared by code points: `assets/a` comes before `assets.extra/a` on every system.
    """
    if path.is_file():
        return sha256_file(path)
    names = sorted(file.relative_to(path).parts for file in path.rglob("*") if file.is_file())
    lines = [f"{sha256_file(path.joinpath(*parts))}  {'/'.join(parts)}\n" for parts in names]
    return sha256_bytes("".join(lines).encode())


def check_output(path: Path, *, force: bool) -> None:
    """Refuses an output that exists, before any expensive work.

    Raises:
        OutputExistsError: `path` exists and `force` is off.
        DataError: the parent folder of `path` does not exist, is not a folder, or takes no new files.
    """
    if path.exists() and not force and not is_stream(path):
        raise _exists(path)
    parent = _behind_links(path).absolute().parent
    if not parent.is_dir():
        raise DataError(f"the output's folder must exist, got {parent}: {folder_advice(parent)}")
    check_takes_files(path)


def check_takes_files(path: Path) -> None:
    """Checks that a file or folder can be made beside what is at a path, or in its place.

    Raises:
        DataError: the folder is not writable, or on a disk that is not.
    """
    parent = _behind_links(path).absolute().parent
    if not is_stream(path) and not os.access(parent, os.W_OK | os.X_OK):
        raise DataError(_no_new_files(path, parent))


def _no_new_files(path: Path, folder: Path) -> str:
    return f"{path} cannot be made: {folder} takes no new files: choose another folder"


def _exists(path: Path) -> OutputExistsError:
    return OutputExistsError(f"{path} exists: choose another output, or pass --force to replace it")


def folder_advice(folder: Path) -> str:
    """Returns what to do about a folder that is not there."""
    in_the_way = next((part for part in (folder, *folder.parents) if part.exists()), folder)
    if in_the_way.exists() and not in_the_way.is_dir():
        return f"{in_the_way} is a file, so choose another output"
    return "create it first"


def is_inside(relative: str) -> bool:
    """Whether a recorded path stays inside its folder: relative, forward slashes, no `..`."""
    path = PurePosixPath(relative)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and not set(relative) & {"\\", ":"}
