"""Where a command writes: not over what it reads, not twice in one place, and not into the files of a bundle or run.

And that what must be a path of this machine is no address of storage.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from pocketvae.bundle.demo import check_writable
from pocketvae.data.embedded import MNIST
from pocketvae.errors import SpecError

# Arguments of all commands by their names in the parsers.
_WRITTEN = tuple("out json junit markdown html csv timeline roc save_worst export_dir android_test serving".split())  # noqa: SIM905
_MANIFEST = "manifest.json"
_RUN = "run.json"
# An address as a path, which has lost a slash; one letter is a drive of Windows.
_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+):/+(.*)")
# Read, but where the second argument is given: then the command writes it.
_FITTED = {"calibration": "calibrate", "tables": "fit"}
# Texts that are paths or names of sources.
_SOURCES = ("data", "images", "normal", "calibrate_scores")


def check_outputs(arguments: argparse.Namespace) -> None:
    """Checks the outputs of a command before it begins.

    Raises:
        SpecError: two of them are one file, one is something that the command reads or would replace the folder of
            it, or one is a file of a bundle or run, or lies in the package's own.
    """
    read = {path.resolve(): path for path in _inputs(arguments)}
    taken: dict[Path, str] = {}
    for name in _written(arguments):
        option = f"--{name.replace('_', '-')}"
        for path in _paths(getattr(arguments, name, None)):
            place = path.resolve()
            if place in taken:
                raise SpecError(f"{taken[place]} and {option} name the same file {path}: choose two")
            if place in read:
                raise SpecError(f"{option} names {path}, which this command reads: choose another")
            # Recipes are read before anything is written, and lie in bundles.
            recipes = _paths(getattr(arguments, "recipe", None))
            around = [given for found, given in read.items() if place in found.parents and given not in recipes]
            if around and getattr(arguments, "force", False):
                raise SpecError(f"{option} names {path}, and {around[0]} in it is read by this command: choose another")
            taken[place] = option
            check_writable(path, option)
            _check_no_part(place, path, option)
    for path in _paths(getattr(arguments, "db", None)):
        check_writable(path, "--db")
        _check_no_part(path.resolve(), path, "--db")


def check_no_addresses(arguments: argparse.Namespace) -> None:
    """Checks that no address stands where a command takes a path.

    Raises:
        SpecError: one does.
    """
    for name, value in vars(arguments).items():
        given: list[Path | str] = [*_paths(value)]
        if isinstance(value, str) and name in _SOURCES and (name == "data" or not hasattr(arguments, "cluster")):
            given.append(value)
        for item in given:
            found = _ADDRESS.fullmatch(str(item))
            if found and not Path(item).exists():
                scheme, path = found[1], f"/{found[2]}" if found[1] == "file" else found[2]
                advice = f"write {path}" if scheme == "file" else "copy or mount it first"
                what = f"{name.replace('_', ' ')} must be a path of this machine"
                raise SpecError(f"{what}, got an address, {scheme}://{path}: {advice}")


def check_apart(option: str, out: Path, test: Path) -> None:
    """Refuses a folder in the bundle, whose files are hashed, and a bundle in it, which appears as a whole."""
    bundle, folder = out.resolve(), test.resolve()
    if bundle == folder or bundle in folder.parents or folder in bundle.parents:
        raise SpecError(f"{option} must be a folder beside --out {out}, got {test}")


def _written(arguments: argparse.Namespace) -> list[str]:
    return [*_WRITTEN, *(name for name, fits in _FITTED.items() if getattr(arguments, fits, False))]


def _inputs(arguments: argparse.Namespace) -> Iterator[Path]:
    """Yields all paths that the command does not write; texts that may be one, such as sources, where they exist."""
    written = _written(arguments)
    for name, value in vars(arguments).items():
        if name not in written:
            yield from _paths(value)
        if name in _SOURCES or (name == "targets" and Path(str(value)).suffix == ".toml"):
            texts = value if isinstance(value, list | tuple) else [value]
            yield from (Path(text) for text in texts if isinstance(text, str) and text != MNIST and Path(text).exists())


def _paths(value: object) -> list[Path]:
    items = value if isinstance(value, list | tuple) else [value]
    return [item for item in items if isinstance(item, Path)]


def _check_no_part(place: Path, path: Path, option: str) -> None:
    """Refuses to replace a file that a bundle's manifest names, or the manifest, or a file of a run."""
    if not place.is_file():
        return
    if (place.parent / _RUN).is_file():
        from pocketvae.bundle.run import RUN_FILES

        if any(fnmatchcase(place.name, name) for name in RUN_FILES):
            raise SpecError(f"{option} names {path}, which is part of the run {place.parent.name}: choose another file")
    for folder in (place.parent, place.parent.parent):
        if place.relative_to(folder).as_posix() in set(_recorded(folder / _MANIFEST)):
            raise SpecError(f"{option} names {path}, which is part of the bundle {folder.name}: choose another file")


def _recorded(manifest: Path) -> Iterator[str]:
    try:
        document = json.loads(manifest.read_bytes())
    except (OSError, ValueError):
        return
    yield manifest.name
    yield from _named(document)


def _named(document: Any) -> Iterator[str]:
    if isinstance(document, Mapping):
        path = document.get("path")
        if isinstance(path, str):
            yield path
    for item in document.values() if isinstance(document, Mapping) else document if isinstance(document, list) else ():
        yield from _named(item)
