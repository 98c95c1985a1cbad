"""Errors on their way from one program to another: a type that both know, a message, and what else there is to say.

| type | what it blames |
|---|---|
| `ArtifactFault` | the artifact; `data.check` names the check that fails |
| `TargetError` | a package, a runtime or a device that is missing |
| `NoSpaceError` | a full disk |
| `ShortageError` | the system, which refused another thread or process |
| any other subclass of `PocketVaeError` | what was asked for |
| `InternalError` | the program: nobody raised this on purpose |
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator, Sequence

from pocketvae.errors import (
    ArtifactFault,
    InternalError,
    NoSpaceError,
    PocketVaeError,
    ShortageError,
    TargetError,
    broken_installation,
    is_own_part,
)
from pocketvae.parsing import shortened
from pocketvae.processes.envelope import Failure
from pocketvae.system.shortage import shortage_of

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_LACKS = re.compile(r"(ModuleNotFoundError|ImportError): (?P<reason>[^\n]*'pocketvae[.'][^\n]*)")
_CHECKS = frozenset({"loads", "interface", "runs"})
_LONGEST_MESSAGE = 300
# The same request may succeed later: these do not depend on the request alone.
_PASSING = frozenset(kind.__name__ for kind in (TargetError, NoSpaceError, ShortageError, InternalError))


def failure_of(error: Exception) -> Failure:
    """Returns an exception as it is sent."""
    if isinstance(error, ArtifactFault):
        return Failure(type=ArtifactFault.__name__, message=str(error), data={"check": error.check})
    if isinstance(error, PocketVaeError):
        return Failure(type=type(error).__name__, message=str(error))
    if is_own_part(error):
        return failure_of(broken_installation(shortened(error)))
    if shortage := shortage_of(error):
        return Failure(type=ShortageError.__name__, message=shortage)
    if isinstance(error, OSError) and error.strerror:
        kind = NoSpaceError if error.errno in _FULL else InternalError
        return Failure(type=kind.__name__, message=f"{error.filename or 'the system'}: {error.strerror}")
    lines = [line for line in str(error).splitlines() if line.strip()]
    reason = lines[0][:_LONGEST_MESSAGE] if lines else "no message"
    return Failure(type=InternalError.__name__, message=f"{type(error).__name__}: {reason}")


def broken_installation_in(lines: Sequence[str]) -> TargetError | None:
    """Returns the error for a program whose last words say that it lacks a part of pocketvae; None if they do not."""
    found = _LACKS.match(lines[-1]) if lines else None
    return broken_installation(shortened(found["reason"])) if found else None


def error_of(failure: Failure) -> PocketVaeError:
    """Returns the exception that was sent; one of a type that is unknown here is an `InternalError`."""
    check = failure.data.get("check")
    if failure.type == ArtifactFault.__name__:
        return ArtifactFault(check if check in _CHECKS else "runs", failure.message)
    known = {kind.__name__: kind for kind in _subclasses(PocketVaeError)}
    return known.get(failure.type, InternalError)(failure.message)


def is_passing(failure: Failure) -> bool:
    """Whether the same request may succeed later, when what was missing has come."""
    return failure.type in _PASSING


def _subclasses(kind: type[PocketVaeError]) -> Iterator[type[PocketVaeError]]:
    for each in kind.__subclasses__():
        yield each
        yield from _subclasses(each)
