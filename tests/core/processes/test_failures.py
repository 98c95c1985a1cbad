import errno

import pytest

from pocketvae.errors import (
    ArtifactFault,
    DataError,
    ExportError,
    InternalError,
    NoSpaceError,
    PocketVaeError,
    ShortageError,
    SpecError,
    TargetError,
)
from pocketvae.processes.envelope import Failure
from pocketvae.processes.failures import error_of, failure_of, is_passing
from pocketvae.system.shortage import NO_THREADS


@pytest.mark.parametrize("kind", [DataError, ExportError, NoSpaceError, PocketVaeError, SpecError, TargetError])
def test_an_error_that_was_raised_on_purpose_is_raised_again(kind):
    error = error_of(failure_of(kind("too few")))
    assert type(error) in (kind, InternalError if kind is PocketVaeError else kind)
    assert str(error) == "too few"


def test_an_artifact_fault_keeps_its_check():
    error = error_of(failure_of(ArtifactFault("interface", "outputs must be ['image']")))
    assert isinstance(error, ArtifactFault)
    assert (error.check, str(error)) == ("interface", "outputs must be ['image']")


def test_a_check_that_is_unknown_is_that_the_artifact_runs():
    error = error_of(Failure(type="ArtifactFault", message="broken", data={"check": "<b>"}))
    assert error.check == "runs"


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (ValueError("first\nsecond"), InternalError, "ValueError: first"),
        (RuntimeError(), InternalError, "RuntimeError: no message"),
        (OSError(errno.ENOSPC, "No space left on device", "x.npy"), NoSpaceError, "x.npy: No space left on device"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), NoSpaceError, "the system: Disk quota exceeded"),
        (RuntimeError("can't start new thread"), ShortageError, NO_THREADS),
        (FileNotFoundError(errno.ENOENT, "No such file", "a"), InternalError, "a: No such file"),
        (
            ModuleNotFoundError("No module named 'x'", name="x"),
            InternalError,
            "ModuleNotFoundError: No module named 'x'",
        ),
    ],
)
def test_what_nobody_raised_on_purpose_is_told_in_one_line(error, kind, message):
    found = error_of(failure_of(error))
    assert type(found) is kind
    assert str(found) == message


def test_a_type_that_is_unknown_here_is_an_internal_error():
    error = error_of(Failure(type="SystemExit", message="out of luck"))
    assert type(error) is InternalError


def test_what_is_missing_or_full_may_be_there_the_next_time():
    assert is_passing(failure_of(TargetError("no runtime")))
    assert is_passing(failure_of(ValueError("?")))
    assert not is_passing(failure_of(ArtifactFault("loads", "damaged")))


def test_a_part_of_pocketvae_that_is_missing_is_the_installation_s_fault():
    lack = ModuleNotFoundError("No module named 'pocketvae.keras.io'", name="pocketvae.keras.io")
    error = error_of(failure_of(lack))
    assert type(error) is TargetError
    assert str(error).startswith(
        "pocketvae is not installed completely (No module named 'pocketvae.keras.io'): run pip"
    )
