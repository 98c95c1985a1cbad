"""The exceptions that pocketvae raises on purpose.

Each message says what must hold, what was received and what to do, in one or two lines. The command line maps the
type to an exit code; a library user catches `PocketVaeError`.
"""

import difflib
from collections.abc import Iterable

from pocketvae.parsing import QUOTED, quoted, shortened


class PocketVaeError(Exception):
    """Base of every error that pocketvae raises on purpose."""


class SpecError(PocketVaeError):
    """A name, option or combination is unknown or not supported."""


class DataError(PocketVaeError):
    """Images, labels or latents cannot be used as they are."""


class NotFiniteValuesError(DataError):
    """Values on the way through a model are not finite.

    Attributes:
        row: Position of the first such item among those that the model was called with.
    """

    def __init__(self, message: str, row: int) -> None:
        """Keeps the position beside the message."""
        super().__init__(message)
        self.row = row


class OutputExistsError(PocketVaeError):
    """The output already exists and must not be overwritten."""


class TrainingError(PocketVaeError):
    """Training cannot continue, for example because the loss is not finite."""


class ExportError(PocketVaeError):
    """A model cannot be converted."""


class RuledOutError(ExportError):
    """The format, its runtime or the error budget rules out a file of this precision for this model."""


class NothingMadeError(ExportError):
    """None of the artifacts that were asked for could be made.

    Attributes:
        others: Names and reasons of all but the first, which the message gives.
    """

    def __init__(self, message: str, others: tuple[str, ...] = ()) -> None:
        """Keeps the others beside the message."""
        super().__init__(message)
        self.others = others


class ManifestError(PocketVaeError):
    """A document or a bundle is damaged, of another kind, or written by a newer pocketvae."""


class NotFiniteError(ManifestError, ValueError):
    """A document holds a number that is NaN or infinite, which JSON cannot hold."""


class ParityError(PocketVaeError):
    """An exported file cannot be compared with the original at all."""


class ArtifactFault(ParityError):
    """The artifact itself is wrong, wherever it runs.

    Attributes:
        check: The check that fails: `loads`, `interface` or `runs`.
    """

    def __init__(self, check: str, reason: str) -> None:
        """Keeps the check's name beside the reason."""
        super().__init__(reason)
        self.check = check


class TargetError(PocketVaeError):
    """A required runtime, package or device is missing."""


class NoSpaceError(PocketVaeError):
    """A disk is full, so that nothing else can be written either."""


class InternalError(PocketVaeError):
    """Another program met an error that nobody raised on purpose."""


class ShortageError(InternalError):
    """The system refused threads, processes or memory, so the same may succeed on another day."""


class ChannelError(PocketVaeError):
    """Another program crashed, took too long, or sent what cannot be read; the message says which.

    Attributes:
        code: What the program ended with, where it ended by itself; negative for a signal.
    """

    def __init__(self, message: str, code: int | None = None) -> None:
        """Keeps the code beside the message."""
        super().__init__(message)
        self.code = code


class TimeLimitError(ChannelError):
    """Another program took longer than it was given."""


class MemoryLimitError(ChannelError):
    """Another program used more memory than it was given."""


class LeftoverWarning(UserWarning):
    """Files that were copied to another machine could not be removed there."""


class DataWarning(UserWarning):
    """Data are used as they are, but what is made of them is probably not what was meant."""


class ImageWarning(UserWarning):
    """Image files have faults that do not change their pixels."""


def unknown_name(kind: str, received: str, known: Iterable[str]) -> SpecError:
    """Builds the error for a name that is not one of `known`, with a close match if there is one."""
    names = list(known)
    hint = did_you_mean(received, names)
    return SpecError(f"unknown {shortened(kind)} {quoted(received)}: {hint}known: {', '.join(names) or 'none'}")


def did_you_mean(received: str, known: Iterable[str]) -> str:
    """Returns a question that names the closest of `known`, with a space behind it; empty if none is close."""
    # The comparison takes time in proportion to the length.
    spelled = {name.lower(): name for name in known}
    close = difflib.get_close_matches(received[:QUOTED].lower(), list(spelled), n=1)
    return f"did you mean {spelled[close[0]]!r}? " if close else ""


def is_own_part(error: BaseException) -> bool:
    """Whether an error says that a part of pocketvae itself cannot be imported."""
    return isinstance(error, ImportError) and (error.name or "").split(".")[0] == "pocketvae"


def broken_installation(reason: str) -> TargetError:
    """Builds the error for a part of pocketvae itself that cannot be imported."""
    from pocketvae.installation import install_command

    return TargetError(f"pocketvae is not installed completely ({reason}): run {install_command()} again")


def missing_package(package: str, extra: str) -> TargetError:
    """Builds the error for a Python package that is not installed, naming the extra that installs it."""
    from pocketvae.installation import install_command  # Reads the installed packages, which takes milliseconds.

    return TargetError(f"{package} is not installed: run {install_command(extra)}")
