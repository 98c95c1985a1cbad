"""Setup steps of a target: announced first, kept outside the project, and run only once."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pocketvae.errors import TargetError
from pocketvae.system.cache import cache_folder
from pocketvae.system.files import plain_name, sha256_bytes, write_text
from pocketvae.system.folders import staged_directory

_STAMP = ".made-of"
_TOOL_TIME_LIMIT_S = 1800.0


@dataclass(frozen=True, kw_only=True)
class SetupStep:
    """One thing that a target needs.

    Attributes:
        text: What is done, for the person who is asked.
        download_bytes: About how much is downloaded for it.
        is_done: Whether it is there already.
        take: Function that does it, completely or not at all.
    """

    text: str
    download_bytes: int
    is_done: Callable[[], bool]
    take: Callable[[], None]


def target_folder(name: str) -> Path:
    """Returns where one target is kept; of a name that is no plain file name, the hash tells it from its likes."""
    plain = plain_name(name)
    return cache_folder() / "targets" / (name if plain == name else f"{plain[:80]}-{sha256_bytes(name.encode())[:8]}")


def folder_step(folder: Path, *, text: str, key: str, download_bytes: int, make: Callable[[Path], None]) -> SetupStep:
    """Returns a step that fills a folder.

    Args:
        folder: Appears when it is complete.
        text: See `SetupStep`.
        key: What it is made of; a folder that is made of something else is made again.
        download_bytes: See `SetupStep`.
        make: Fills the folder that it is given.
    """

    def take() -> None:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with staged_directory(folder, force=True) as staging:
            make(staging)
            write_text(staging / _STAMP, key)

    return SetupStep(text=text, download_bytes=download_bytes, is_done=lambda: is_made_of(folder, key), take=take)


def is_made_of(folder: Path, key: str) -> bool:
    """Whether a step's folder is there and made of what it says."""
    try:
        return (folder / _STAMP).read_text("utf-8") == key
    except OSError:
        return False


def named_program(variable: str) -> str | None:
    """Returns the path of the program that an environment variable names; None where the variable is not set.

    Raises:
        TargetError: it names what cannot be run.
    """
    named = os.environ.get(variable)
    if not named:
        return None
    found = shutil.which(named)
    if found is None:
        raise TargetError(f"{variable} names {named}, which is not a program that can run here")
    return found


def run_tool(
    command: Sequence[str],
    doing: str,
    *,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    time_limit_s: float = _TOOL_TIME_LIMIT_S,
) -> str:
    """Runs one of the machine's tools and returns what it printed.

    Raises:
        TargetError: it is not installed, cannot be started, takes too long or fails; the message has its last line.
    """
    try:
        done = subprocess.run(
            # Windows starts npm.cmd only by its whole name.
            [shutil.which(command[0]) or command[0], *command[1:]],
            cwd=cwd,
            env={**os.environ, **environment} if environment else None,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=time_limit_s,
            check=False,
        )
    except FileNotFoundError as e:
        raise TargetError(f"{doing} needs {command[0]}, which is not installed") from e
    except subprocess.TimeoutExpired as e:
        raise TargetError(f"{doing} took longer than {time_limit_s:g} s and was ended") from e
    except OSError as e:
        raise TargetError(f"{doing} failed: {command[0]} cannot be started: {e.strerror or e}") from e
    if done.returncode:
        said = (done.stderr or done.stdout).splitlines()
        # npm ends with where its log lies, which says nothing.
        lines = [line for line in said if line.strip() and "A complete log of this run" not in line]
        errors = [line for line in lines if "rror" in line or line.startswith("E:")] or lines
        raise TargetError(f"{doing} failed: {errors[-1].strip()[:300] if errors else f'code {done.returncode}'}")
    return done.stdout
