"""What was written into a folder, and what others changed or added there, which is not to be replaced."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from pocketvae.errors import OutputExistsError
from pocketvae.system.files import sha256_bytes, sha256_file

# Of files that others changed or added, in a message.
_MOST_NAMES = 3
# What systems, editors and killed processes leave in any folder.
_LEFT_BY_OTHERS = (".DS_Store", "Thumbs.db", "desktop.ini", ".ipynb_checkpoints", ".*.tmp")


def file_hashes(files: Mapping[str, str | bytes]) -> dict[str, str]:
    """Returns the SHA-256 of each file by its path: what a folder's record of them holds as `files`."""
    contents = {path: item if isinstance(item, bytes) else item.encode() for path, item in files.items()}
    return {path: sha256_bytes(content) for path, content in contents.items()}


def file_record(files: Mapping[str, str | bytes]) -> str:
    """Returns the record of a folder's files, JSON, that says nothing else."""
    return json.dumps({"files": file_hashes(files)}, indent=2, sort_keys=True) + "\n"


def recorded_hashes(folder: Path, record: str) -> dict[str, str]:
    """Returns the SHA-256 of each file that was written into a folder, of its record the empty one.

    Args:
        folder: Which may not be there.
        record: Name of the file in it that holds them; where it has none, nothing else is known.
    """
    try:
        written: dict[str, str] = dict(json.loads((folder / record).read_bytes())["files"])
    except (OSError, ValueError, LookupError, TypeError):
        written = {}
    return {**written, record: ""}


def check_untouched(
    folder: Path, written: Mapping[str, str], made: Collection[str] = (), advice: str = "choose another folder"
) -> None:
    """Checks that a folder may be replaced: what others have made of it would be lost.

    Args:
        folder: Which may not be there.
        written: SHA-256 of each file that was written into it, by its path with forward slashes; empty where it is not
            known.
        made: Names of what tools leave in it, which does not count.
        advice: What to do instead.

    Raises:
        OutputExistsError: it is a file, or files and folders in it were changed or added.
    """
    if not folder.exists():
        return
    known = {parent.as_posix() for path in written for parent in PurePosixPath(path).parents}
    found = list(_touched(folder, written, known, made)) if folder.is_dir() else [folder.name]
    _refuse(folder, found, advice)


def check_nothing_else(folder: Path, names: Collection[str]) -> None:
    """Checks that a folder may be replaced: that nothing is in it but what a command makes.

    Args:
        folder: Which may not be there.
        names: Patterns of the names of its files and folders, as in `fnmatch`.

    Raises:
        OutputExistsError: something else is in it.
    """
    if folder.is_dir():
        known = (*names, *_LEFT_BY_OTHERS)
        others = (path.name for path in folder.iterdir() if not any(fnmatchcase(path.name, name) for name in known))
        _refuse(folder, sorted(others), "move what you need")


def _refuse(folder: Path, found: Sequence[str], advice: str) -> None:
    if not found:
        return
    more = f" and {len(found) - _MOST_NAMES} more" if len(found) > _MOST_NAMES else ""
    raise OutputExistsError(
        f"{folder} has files of yours, which --force would delete: {', '.join(found[:_MOST_NAMES])}{more}; {advice}"
    )


def _touched(
    folder: Path, written: Mapping[str, str], known: Collection[str], made: Collection[str], place: str = ""
) -> Iterator[str]:
    """Yields what is not as it was written, and what is of others: of a folder of theirs its name alone."""
    for path in sorted((folder / place).iterdir()):
        name = f"{place}{path.name}"
        if path.name in made:
            continue
        if name in known and path.is_dir() and not path.is_symlink():
            yield from _touched(folder, written, known, made, f"{name}/")
        elif name not in written or not path.is_file() or written[name] not in ("", sha256_file(path)):
            yield name
