"""The files of TensorFlow's checkpoints in one folder, with the document that names those that count."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pocketvae.errors import TrainingError
from pocketvae.keras.io import tensorflow_writes
from pocketvae.system.files import sync
from pocketvae.system.quiet import quiet_stderr


def write_checkpoint(checkpoint: Any, path: Path) -> None:
    """Writes a checkpoint under a path without ending.

    Raises:
        TrainingError: the disk is full, or the folder cannot be written.
    """
    with tensorflow_writes(path):
        checkpoint.write(str(path))
    # Before the document names it and the one before is removed: a power cut must leave one that is whole.
    for file in path.parent.glob(f"{path.name}.*"):
        sync(file)


def read_checkpoint(checkpoint: Any, path: Path) -> None:
    """Puts the values of a file into the objects of a checkpoint.

    Raises:
        TrainingError: the file is damaged.
    """
    try:
        with quiet_stderr():
            checkpoint.read(str(path)).assert_existing_objects_matched()
    except Exception as e:  # TensorFlow raises whatever its reader ran into
        reason = (str(e).strip() or type(e).__name__).splitlines()[0][:200]
        raise TrainingError(f"the checkpoint {path} is damaged: {reason}") from e


def drop_all_but(document: Path, names: Iterable[str]) -> None:
    """Removes what lies beside a document, except the checkpoints of these names."""
    kept = tuple(f"{name}." for name in names)
    for file in document.parent.iterdir():
        if file.is_dir():
            # Left behind by a writer that was killed or ran into a full disk.
            shutil.rmtree(file)
        elif file != document and not file.name.startswith(kept):
            file.unlink()
