"""The history: figures of many results in one SQLite file."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from pocketvae.benchmarks.compare.compare import Side, read_result
from pocketvae.errors import ManifestError, SpecError
from pocketvae.system.files import sha256_bytes

# "PVAE", which `file` and this module know the file by.
_APPLICATION = 0x50564145
_VERSION = 1
_TABLES = """
CREATE TABLE results (
    id INTEGER PRIMARY KEY, sha256 TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, added TEXT NOT NULL,
    revision TEXT NOT NULL, label TEXT NOT NULL, machine TEXT NOT NULL, environment TEXT NOT NULL
) STRICT;
CREATE TABLE figures (
    result INTEGER NOT NULL REFERENCES results (id), artifact TEXT NOT NULL, target TEXT NOT NULL, what TEXT NOT NULL,
    value REAL, passed INTEGER NOT NULL, PRIMARY KEY (result, artifact, target, what)
) STRICT, WITHOUT ROWID;
"""
_WAIT_S = 30.0


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a result comes from.

    Attributes:
        revision: Of the source, such as a commit; empty where it is not known.
        label: Whatever else tells results apart, such as a branch.
    """

    revision: str = ""
    label: str = ""


@dataclass(frozen=True, kw_only=True)
class Added:
    """What was done with a result.

    Attributes:
        figures: How many were added; 0 of a result that is there already.
        label: The new one of such a result; empty where it keeps its own.
        old_label: What it replaces.
    """

    figures: int
    label: str = ""
    old_label: str = ""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One figure of one result.

    Attributes:
        number: Of the result, in the order in which they were added.
        added: When, in UTC, as ISO 8601 writes it.
        value: None where there is a verdict and no number.
    """

    number: int
    added: str
    origin: Origin
    artifact: str
    target: str
    what: str
    machine: str
    value: float | None
    passed: bool


class History:
    """A file of results; a context manager. Several processes may add to it at the same time."""

    def __init__(self, path: Path, *, create: bool) -> None:
        """Opens a file.

        Args:
            path: Where it is.
            create: Whether it is made where there is none.

        Raises:
            SpecError: it is not there, or not a history.
        """
        self.path = path
        if not create and not path.is_file():
            raise SpecError(f"{path} does not exist: pocketvae history add RESULT.json --db {path} makes it")
        if not path.absolute().parent.is_dir():
            raise SpecError(f"the folder of {path} does not exist: create it first")
        try:
            self._base = sqlite3.connect(path, timeout=_WAIT_S, isolation_level=None)
        except sqlite3.Error as e:
            raise SpecError(f"{path} cannot be opened: {e}") from e
        try:
            with self._transaction():
                self._check(path)
        except BaseException:
            self._base.close()
            raise

    def _check(self, path: Path) -> None:
        application, version = (self._base.execute(f"PRAGMA {name}").fetchone()[0] for name in _KINDS)
        if application == 0 and not self._base.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            for statement in _TABLES.split(";\n"):
                self._base.execute(statement)
            self._base.execute(f"PRAGMA application_id = {_APPLICATION}")
            self._base.execute(f"PRAGMA user_version = {_VERSION}")
        elif application != _APPLICATION:
            raise SpecError(f"{path} is not a history of pocketvae")
        elif version != _VERSION:
            raise SpecError(f"{path} has version {version}, and this pocketvae knows version {_VERSION}: update it")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Makes all of a block happen or nothing; others wait."""
        try:
            self._base.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._base.execute("ROLLBACK")
                raise
            self._base.execute("COMMIT")
        except sqlite3.Error as e:
            raise SpecError(f"{self.path} is not a history of pocketvae, or cannot be written: {e}") from e

    def add(self, path: Path, origin: Origin) -> Added:
        """Adds one result; see `add_all`."""
        return self.add_all([path], origin)[0]

    def add_all(self, paths: Sequence[Path], origin: Origin) -> list[Added]:
        """Adds results, all of them or none; one that is there already is not added again, but takes a new label.

        Args:
            paths: Files that `verify --json` or `bench --json` wrote.
            origin: Where they come from.

        Returns:
            What was done with each.

        Raises:
            ManifestError: one is another kind of file, or damaged.
            SpecError: the history cannot be written.
        """
        read = [_read(path) for path in paths]
        with self._transaction():
            return [self._insert(digest, side, origin) for digest, side in read]

    def _insert(self, digest: str, side: Side, origin: Origin) -> Added:
        now, software = datetime.now(UTC).isoformat(timespec="seconds"), json.dumps(_software(side), sort_keys=True)
        row = (digest, side.kind, now, origin.revision, origin.label, machine_of(side), software)
        columns, marks = "sha256, kind, added, revision, label, machine, environment", ", ".join("?" * len(row))
        added = self._base.execute(f"INSERT OR IGNORE INTO results ({columns}) VALUES ({marks})", row)  # noqa: S608
        if not added.rowcount:
            return self._label(digest, origin.label)
        # Of a fleet by model: devices come and go.
        figures = side.levels()
        self._base.executemany(
            "INSERT INTO figures VALUES (?, ?, ?, ?, ?, ?)",
            [(added.lastrowid, *key, item.value, item.passed) for key, item in figures.items()],
        )
        return Added(figures=len(figures))

    def _label(self, digest: str, label: str) -> Added:
        """Gives a result that is there already the label that it is added with; without one it keeps its own."""
        (known,) = self._base.execute("SELECT label FROM results WHERE sha256 = ?", (digest,)).fetchone()
        if not label or label == known:
            return Added(figures=0)
        self._base.execute("UPDATE results SET label = ? WHERE sha256 = ?", (label, digest))
        return Added(figures=0, label=label, old_label=known)

    def entries(self) -> list[Entry]:
        """Returns every figure, in the order in which results were added."""
        query = (
            "SELECT id, added, revision, label, artifact, target, what, machine, value, passed "
            "FROM figures JOIN results ON id = result ORDER BY id, artifact, target, what"
        )
        return [
            Entry(
                number=number,
                added=added,
                origin=Origin(revision=revision, label=label),
                artifact=artifact,
                target=target,
                what=what,
                machine=machine,
                value=value,
                passed=bool(passed),
            )
            for number, added, revision, label, artifact, target, what, machine, value, passed in self._base.execute(
                query
            )
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._base.close()


_KINDS = ("application_id", "user_version")


def _read(path: Path) -> tuple[str, Side]:
    """Returns the hash and the figures of a result."""
    try:
        content = path.read_bytes()
    except OSError as e:
        raise ManifestError(f"{path} cannot be read: {e.strerror or e}") from e
    return sha256_bytes(content), read_result(content, str(path))


def machine_of(side: Side) -> str:
    """Returns what figures of one series share: the processor and its number of cores."""
    return f"{side.environment.cpu}, {side.environment.logical_cores} cores"


def _software(side: Side) -> Mapping[str, object]:
    environment = side.environment
    return {"system": environment.system, "python": environment.python, "versions": environment.versions}
