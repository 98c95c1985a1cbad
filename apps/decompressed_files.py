"""Where decompressed images go: one PNG, a folder of them, or arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pocketvae import files
from pocketvae.apps.animation import check_channels, single
from pocketvae.apps.codec import Decompressed
from pocketvae.apps.image_output import image_name, write_numbered
from pocketvae.errors import DataError, SpecError

# The first file of a folder that decompress has made: what --force may replace.
DECOMPRESSED_NAME = image_name(0)


def write_decompressed(result: Decompressed, out: Path, *, force: bool) -> None:
    """Writes one image as `.png`, all as `.npz` (`images`, and `labels` and `z` where there are any), or a folder.

    Raises:
        SpecError: the extension is unknown.
        DataError: several images shall become one `.png`.
        OutputExistsError: `out` exists and `force` is off.
    """
    kind = out.suffix.lower()
    if kind == ".npz":
        extra = {name: value for name, value in (("labels", result.labels), ("z", result.z)) if value is not None}
        with files.staged_file(out, force=force) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, images=result.images, **extra)
        return
    check_channels(result.images.shape[3])
    if kind == ".png":
        if len(result.images) > 1:
            raise DataError(f"one .png holds one image, got {len(result.images)}: name a folder or an .npz")
        files.check_output(out, force=force)
        files.write_bytes(out, single(result.images[0]))
    elif kind:
        raise SpecError(f"the output must end in .png or .npz, or name a folder, got {out.name!r}")
    else:
        with files.staged_directory(out, force=force) as folder:
            write_numbered(folder, 0, result.images)
