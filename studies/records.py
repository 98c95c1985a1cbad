"""What the studies share: records of their figures, their command lines, and how they end."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pocketvae.errors import PocketVaeError
from pocketvae.system import files
from pocketvae.system.environment import Environment

_Arguments = TypeVar("_Arguments")
_BUSY_LOAD = 0.5


def make_record(
    study: str,
    words: Sequence[str],
    *,
    config: Mapping[str, Any],
    environment: Environment,
    results: Mapping[str, Any],
    not_run: Mapping[str, str],
) -> dict[str, Any]:
    """Returns a record as benchmarks/history wants it."""
    return {
        "study": study,
        "command": portable_command(study, words),
        "commit": git_commit(),
        "config": dict(config),
        "environment": dataclasses.asdict(environment),
        **results,
        "not_run": dict(not_run),
    }


def check_record(path: Path | None, *, force: bool) -> None:
    """Refuses a record that could not be written, before hours of work.

    Raises:
        OutputExistsError: it exists and `force` is off.
        DataError: its folder does not exist.
    """
    if path is not None:
        files.check_output(path, force=force)


def write_record(path: Path, record: Mapping[str, Any]) -> None:
    """Writes a record as deterministic JSON."""
    files.write_text(path, json.dumps(record, sort_keys=True, indent=2, allow_nan=False) + "\n")


def git_commit() -> str | None:
    """Returns the commit that is checked out, marked where tracked files have been changed since."""
    commands = (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
    try:
        head, changes = (
            subprocess.run(
                ["git", *words], cwd=Path(__file__).parent, capture_output=True, text=True, timeout=60, check=True
            ).stdout.strip()
            for words in commands
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{head}-changed" if changes else head


def tell(text: str) -> None:
    """Says how far a study is."""
    print(text, file=sys.stderr, flush=True)


def warn_if_busy(environment: Environment) -> None:
    """Says that figures will be too slow on a machine that others use."""
    if (environment.load_average or 0) > _BUSY_LOAD:
        tell(f"warning: the machine is busy (load average {environment.load_average}): figures will be too slow")


def portable_command(study: str, words: Sequence[str]) -> str:
    """Returns a study's command line; paths outside the project say nothing to others: their last part is kept."""
    return shlex.join(["python", f"studies/{study}.py", *map(_portable, words)])


def without_paths(text: str) -> str:
    """Returns an error's words without the paths of this machine."""
    return re.sub(r"(/[\w.+-]+){2,}", "PATH", text)


def run_study(
    name: str,
    words: Sequence[str] | None,
    parse: Callable[[Sequence[str]], _Arguments],
    run: Callable[[_Arguments], int],
) -> int:
    """Runs a study; returns its exit code, 2 for bad usage and 130 when interrupted."""
    try:
        return run(parse(sys.argv[1:] if words is None else words))
    except PocketVaeError as e:
        tell(f"{name}: {e}")
        return 2
    except KeyboardInterrupt:
        return 130


def _portable(word: str) -> str:
    option, mark, value = word.rpartition("=")
    return option + mark + (Path(value).name if Path(value).is_absolute() else value)
