"""The exceptions that pocketvae raises on purpose.

Each message says what must hold, what was received and what to do, in one or two lines. The command line maps the
type to an exit code; a library user catches `PocketVaeError`.
"""

import difflib
from collections.abc import Iterable


class PocketVaeError(Exception):
    """Base of every error that pocketvae raises on purpose."""


class SpecError(PocketVaeError):
    """A name, option or combination is unknown or not supported."""


class DataError(PocketVaeError):
    """Images, labels or latents cannot be used as they are."""


class OutputExistsError(PocketVaeError):
    """The output already exists and must not be overwritten."""


class TrainingError(PocketVaeError):
    """Training cannot continue, for example because the loss is not finite."""


class ExportError(PocketVaeError):
    """A model cannot be converted."""


class ManifestError(PocketVaeError):
    """A document or a bundle is damaged, of another kind, or written by a newer pocketvae."""


class ParityError(PocketVaeError):
    """An exported file cannot be compared with the original at all."""


class TargetError(PocketVaeError):
    """A required runtime, package or device is missing."""


class LeftoverWarning(UserWarning):
    """Files that were copied to another machine could not be removed there."""


def unknown_name(kind: str, received: str, known: Iterable[str]) -> SpecError:
    """Builds the error for a name that is not one of `known`, with a close match if there is one."""
    names = list(known)
    close = difflib.get_close_matches(received.lower(), names, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return SpecError(f"unknown {kind} {received!r}: {hint}known: {', '.join(names)}")


def missing_package(package: str, extra: str) -> TargetError:
    """Builds the error for a Python package that is not installed, naming the extra that installs it."""
    return TargetError(f"{package} is not installed: run pip install 'pocketvae[{extra}]'")
