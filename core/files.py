"""Writing to disk: whole or not at all.

Every artifact is written to a temporary name in the same folder, synced and renamed, so that a reader sees the old
file or the new one. A directory is built beside its final name and renamed last.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from pocketvae.errors import DataError, OutputExistsError


def write_bytes(path: Path, data: bytes) -> None:
    """Writes a file atomically.

    Raises:
        OSError: the folder is missing, not writable or full; the old content is untouched.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as e:
        temporary.unlink(missing_ok=True)
        # The system's error for a full disk names no file.
        raise OSError(e.errno, e.strerror, str(path)) from e
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Writes UTF-8 text atomically."""
    write_bytes(path, text.encode("utf-8"))


def sha256_bytes(data: bytes) -> str:
    """Returns the hexadecimal SHA-256 of some bytes."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Returns the hexadecimal SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_path(path: Path) -> str:
    """Returns the hexadecimal SHA-256 of a file, or of a folder's names and contents in sorted order."""
    if path.is_file():
        return sha256_file(path)
    names = sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())
    lines = [f"{sha256_file(path / name)}  {name}\n" for name in names]
    return sha256_bytes("".join(lines).encode())


def check_output(path: Path, *, force: bool) -> None:
    """Refuses an output that exists, before any expensive work.

    Raises:
        OutputExistsError: `path` exists and `force` is off.
        DataError: the folder that shall hold `path` does not exist or is no folder.
    """
    if path.exists() and not force:
        raise OutputExistsError(f"{path} exists: choose another output, or pass --force to replace it")
    parent = path.absolute().parent
    if not parent.is_dir():
        raise DataError(f"the output's folder must exist, got {parent}: create it first")


@contextlib.contextmanager
def staged_directory(final: Path, *, force: bool) -> Iterator[Path]:
    """Yields an empty folder beside `final` that becomes `final` when the block ends well.

    On an error or an interruption the folder is removed and `final` is what it was before.

    Raises:
        OutputExistsError: `final` exists and `force` is off.
        DataError: the parent folder does not exist.
    """
    check_output(final, force=force)
    final = final.absolute()
    staging = final.with_name(f".{final.name}.{secrets.token_hex(4)}.partial")
    staging.mkdir()
    try:
        yield staging
        _replace_directory(staging, final, force=force)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise


@contextlib.contextmanager
def resumable_directory(final: Path, *, force: bool, resume: bool, milestone: str) -> Iterator[Path]:
    """Yields the folder `FINAL.unfinished`, which becomes `final` when the block ends well.

    On an error or an interruption the folder stays where it holds the file `milestone`, for another call to go on
    with; else it is removed. `final` is what it was before.

    Args:
        final: What to make.
        force: Replace `final`, and drop an unfinished folder.
        resume: Go on with an unfinished folder where there is one.
        milestone: Relative path of the file without which there is nothing to go on with.

    Raises:
        OutputExistsError: `final` exists and `force` is off, an unfinished folder exists and neither `resume` nor
            `force` is on, or another process works in it.
        DataError: the parent folder does not exist.
    """
    check_output(final, force=force)
    final = final.absolute()
    staging = unfinished_directory(final)
    if (staging / milestone).exists() and not resume and not force:
        raise OutputExistsError(f"{staging} holds an interrupted run: pass --resume to go on, or --force to begin anew")
    staging.mkdir(exist_ok=True)
    with _locked(staging):
        if not (resume and (staging / milestone).exists()):
            _empty(staging)
        try:
            yield staging
            _replace_directory(staging, final, force=force)
        except BaseException as e:
            if (staging / milestone).exists():
                e.add_note(f"{staging.name} keeps what was reached: go on with --resume")
            else:
                shutil.rmtree(staging, ignore_errors=True)
            raise


def unfinished_directory(final: Path) -> Path:
    """Returns where `resumable_directory` keeps what is not finished."""
    return final.with_name(f"{final.name}.unfinished")


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        # The system drops the lock with the process, so a killed one leaves none behind.
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as e:
        raise OutputExistsError(f"another process works in {folder}: wait for it, or choose another output") from e
    finally:
        os.close(descriptor)


def _empty(folder: Path) -> None:
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _replace_directory(staging: Path, final: Path, *, force: bool) -> None:
    # Renaming onto a non-empty folder fails on POSIX, so the old one steps aside first and is deleted last.
    check_output(final, force=force)
    if not final.exists():
        staging.replace(final)
        return
    aside = final.with_name(f".{final.name}.{secrets.token_hex(4)}.old")
    final.replace(aside)
    try:
        staging.replace(final)
    except BaseException:
        aside.replace(final)
        raise
    if aside.is_dir() and not aside.is_symlink():
        shutil.rmtree(aside, ignore_errors=True)
    else:
        aside.unlink()


def is_inside(relative: str) -> bool:
    """Whether a recorded path stays inside its folder: relative, forward slashes, no `..`."""
    path = PurePosixPath(relative)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and not set(relative) & {"\\", ":"}
