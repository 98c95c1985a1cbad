"""Folders of data: which of their files count, and whether their subfolders are splits."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from pocketvae.errors import DataError

# Subfolders that are splits of a data set, not classes; the last of them is most likely the one that is meant.
PARTS = ("train", "validation", "val", "test")


def data_files(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """Returns the files that have one of these suffixes, also in subfolders, in the order of their names.

    What begins with a point is left out: systems and editors keep notes and copies of files there (`._a.csv`,
    `.ipynb_checkpoints/a.csv`).
    """
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in suffixes
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
    )


def check_is_one_part(folder: Path, kind: str) -> None:
    """Checks that a folder is not one of a training and a test split.

    Args:
        folder: The folder.
        kind: What its subfolders may be instead.

    Raises:
        DataError: all of its subfolders have names of splits.
    """
    names = {entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith(".")}
    if names and names <= set(PARTS):
        raise DataError(
            f"the subfolders of {folder} must be {kind}, got {' and '.join(sorted(names))}: name one of them, such as "
            f"{folder / max(names, key=PARTS.index)}"
        )
