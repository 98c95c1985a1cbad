"""Vectors and sequences as CSV: a row for each item."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy.typing as npt

from pocketvae.errors import SpecError
from pocketvae.kinds.registry import kind_of
from pocketvae.numerics.normalization import for_user
from pocketvae.system import files
from pocketvae.vae_spec import DataKind, VaeSpec


def check_rows(vae: VaeSpec, verb: str) -> None:
    """Checks that items of a VAE can be written as rows.

    Args:
        vae: Its interface.
        verb: What is done with the items, for the message: `the model makes sequences`.

    Raises:
        SpecError: they are images or volumes.
    """
    if vae.data not in (DataKind.VECTOR, DataKind.SEQUENCE):
        plural = kind_of(vae.data).plural
        raise SpecError(f"a .csv holds vectors or sequences, but the model {verb} {plural}: name an .npz or .png")


def write_rows(
    out: Path, vae: VaeSpec, chunks: Iterable[npt.NDArray[Any]], *, first: int = 0, force: bool = False
) -> None:
    """Writes a row for each item: its index, then its values, in their own unit, as they lie in memory.

    Args:
        out: The file.
        vae: Says what one item is.
        chunks: Items, `[N, *data_shape]` each, in units of the model.
        first: Index of the first item.
        force: Replace `out` if it exists.

    Raises:
        OutputExistsError: `out` exists and `force` is off.
    """
    with files.staged_file(out, force=force) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("index", *_column_names(vae)))
        index = first
        for items in chunks:
            for item in for_user(items, vae):
                # A float32 is written with as many digits as it takes to read the same one again.
                writer.writerow((index, *map(str, item.reshape(-1))))
                index += 1


def _column_names(vae: VaeSpec) -> list[str]:
    """Returns the columns of one item: `value_3` of a vector, `step_5_channel_1` of a sequence.

    Where channels have names, these stand for `value_3` and `channel_1`; of a category each has one, `material=brass`.
    """
    is_vector = len(vae.data_shape) == 1
    names = [f"{'value' if is_vector else 'channel'}_{index}" for index in range(vae.data_shape[-1])]
    if vae.channels and all(channel.name for channel in vae.channels):
        own = [[f"{one.name}={category}" for category in one.categories] or [one.name] for one in vae.channels]
        names = [name for of_channel in own for name in of_channel]
    if is_vector:
        return names
    return [f"step_{step}_{name}" for step in range(vae.data_shape[0]) for name in names]
