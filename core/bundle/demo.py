"""The bundle inside the package, by its name `demo`: a VAE of digits to try before anything is trained."""

from __future__ import annotations

import os
from pathlib import Path

import pocketvae
from pocketvae.errors import SpecError

DEMO = "demo"


def demo_folder() -> Path:
    """Returns where the package has it."""
    # An editable install has links to the files of a bundle, which may not lead outside of its folder.
    return (Path(pocketvae.__file__).parent / DEMO / "manifest.json").resolve().parent


def located(path: str | os.PathLike[str]) -> Path:
    """Returns the path of a bundle or of a file in it; `demo` is the package's own unless such a file or folder exists.

    Every command and `pocketvae.open` ask here.
    """
    path = Path(path)
    if path.parts[:1] != (DEMO,) or Path(DEMO).exists():
        return path
    return demo_folder().joinpath(*path.parts[1:])


def named(path: object) -> str:
    """Returns a path as the user would write it: what lies in the package's bundle by its name."""
    if isinstance(path, Path) and path.is_relative_to(demo_folder()):
        return str(Path(DEMO, path.relative_to(demo_folder())))
    return str(path)


def is_in_demo(path: Path) -> bool:
    """Whether a path lies in the package's bundle."""
    return path.resolve().is_relative_to(demo_folder())


def check_writable(path: Path, option: str) -> None:
    """Refuses to write into the package.

    Args:
        path: What is to be written.
        option: By which the user names another place.

    Raises:
        SpecError: it lies in the package's bundle.
    """
    folder = demo_folder()
    if is_in_demo(path):
        raise SpecError(
            f"the bundle {DEMO} is part of the package and read-only: name a file of yours with {option}, or copy the "
            f"folder {folder} and use the copy"
        )
