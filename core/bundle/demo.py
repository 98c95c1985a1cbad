"""The bundle inside the package, by its name `demo`: a VAE of digits to try before anything is trained."""

from __future__ import annotations

import os
from pathlib import Path

import pocketvae
from pocketvae.errors import SpecError

DEMO = "demo"


def demo_folder() -> Path:
    """Returns where the package has it."""
    return Path(pocketvae.__file__).parent / DEMO


def located(path: str | os.PathLike[str]) -> Path:
    """Returns the path of a bundle or of a file in it; `demo` is the package's own unless such a file or folder exists.

    Every command and `pocketvae.open` ask here.
    """
    path = Path(path)
    if path.parts[:1] != (DEMO,) or Path(DEMO).exists():
        return path
    return demo_folder().joinpath(*path.parts[1:])


def check_writable(path: Path, option: str) -> None:
    """Refuses to write into the package.

    Args:
        path: What is to be written.
        option: By which the user names another place.

    Raises:
        SpecError: it lies in the package's bundle.
    """
    folder = demo_folder()
    if path.absolute().is_relative_to(folder):
        raise SpecError(
            f"the bundle {DEMO} is part of the package and read-only: name a file of yours with {option}, or copy the "
            f"folder {folder} and use the copy"
        )
