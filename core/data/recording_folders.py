"""What folders say of the recordings in them: the class of each, or that it holds anomalies."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pocketvae.data.folders import PARTS, are_splits
from pocketvae.errors import DataError
from pocketvae.parsing import shortened

_SEPARATOR = "/"


def names_folders(truth: str) -> bool:
    """Whether what says which items are anomalies names folders, `broken/` or `broken/,worn/`, and not a column."""
    return truth.endswith(_SEPARATOR)


def anomalous_files(source: Path, names: Sequence[str], truth: str, *, may_lack: bool = False) -> tuple[bool, ...]:
    """Returns which recordings lie in a folder of anomalies.

    Args:
        source: The folder of them all.
        names: Of the recordings, relative to it.
        truth: The folders, with a slash behind each.
        may_lack: Whether there need be none of these.

    Raises:
        DataError: the source is no folder, or there are no recordings in one of these.
    """
    wanted = tuple(part.strip().rstrip(_SEPARATOR) for part in truth.split(","))
    if not source.is_dir():
        raise DataError(f"--truth {truth} names folders of recordings, but {source} is no folder: leave it out")
    found = [set(_folders(name)) for name in names]
    for folder in () if may_lack else wanted:
        if not any(folder in parents for parents in found):
            others = shortened(", ".join(sorted(set().union(*found)))) or "none"
            raise DataError(f"{source} must have recordings in a folder {folder!r}, which --truth names, got {others}")
    return tuple(not parents.isdisjoint(wanted) for parents in found)


def classes_of(source: Path, names: Sequence[str]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Returns the classes of recordings, one for each subfolder in the order of their names, and that of each.

    Below folders that are splits, `train/` and `test/`, the next ones are the classes.

    Args:
        source: Their folder.
        names: Of the recordings, relative to it.

    Raises:
        DataError: a recording lies in no such folder, or all of them lie in one.
    """
    if not source.is_dir():
        raise DataError(f"labels need one folder of recordings for each class, but {source} is no folder")
    owners = _owners([_folders(name) for name in names])
    if "" in owners:
        name = names[owners.index("")]
        raise DataError(f"{source} must have one folder of recordings for each class, but {name} lies in none")
    classes = tuple(sorted(set(owners)))
    if len(classes) < 2:
        raise DataError(
            f"{source} must have a folder of recordings for each of several classes, got "
            f"{f'{classes[0]} alone' if classes else 'none'}"
        )
    return classes, tuple(classes.index(owner) for owner in owners)


def numbers_of(names: Sequence[str], classes: Sequence[str]) -> tuple[int, ...]:
    """Returns the class of each recording, -1 where it lies in a folder that is none of these."""
    return tuple(_number(_folders(name), classes) for name in names)


def _folders(name: str) -> list[str]:
    return name.split(_SEPARATOR)[:-1]


def _owners(folders: Sequence[Sequence[str]]) -> list[str]:
    """Returns the folder that says each recording's class; nothing where it lies in none."""
    first = {parents[0] for parents in folders if parents}
    splits = are_splits(first)
    owners = []
    for parents in folders:
        # A class of trains is no split, but what lies in the folder of a class below `train/` is of that class.
        in_split = bool(parents) and parents[0] in PARTS and (splits or (len(parents) > 1 and parents[1] in first))
        owners.append(next(iter(parents[in_split:]), ""))
    return owners


def _number(folders: Sequence[str], classes: Sequence[str]) -> int:
    if len(folders) > 1 and folders[0] in PARTS and folders[0] not in classes:
        folders = folders[1:]
    return classes.index(folders[0]) if folders and folders[0] in classes else -1
