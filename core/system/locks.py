"""Locks on folders and on new files, which the system drops with the process: a killed one leaves none behind.

Where the system can lock a folder itself, it does, so that whoever shares the folder shares the lock: another user,
another container. Windows cannot; there a file in the user's cache is locked in place of the folder. It does not lie in
or beside the folder, which must hold what belongs there and nothing else, and which Windows would not rename while a
file in it is open.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Protocol

from pocketvae.errors import OutputExistsError
from pocketvae.system.cache import cache_folder


class Lock(Protocol):
    """What holds a folder."""

    def release(self) -> None:
        """Lets another process have it."""

    def holds(self, folder: Path) -> bool:
        """Whether the folder at this path is the one that is locked: it may have been removed and made again."""


@contextlib.contextmanager
def locked(folder: Path, *, wait: bool = False) -> Iterator[None]:
    """Holds a folder until the block ends.

    Raises:
        OutputExistsError: another process holds it, and `wait` is off.
        FileNotFoundError: there is no such folder.
    """
    try:
        lock = lock_folder(folder, wait=wait)
    except BlockingIOError as e:
        raise OutputExistsError(f"another process is using {folder}: wait for it, or choose another output") from e
    try:
        yield
    finally:
        lock.release()


def lock_folder(folder: Path, *, wait: bool = False) -> Lock:
    """Locks a folder.

    Raises:
        BlockingIOError: another process holds it, and `wait` is off.
        FileNotFoundError: there is no such folder.
    """
    return _FileInstead(folder, wait=wait) if sys.platform == "win32" else _PathItself(folder, wait=wait)


@contextlib.contextmanager
def new_held_file(path: Path) -> Iterator[None]:
    """Makes an empty file and holds it until the block ends, while it is written to and renamed.

    On Windows, and in network folders that have no locks, it is made and not held.

    Raises:
        OSError: it exists, or it cannot be made.
    """
    lock = _new_lock(path, partial(path.touch, exist_ok=False))
    try:
        yield
    finally:
        if lock is not None:
            lock.release()


def new_held_folder(folder: Path) -> Lock | None:
    """Makes a folder that its owner alone can use, and holds it; see `new_held_file`.

    Returns:
        What holds it; None where it is not held.

    Raises:
        OSError: it exists, or it cannot be made.
    """
    return _new_lock(folder, partial(folder.mkdir, mode=0o700))


def _new_lock(path: Path, make: Callable[[], object]) -> Lock | None:
    while True:
        make()
        if sys.platform == "win32":
            return None
        try:
            lock = _PathItself(path, wait=True)
        except FileNotFoundError:
            continue  # taken for an abandoned one, before it was held
        except OSError:
            return None
        if lock.holds(path):
            return lock
        lock.release()


def remove_abandoned(path: Path) -> None:
    """Removes a new file or folder whose process has ended; where that is unknown, it stays."""
    if sys.platform == "win32":
        return
    with contextlib.suppress(OSError):
        lock = _PathItself(path, wait=False)
        try:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()
        finally:
            lock.release()


class _PathItself:
    def __init__(self, path: Path, *, wait: bool) -> None:
        self.descriptor = os.open(path, os.O_RDONLY)
        try:
            _flock(self.descriptor, wait=wait)
        except BaseException:
            os.close(self.descriptor)
            raise

    def release(self) -> None:
        os.close(self.descriptor)

    def holds(self, path: Path) -> bool:
        with contextlib.suppress(FileNotFoundError):
            return os.path.samestat(os.fstat(self.descriptor), path.stat())
        return False


def _flock(descriptor: int, *, wait: bool) -> None:
    if sys.platform != "win32":
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)


class _FileInstead:
    def __init__(self, folder: Path, *, wait: bool) -> None:
        from filelock import FileLock, Timeout

        place = cache_folder() / "locks"
        place.mkdir(parents=True, exist_ok=True)
        # One folder has many spellings: relative, by a link, in capitals.
        name = os.path.normcase(folder.resolve())
        self._lock = FileLock(place / f"{hashlib.sha256(name.encode()).hexdigest()[:32]}.lock")
        try:
            self._lock.acquire(timeout=-1 if wait else 0)
        except Timeout as e:
            raise BlockingIOError(f"another process holds {folder}") from e
        if not folder.is_dir():
            self._lock.release()
            raise FileNotFoundError(f"{folder} does not exist")

    def release(self) -> None:
        self._lock.release()

    def holds(self, folder: Path) -> bool:
        return folder.is_dir()
