"""The tables of a history's SQLite file, and files of older versions."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from pocketvae.errors import SpecError

# "PVAE", which `file` and this module know the file by.
_APPLICATION = 0x50564145
# 2 added devices, and on which of them a check failed. 3 added the bundle, empty of what was there before.
VERSION = 3
_KINDS = ("application_id", "user_version")
_FIRST = """
CREATE TABLE results (
    id INTEGER PRIMARY KEY, sha256 TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, added TEXT NOT NULL,
    revision TEXT NOT NULL, label TEXT NOT NULL, machine TEXT NOT NULL, environment TEXT NOT NULL
) STRICT;
CREATE TABLE figures (
    result INTEGER NOT NULL REFERENCES results (id), artifact TEXT NOT NULL, target TEXT NOT NULL, what TEXT NOT NULL,
    value REAL, passed INTEGER NOT NULL, PRIMARY KEY (result, artifact, target, what)
) STRICT, WITHOUT ROWID;
"""
_DEVICES = """
CREATE TABLE devices (
    result INTEGER NOT NULL REFERENCES results (id), name TEXT NOT NULL, model TEXT NOT NULL, state TEXT NOT NULL,
    reason TEXT NOT NULL, is_here INTEGER NOT NULL, PRIMARY KEY (result, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE failures (
    result INTEGER NOT NULL REFERENCES results (id), artifact TEXT NOT NULL, target TEXT NOT NULL, what TEXT NOT NULL,
    device TEXT NOT NULL, PRIMARY KEY (result, artifact, target, what, device)
) STRICT, WITHOUT ROWID;
"""
_BUNDLE = "ALTER TABLE results ADD COLUMN bundle TEXT NOT NULL DEFAULT '';\n"


def version_of(base: sqlite3.Connection, path: Path) -> int:
    """Returns the version of a file; 0 of an empty one.

    Raises:
        SpecError: it is not a history, or one of a newer version.
    """
    application, version = (int(base.execute(f"PRAGMA {name}").fetchone()[0]) for name in _KINDS)
    if application == 0 and not base.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        return 0
    if application != _APPLICATION:
        raise SpecError(f"{path} is not a history of pocketvae")
    if version > VERSION:
        raise SpecError(f"{path} has version {version}, and this pocketvae knows version {VERSION}: update it")
    return version


def bring_up_to_date(base: sqlite3.Connection, path: Path) -> None:
    """Makes the tables that a file does not have yet, inside the transaction that is open.

    Raises:
        SpecError: see `version_of`.
    """
    version = version_of(base, path)
    missing = (_FIRST, _DEVICES, _BUNDLE)[version:]
    for statement in "".join(missing).split(";\n"):
        base.execute(statement)
    if missing:
        base.execute(f"PRAGMA application_id = {_APPLICATION}")
        base.execute(f"PRAGMA user_version = {VERSION}")
