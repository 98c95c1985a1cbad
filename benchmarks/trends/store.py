"""The history: figures of many results in one SQLite file."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pocketvae.benchmarks.compare.compare import Side, read_result
from pocketvae.benchmarks.compare.fleets import failures
from pocketvae.benchmarks.devices import Device, DeviceState
from pocketvae.benchmarks.execution.target import THIS_MACHINE
from pocketvae.benchmarks.targets import make_target
from pocketvae.benchmarks.trends.layout import VERSION, bring_up_to_date, version_of
from pocketvae.errors import ManifestError, SpecError
from pocketvae.system.files import sha256_bytes, write_new

_WAIT_S = 30.0
# Of a result in a file of an older version.
_NO_BUNDLE = "''"


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
        figures: How many were added; a result of lost devices alone has none.
        is_known: Whether the result is there already, so that none was added.
        label: The new one of such a result; empty where it keeps its own.
        old_label: What it replaces.
    """

    figures: int
    is_known: bool = False
    label: str = ""
    old_label: str = ""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One figure of one result.

    Attributes:
        number: Of the result, in the order in which they were added.
        kind: Of the result: a verification or a benchmark.
        bundle: The name of its bundle; empty of what was added before it was kept.
        added: When, in UTC, as ISO 8601 writes it.
        machine: The processor that it depends on; empty for devices of a fleet that are elsewhere.
        value: None where there is a verdict and no number.
        failed_on: Of a model of device, the devices on which it failed.
    """

    number: int
    kind: str
    bundle: str
    added: str
    origin: Origin
    artifact: str
    target: str
    what: str
    machine: str
    value: float | None
    passed: bool
    failed_on: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class DeviceEntry:
    """What became of one device of a fleet in the result of a number, which has a label."""

    number: int
    label: str
    name: str
    model: str
    state: DeviceState
    reason: str


def add_results(path: Path, results: Sequence[Path], origin: Origin) -> list[Added]:
    """Adds results to a history, all of them or none; one that is there already takes a new label at most.

    Where there is no history, one is made: whole, or not at all. Several processes may add at the same time.

    Args:
        path: The history.
        results: Files that `verify --json` or `bench --json` wrote.
        origin: Where they come from.

    Returns:
        What was done with each.

    Raises:
        ManifestError: a result is another kind of file, or damaged.
        SpecError: the history is another file, or cannot be written.
    """
    _check_place(path)
    # All of them are read before the first is added.
    read = [_read(result) for result in results]
    if not path.exists():
        with History(path, is_new=True) as history:
            added = history.insert(read, origin)
            # Another process may have made it meanwhile.
            with contextlib.suppress(FileExistsError):
                write_new(path, history.content())
                return added
    with History(path) as history:
        return history.insert(read, origin)


def _check_place(path: Path) -> None:
    if path.is_dir():
        raise SpecError(f"--db takes a file, and {path} is a folder: name one in it, such as {path / 'history.sqlite'}")
    if not path.absolute().parent.is_dir():
        raise SpecError(f"the folder of {path} does not exist: create it first")


class History:
    """A file of results; a context manager."""

    def __init__(self, path: Path, *, is_new: bool = False) -> None:
        """Opens a file.

        Args:
            path: Where it is.
            is_new: Whether it is made in memory, for its `content` to be written there.

        Raises:
            SpecError: it is not there, or not a history.
        """
        _check_place(path)
        if not is_new and not path.exists():
            raise SpecError(f"{path} does not exist: pocketvae history add RESULT.json --db {path} makes it")
        self.path, place = path, ":memory:" if is_new else path
        try:
            self._base = sqlite3.connect(place, timeout=_WAIT_S, isolation_level=None)
        except sqlite3.Error as e:
            raise SpecError(f"{path} cannot be opened: {e}") from e
        try:
            with self._transaction("DEFERRED"):
                self._version = version_of(self._base, path)
        except BaseException:
            self._base.close()
            raise

    def content(self) -> bytes:
        """Returns the bytes of the file."""
        return self._base.serialize()

    @contextmanager
    def _transaction(self, kind: str) -> Iterator[None]:
        """Makes all of a block happen or nothing; others wait for one that is `IMMEDIATE`, which may write."""
        try:
            self._base.execute(f"BEGIN {kind}")
            try:
                yield
            except BaseException:
                # Where the disk is full, SQLite has done it by itself.
                if self._base.in_transaction:
                    self._base.execute("ROLLBACK")
                raise
            self._base.execute("COMMIT")
        except sqlite3.Error as e:
            doing = "written" if kind == "IMMEDIATE" else "read"
            raise SpecError(f"{self.path} is not a history of pocketvae, or cannot be {doing}: {e}") from e

    def insert(self, results: Sequence[tuple[str, Side]], origin: Origin) -> list[Added]:
        """Adds results by their SHA-256; see `add_results`."""
        with self._transaction("IMMEDIATE"):
            bring_up_to_date(self._base, self.path)
            self._version = VERSION
            return [self._insert(digest, side, origin) for digest, side in results]

    def _insert(self, digest: str, side: Side, origin: Origin) -> Added:
        now, software = datetime.now(UTC).isoformat(timespec="seconds"), json.dumps(_software(side), sort_keys=True)
        row = (digest, side.kind, now, origin.revision, origin.label, machine_of(side), software, side.bundle)
        columns, marks = "sha256, kind, added, revision, label, machine, environment, bundle", ", ".join("?" * len(row))
        added = self._base.execute(f"INSERT OR IGNORE INTO results ({columns}) VALUES ({marks})", row)  # noqa: S608
        if not added.rowcount:
            return self._label(digest, origin.label)
        # Of a fleet by model: devices come and go.
        figures = side.levels()
        self._insert_rows(
            "figures", added.lastrowid, [(*key, item.value, item.passed) for key, item in figures.items()]
        )
        if side.fleet is not None:
            devices = side.fleet.devices
            rows = [(item.name, item.model, item.state.value, item.reason, _is_here(item)) for item in devices]
            self._insert_rows("devices", added.lastrowid, rows)
            self._insert_rows("failures", added.lastrowid, failures(side.figures, side.fleet))
        return Added(figures=len(figures))

    def _insert_rows(self, table: str, result: int | None, rows: Sequence[tuple[object, ...]]) -> None:
        if rows:
            marks = ", ".join("?" * (1 + len(rows[0])))
            self._base.executemany(f"INSERT INTO {table} VALUES ({marks})", [(result, *row) for row in rows])  # noqa: S608

    def _label(self, digest: str, label: str) -> Added:
        """Gives a result that is there already the label that it is added with; without one it keeps its own."""
        (known,) = self._base.execute("SELECT label FROM results WHERE sha256 = ?", (digest,)).fetchone()
        if not label or label == known:
            return Added(figures=0, is_known=True)
        self._base.execute("UPDATE results SET label = ? WHERE sha256 = ?", (label, digest))
        return Added(figures=0, is_known=True, label=label, old_label=known)

    def entries(self) -> list[Entry]:
        """Returns every figure, in the order in which results were added."""
        failed: dict[tuple[object, ...], list[str]] = {}
        for *key, device in self._devices(
            "SELECT result, artifact, target, what, device FROM failures ORDER BY device"
        ):
            failed.setdefault(tuple(key), []).append(device)
        # What this machine is does not matter to devices that are elsewhere.
        elsewhere = set(
            self._devices("SELECT result, model FROM devices GROUP BY result, model HAVING max(is_here) = 0")
        )
        query = (
            f"SELECT id, kind, {'bundle' if self._version > 2 else _NO_BUNDLE}, added, revision, label, "  # noqa: S608
            "artifact, target, what, machine, value, passed "
            "FROM figures JOIN results ON id = result ORDER BY id, artifact, target, what"
        )
        rows = self._rows(query)
        return [
            Entry(
                number=number,
                kind=kind,
                bundle=bundle,
                added=added,
                origin=Origin(revision=revision, label=label),
                artifact=artifact,
                target=target,
                what=what,
                machine="" if (number, target.partition(", ")[0]) in elsewhere else machine,
                value=value,
                passed=bool(passed),
                failed_on=tuple(failed.get((number, artifact, target, what), ())),
            )
            for number, kind, bundle, added, revision, label, artifact, target, what, machine, value, passed in rows
        ]

    def devices(self) -> list[DeviceEntry]:
        """Returns what became of every device of fleets, in the order in which results were added."""
        query = (
            "SELECT id, label, name, model, state, reason FROM devices JOIN results ON id = result ORDER BY id, name"
        )
        return [
            DeviceEntry(number=number, label=label, name=name, model=model, state=DeviceState(state), reason=reason)
            for number, label, name, model, state, reason in self._devices(query)
        ]

    def _devices(self, query: str) -> list[tuple[Any, ...]]:
        """Returns rows of what the first version of the file did not have."""
        return self._rows(query) if self._version > 1 else []

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        if not self._version:
            return []
        with self._transaction("DEFERRED"):
            return self._base.execute(query).fetchall()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._base.close()


def _read(path: Path) -> tuple[str, Side]:
    """Returns the hash and the figures of a result."""
    try:
        content = path.read_bytes()
    except OSError as e:
        raise ManifestError(f"{path} cannot be read: {e.strerror or e}") from e
    return sha256_bytes(content), read_result(content, str(path))


def _is_here(device: Device) -> bool:
    """Whether a device is this machine, or an emulator on it."""
    try:
        return make_target(device.target).machine() == THIS_MACHINE
    except SpecError:  # of a newer version
        return False


def machine_of(side: Side) -> str:
    """Returns what figures of one series share: the processor and its number of cores."""
    return f"{side.environment.cpu}, {side.environment.logical_cores} cores"


def _software(side: Side) -> Mapping[str, object]:
    environment = side.environment
    return {"system": environment.system, "python": environment.python, "versions": environment.versions}
