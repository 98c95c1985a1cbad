"""What every latency study writes down beside its figures."""

from __future__ import annotations

import dataclasses
import json
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pocketvae.system import files
from pocketvae.system.environment import Environment


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
        "command": shlex.join(["python", f"studies/{study}.py", *map(_portable, words)]),
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
                ["git", *words], cwd=Path(__file__).parent, capture_output=True, text=True, timeout=10, check=True
            ).stdout.strip()
            for words in commands
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{head}-changed" if changes else head


def tell(text: str) -> None:
    """Says how far a study is."""
    print(text, file=sys.stderr, flush=True)


def _portable(word: str) -> str:
    """Paths outside the project say nothing to others, so only their last part is recorded."""
    return Path(word).name if Path(word).is_absolute() else word
