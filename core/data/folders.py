"""Folders of data: which of their files count, and whether their subfolders are splits, or all of a model's classes."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

from pocketvae.data.embedded import MNIST, located
from pocketvae.data.image_files import idx_files
from pocketvae.errors import DataError
from pocketvae.vae_spec import DataKind, VaeSpec

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


def are_splits(names: Collection[str]) -> bool:
    """Whether subfolders of these names are splits: nothing else is there, or both `train` and `test` are.

    Beside other names, one of them alone is a class, such as that of trains.
    """
    return bool(names) and (set(names) <= set(PARTS) or {"train", "test"} <= set(names))


def splits_of(folder: Path, names: Iterable[str]) -> tuple[str, ...]:
    """Returns the subfolders that are splits of a data set; none where subfolders are classes.

    Args:
        folder: The folder.
        names: Of its files of data, relative to it, with forward slashes.

    Raises:
        DataError: there are splits, but none is for training, or two are for validation.
    """
    subfolders = {name.split("/")[0] for name in names if "/" in name}
    subfolders |= {part for part in PARTS if (folder / part).is_dir()}
    if not are_splits(subfolders):
        return ()
    found = tuple(part for part in PARTS if part in subfolders)
    if "train" not in found:
        raise DataError(f"{folder} must have the split train/ beside {' and '.join(f'{part}/' for part in found)}")
    if {"validation", "val"} <= subfolders:
        raise DataError(f"{folder} has both validation/ and val/: join them, or move one away")
    return found


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


def check_has_all_classes(source: str, label_count: int, vae: VaeSpec) -> None:
    """Checks that a folder whose subfolders are numbered as classes has as many as a model; other sources pass.

    In a folder without two of ten classes, class 7 would become 5, and nothing would look wrong.

    Args:
        source: Of data with labels.
        label_count: One more than their largest label.
        vae: The interface of the model.

    Raises:
        DataError: it has more or fewer.
    """
    path, is_image = located(source), vae.data is DataKind.IMAGE
    if label_count == vae.label_count or not path.is_dir() or (is_image and (source == MNIST or idx_files(path))):
        return
    raise DataError(
        f"the folder {source} has {label_count} subfolders of {vae.data}s but the model {vae.label_count} classes, so "
        f"their numbering differs: name a folder with a subfolder for every class"
    )
