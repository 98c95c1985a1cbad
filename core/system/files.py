"""Atomic writing to disk: completely or not at all.

Every artifact is written to a temporary name in the same folder, synced and renamed, so that a reader sees the old
file or the new one. A directory is built beside its final name and renamed last.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from pocketvae.errors import DataError, OutputExistsError

# The first file in a folder that is being filled: it says that everything beside it is pocketvae's.
_MARKER = ".pocketvae-unfinished"


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


@contextlib.contextmanager
def staged_file(final: Path, *, force: bool) -> Iterator[Path]:
    """Yields the path of a file to write piece by piece, which becomes `final` when the block ends well.

    On an error or an interruption the file is removed and `final` is what it was before.

    Raises:
        OutputExistsError: `final` exists and `force` is off.
        DataError: the parent folder of `final` does not exist.
    """
    check_output(final, force=force)
    temporary = final.with_name(f".{final.name}.{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(final)
    except OSError as e:
        temporary.unlink(missing_ok=True)
        # The system's error for a full disk names no file.
        raise OSError(e.errno, e.strerror, e.filename or str(final)) from e
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Writes UTF-8 text atomically."""
    write_bytes(path, text.encode("utf-8"))


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
        DataError: the parent folder of `path` does not exist or is not a folder.
    """
    if path.exists() and not force:
        raise OutputExistsError(f"{path} exists: choose another output, or pass --force to replace it")
    parent = path.absolute().parent
    if not parent.is_dir():
        raise DataError(f"the output's folder must exist, got {parent}: create it first")


@contextlib.contextmanager
def staged_directory(final: Path, *, force: bool) -> Iterator[Path]:
    """Yields an empty folder beside `final` that becomes `final` when the block ends well.

    On an error or an interruption the folder is removed and `final` is what it was before. What a killed process left
    there for the same `final` is removed first.

    Raises:
        OutputExistsError: `final` exists and `force` is off, or another process is making it.
        DataError: the parent folder does not exist.
    """
    check_output(final, force=force)
    final = final.absolute()
    staging = final.with_name(f".{final.name}.{secrets.token_hex(4)}.partial")
    # Two that begin at the same moment must not refuse one another, so they look one after the other.
    with _locked(final.parent, wait=True):
        _clear_remains(final)
        check_output(final, force=force)
        staging.mkdir()
        lock = _lock(staging)
    try:
        yield staging
        _replace_directory(staging, final, force=force)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    finally:
        os.close(lock)


def _clear_remains(final: Path) -> None:
    """Removes what killed processes left beside `final`, and refuses where a living one is at work.

    Raises:
        OutputExistsError: another process is making `final`.
    """
    remains = [entry for entry in final.parent.iterdir() if _is_remnant(entry.name, final.name)]
    for entry in (entry for entry in remains if entry.suffix == ".partial"):
        try:
            os.close(_lock(entry))
        except FileNotFoundError:
            continue
        except BlockingIOError as e:
            raise OutputExistsError(f"another process is making {final}: wait for it, or choose another output") from e
        shutil.rmtree(entry, ignore_errors=True)
    for entry in (entry for entry in remains if entry.suffix == ".old"):
        if not final.exists():
            # Killed between two renames: the folder that was about to be replaced is all that there is.
            entry.replace(final)
        else:
            _remove(entry)


def _is_remnant(name: str, final: str) -> bool:
    return re.fullmatch(rf"\.{re.escape(final)}\.[0-9a-f]{{8}}\.(partial|old)", name) is not None


@contextlib.contextmanager
def resumable_directory(final: Path, *, force: bool, resume: bool, milestone: str) -> Iterator[Path]:
    """Yields the folder `FINAL.unfinished`, which becomes `final` when the block ends well.

    On an error or an interruption the folder stays where it holds the file `milestone`, for another call to go on
    with; else it is removed. A killed process may leave one without a milestone, which is known by its marker: the next
    call begins anew in it. `final` is what it was before.

    Args:
        final: What to make.
        force: Replace `final`, and drop an unfinished folder.
        resume: Go on with an unfinished folder where there is one.
        milestone: Relative path of the file without which there is nothing to go on with.

    Raises:
        OutputExistsError: `final` exists and `force` is off, an unfinished folder exists and neither `resume` nor
            `force` is on, it holds files and neither a milestone nor the marker, or another process works in it.
        DataError: the parent folder does not exist.
    """
    check_output(final, force=force)
    final = final.absolute()
    staging = unfinished_directory(final)
    if (staging / milestone).exists() and not resume and not force:
        raise OutputExistsError(
            f"{staging} holds an interrupted run: pass --resume to continue it, or --force to start over"
        )
    staging.mkdir(exist_ok=True)
    with _locked(staging):
        marker, begun = staging / _MARKER, (staging / milestone).exists()
        if not begun and not marker.exists() and any(staging.iterdir()):
            raise OutputExistsError(
                f"{staging} is in the way and has no {milestone}, so pocketvae may not have made it: remove it, or "
                f"choose "
                "another output"
            )
        # The marker comes before everything else and goes last, so that whatever a kill leaves is known.
        marker.touch()
        if not (resume and begun):
            _empty(staging, but=marker)
        try:
            yield staging
            marker.unlink(missing_ok=True)
            _replace_directory(staging, final, force=force)
        except BaseException as e:
            if (staging / milestone).exists():
                e.add_note(f"{staging.name} keeps the progress: continue with --resume")
            else:
                shutil.rmtree(staging, ignore_errors=True)
            raise


@contextlib.contextmanager
def claimed_directory(folder: Path) -> Iterator[None]:
    """Makes a folder that is this process's alone until the block ends; what is in it stays.

    Raises:
        OutputExistsError: another process has claimed it.
        OSError: it cannot be made.
    """
    try:
        while (descriptor := _claim(folder)) is None:
            folder.mkdir(parents=True, exist_ok=True)
    except BlockingIOError as e:
        raise OutputExistsError(f"another process is using {folder}: wait for it") from e
    try:
        yield
    finally:
        os.close(descriptor)


def _claim(folder: Path) -> int | None:
    """Locks a folder; None where it is not there, or was removed in between, so that the lock is on nothing."""
    try:
        descriptor = _lock(folder)
    except FileNotFoundError:
        return None
    with contextlib.suppress(FileNotFoundError):
        if os.path.samestat(os.fstat(descriptor), folder.stat()):
            return descriptor
    os.close(descriptor)
    return None


def unfinished_directory(final: Path) -> Path:
    """Returns where `resumable_directory` keeps what is not finished."""
    return final.with_name(f"{final.name}.unfinished")


@contextlib.contextmanager
def _locked(folder: Path, *, wait: bool = False) -> Iterator[None]:
    try:
        descriptor = _lock(folder, wait=wait)
    except BlockingIOError as e:
        raise OutputExistsError(f"another process is using {folder}: wait for it, or choose another output") from e
    try:
        yield
    finally:
        os.close(descriptor)


def _lock(folder: Path, *, wait: bool = False) -> int:
    """Locks a folder until the returned descriptor is closed.

    Raises:
        BlockingIOError: another process has locked it, and `wait` is off.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        # The system drops the lock with the process, so a killed one leaves none behind.
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _empty(folder: Path, *, but: Path) -> None:
    for entry in folder.iterdir():
        if entry == but:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _replace_directory(staging: Path, final: Path, *, force: bool) -> None:
    # Renaming onto a non-empty folder fails on POSIX, so the old one steps aside first and is deleted last; nobody
    # may look meanwhile and take it for what a killed process left.
    with _locked(final.parent, wait=True):
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
        _remove(aside)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink()


def is_inside(relative: str) -> bool:
    """Whether a recorded path stays inside its folder: relative, forward slashes, no `..`."""
    path = PurePosixPath(relative)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and not set(relative) & {"\\", ":"}
