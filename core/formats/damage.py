"""Refusing damaged files: whatever their content makes a reader do, the error says which file it is."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from pocketvae.errors import ManifestError, ParityError, PocketVaeError


class Damage(Exception):
    """What is wrong with a file, in words that go on from `the file is damaged: `."""


@contextlib.contextmanager
def refusing_damage(file: str, what: str) -> Iterator[None]:
    """Turns every error of a reader into one of ours.

    The readers that are generated from a format's schema check nothing, and raise a dozen unrelated types.

    Args:
        file: In words: `the TFLite file`.
        what: Is read of it: `operators`.

    Raises:
        ManifestError: reading failed.
    """
    try:
        yield
    except PocketVaeError:
        raise
    except Damage as e:
        raise ManifestError(f"{file} is damaged: its {what} cannot be read: {e}") from e
    except Exception as e:
        message = " ".join(str(e).split())[:120]
        reason = f"{type(e).__name__}: {message}" if message else type(e).__name__
        raise ManifestError(f"{file} is damaged: its {what} cannot be read ({reason})") from e


@contextlib.contextmanager
def naming_file(path: Path) -> Iterator[None]:
    """Puts a file's path before what its readers and runtimes say is wrong with it.

    Raises:
        ManifestError: as the reader says.
        ParityError: as the runtime says.
    """
    try:
        yield
    except (ManifestError, ParityError) as e:
        if str(path) in str(e):
            raise
        raise type(e)(f"{path}: {e}") from e
