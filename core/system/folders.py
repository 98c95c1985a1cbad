"""Making folders: completely or not at all. A folder is built beside its final name and renamed last."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from pocketvae.errors import DataError, OutputExistsError
from pocketvae.system.files import check_output, is_stream, naming_output, sync
from pocketvae.system.leftovers import settled_on_error
from pocketvae.system.locks import Lock, lock_folder, locked

# The first file in a folder that is being filled: it says that everything beside it is pocketvae's.
_MARKER = ".pocketvae-unfinished"
# What the names of folders that are being made end with.
_BEING_MADE = (".partial", ".unfinished")
# Files that are synced one by one; of more, everything is synced at once, which is faster.
_MOST_SYNCED = 1000


@contextlib.contextmanager
def staged_directory(final: Path, *, force: bool, check_old: Callable[[], None] = lambda: None) -> Iterator[Path]:
    """Yields an empty folder beside `final` that becomes `final` when the block ends well.

    On an error or an interruption the folder is removed and `final` is what it was before. What a killed process left
    there for the same `final` is removed first.

    Args:
        final: What to make.
        force: Replace `final` if it exists.
        check_old: Called before that: raises where `final` may not be replaced, for what was added to it meanwhile.

    Raises:
        OutputExistsError: `final` exists and `force` is off, or another process is making it or the folder around it.
        DataError: the parent folder does not exist.
    """
    check_output(final, force=force)
    final = _folder(final)
    staging = final.with_name(f".{final.name}.{secrets.token_hex(4)}.partial")
    with settled_on_error(partial(shutil.rmtree, staging, ignore_errors=True)):
        # Two that begin at the same moment must not refuse one another, so they look one after the other.
        with _in_turn(final):
            _clear_remains(final)
            check_output(final, force=force)
            with naming_output(final):
                staging.mkdir()
            lock = lock_folder(staging)
        try:
            yield staging
            _replace_directory(staging, final, force=force, check_old=check_old)
        finally:
            lock.release()


def _in_turn(final: Path) -> contextlib.AbstractContextManager[None]:
    """Holds the parent folder for a moment; one that is being made itself is held to its end, so nobody waits for it.

    Raises:
        OutputExistsError: the parent is being made by another command, or by the one that asks.
    """
    return locked(final.parent, wait=final.parent.suffix not in _BEING_MADE)


def _folder(final: Path) -> Path:
    """Returns the folder to make: the one behind a link, which stays.

    Raises:
        DataError: the path is a device or a pipe.
    """
    if is_stream(final):
        raise DataError(f"the output must be a folder, but {final} is a device or a pipe")
    return Path(os.path.realpath(final)) if final.is_symlink() else final.absolute()


def _clear_remains(final: Path) -> None:
    """Removes what killed processes left beside `final`, and refuses where a living one is at work.

    Raises:
        OutputExistsError: another process is making `final`.
    """
    remains = [entry for entry in final.parent.iterdir() if _is_remnant(entry.name, final.name)]
    for entry in (entry for entry in remains if entry.suffix == ".partial"):
        try:
            lock_folder(entry).release()
        except FileNotFoundError:
            continue
        except BlockingIOError as e:
            raise OutputExistsError(f"another process is making {final}: wait for it, or choose another output") from e
        _remove(entry)
    for entry in (entry for entry in remains if entry.suffix == ".old"):
        # Where nothing has taken its place, it was killed between two renames.
        _settle_aside(entry, final)


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
    final = _folder(final)
    with _in_turn(final):
        _clear_remains(final)
        check_output(final, force=force)
    check_unfinished(final, force=force, resume=resume, milestone=milestone)
    staging = unfinished_directory(final)
    with _naming_unfinished(final):
        staging.mkdir(exist_ok=True)
    with locked(staging):
        marker, begun = staging / _MARKER, (staging / milestone).exists()
        if not begun and not marker.exists() and any(staging.iterdir()):
            raise OutputExistsError(
                f"{staging} is in the way and has no {milestone}, so pocketvae may not have made it: remove it, or "
                f"choose "
                "another output"
            )
        with settled_on_error(partial(_keep_progress, staging, milestone)):
            # The marker comes before everything else and goes last, so that whatever a kill leaves is known.
            marker.write_text(milestone)
            if not (resume and begun):
                _empty(staging, but=marker)
            yield staging
            marker.unlink(missing_ok=True)
            _replace_directory(staging, final, force=force)


def check_unfinished(final: Path, *, force: bool, resume: bool, milestone: str) -> None:
    """Refuses, before any expensive work, to begin anew where there is something to go on with.

    Raises:
        OutputExistsError: an unfinished folder of `final` holds `milestone`, and neither `resume` nor `force` is on; or
            it holds what another command can go on with.
    """
    staging = unfinished_directory(final)
    if _milestone_of_another(staging, milestone):
        raise OutputExistsError(
            f"{staging} holds the interrupted run of another command: finish that run, remove the folder, or choose "
            f"another output"
        )
    if (staging / milestone).exists() and not resume and not force:
        raise OutputExistsError(
            f"{staging} holds an interrupted run: pass --resume to continue it, or --force to start over"
        )


def _milestone_of_another(staging: Path, milestone: str) -> bool:
    """Whether an unfinished folder has reached the milestone of what makes something else, which its marker names."""
    try:
        named = (staging / _MARKER).read_text()
    except (OSError, UnicodeDecodeError):
        return False
    return named not in ("", milestone) and (staging / named).exists()


def _keep_progress(staging: Path, milestone: str) -> str | None:
    """Removes an unfinished folder, or says how to continue it where there is something to continue."""
    if (staging / milestone).exists():
        return f"{staging.name} keeps the progress: continue with --resume"
    _remove_marked(staging, _MARKER)
    return None


@contextlib.contextmanager
def workplace(final: Path, *, force: bool, marker: str, kept: Callable[[Path], str]) -> Iterator[Path]:
    """Yields the folder `FINAL.unfinished`, which holds what `final` is made from until `final` is there.

    It never becomes `final`, and is removed when the block ends well. On an error or an interruption it stays where it
    holds something for another call to go on with; else it is removed. What a killed process left in it is there.

    Args:
        final: What the block makes, by `staged_directory`.
        force: Whether the block may replace `final`.
        marker: Name of the first file in the folder, which says what made the others.
        kept: Returns what the folder holds, as a text for the user; empty if there is nothing to keep.

    Raises:
        OutputExistsError: `final` exists and `force` is off, another process is making it or the folder around it, or
            the folder holds something without the marker.
        DataError: the parent folder does not exist.
    """
    check_output(final, force=force)
    final = _folder(final)
    folder = unfinished_directory(final)
    # Two that begin at the same moment must not refuse one another, so they look one after the other.
    with _in_turn(final):
        _clear_remains(final)
        check_output(final, force=force)
        lock = _take(folder, final, marker)
    try:
        with settled_on_error(partial(_keep_work, folder, marker, kept)):
            yield folder
        with settled_on_error(partial(_remove_marked, folder, marker)):
            _remove_marked(folder, marker)
    finally:
        lock.release()


def _take(folder: Path, final: Path, marker: str) -> Lock:
    """Locks a folder, made where there is none, and marks it."""
    with _naming_unfinished(final):
        folder.mkdir(exist_ok=True)
    try:
        lock = lock_folder(folder)
    except BlockingIOError as e:
        raise OutputExistsError(f"another process is making {final}: wait for it, or choose another output") from e
    if not (folder / marker).exists() and any(folder.iterdir()):
        lock.release()
        raise OutputExistsError(f"{folder} is in the way and holds other work: finish that, or choose another output")
    (folder / marker).touch()
    return lock


@contextlib.contextmanager
def _naming_unfinished(final: Path) -> Iterator[None]:
    """Names the output in place of the unfinished folder beside it, unless that is what is wrong."""
    try:
        yield
    except FileExistsError:
        raise
    except OSError as e:
        with naming_output(final):
            raise OSError(e.errno, e.strerror, str(final)) from e


def _keep_work(folder: Path, marker: str, kept: Callable[[Path], str]) -> str | None:
    if not (text := kept(folder)):
        _remove_marked(folder, marker)
    return text or None


def _remove_marked(folder: Path, marker: str) -> None:
    """Removes a folder, its marker last: whatever a kill leaves is known."""
    with contextlib.suppress(OSError):
        _empty(folder, but=folder / marker)
        (folder / marker).unlink(missing_ok=True)
        folder.rmdir()


@contextlib.contextmanager
def claimed_directory(folder: Path) -> Iterator[None]:
    """Makes a folder that is this process's alone until the block ends; what is in it stays.

    Raises:
        OutputExistsError: another process has claimed it.
        OSError: it cannot be made.
    """
    try:
        while (lock := _claim(folder)) is None:
            folder.mkdir(parents=True, exist_ok=True)
    except BlockingIOError as e:
        raise OutputExistsError(f"another process is using {folder}: wait for it") from e
    try:
        yield
    finally:
        lock.release()


def _claim(folder: Path) -> Lock | None:
    """Locks a folder; None where it is not there, or was removed in between, so that the lock is on nothing."""
    try:
        lock = lock_folder(folder)
    except FileNotFoundError:
        return None
    if lock.holds(folder):
        return lock
    lock.release()
    return None


def unfinished_directory(final: Path) -> Path:
    """Returns where `resumable_directory` keeps what is not finished."""
    final = _folder(final)
    return final.with_name(f"{final.name}.unfinished")


def _empty(folder: Path, *, but: Path) -> None:
    for entry in folder.iterdir():
        if entry == but:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _replace_directory(
    staging: Path, final: Path, *, force: bool, check_old: Callable[[], None] = lambda: None
) -> None:
    _sync(staging)
    # Renaming onto a non-empty folder fails on POSIX, so the old one steps aside first and is deleted last; nobody
    # may look meanwhile and take it for what a killed process left.
    with locked(final.parent, wait=True):
        check_output(final, force=force)
        if not final.exists():
            staging.replace(final)
        else:
            check_old()
            aside = final.with_name(f".{final.name}.{secrets.token_hex(4)}.old")
            with settled_on_error(partial(_settle_aside, aside, final)):
                final.replace(aside)
                staging.replace(final)
                _settle_aside(aside, final)
        _sync_names(final.parent)


def _settle_aside(aside: Path, final: Path) -> None:
    """Removes what stepped aside; puts it back where nothing has taken its place."""
    if not final.exists():
        if aside.exists():
            aside.replace(final)
        return
    # Under a name that is never put back: whoever is killed now leaves half of it.
    remains = aside.with_suffix(".partial")
    with contextlib.suppress(FileNotFoundError):
        aside.replace(remains)
    _remove(remains)


def _sync(folder: Path) -> None:
    """Writes a folder to the disk: a power cut after its renaming must not leave it with empty files."""
    paths = [Path(place, name) for place, _, names in os.walk(folder) for name in names]
    if len(paths) > _MOST_SYNCED and hasattr(os, "sync"):
        os.sync()
        return
    for path in paths:
        with contextlib.suppress(OSError):
            sync(path)
    for place, _, _ in os.walk(folder):
        _sync_names(Path(place))


def _sync_names(folder: Path) -> None:
    """Writes a folder's list of names to the disk, where the system does that apart."""
    if sys.platform == "win32":
        return
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
