"""The command `pocketvae history`."""

from __future__ import annotations

import argparse
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pocketvae.cli import arguments as common
from pocketvae.cli.parser import Parser
from pocketvae.cli.terminal import Terminal
from pocketvae.errors import SpecError
from pocketvae.reporting.text import count_of

if TYPE_CHECKING:
    from pocketvae.benchmarks.trends.store import Added

_ACTIONS = ("add", "show")
_DB = Path("pocketvae-history.sqlite")
_GIT_TIME_LIMIT_S = 10.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    # Options may come before the names.
    if isinstance(parser, Parser):
        parser.is_mixed = True
    parser.add_argument("action", metavar="ACTION", help="add, followed by results, or show")
    parser.add_argument(
        "results", metavar="RESULT", nargs="*", type=Path, help="files written by verify --json or bench --json"
    )
    parser.add_argument("--db", metavar="FILE", type=Path, default=_DB, help="the history (default: %(default)s)")
    parser.add_argument(
        "--revision", metavar="TEXT", help="with add: revision of the source (default: the commit of this folder)"
    )
    parser.add_argument(
        "--label",
        metavar="TEXT",
        help="with add: what tells results apart, such as a branch; with show: the label of the results that count",
    )
    for name, what in (("artifact", "file names"), ("target", "targets"), ("figure", "figures")):
        parser.add_argument(
            f"--{name}", metavar="PATTERN", default="*", help=f"with show: {what}, such as {_SUCH[name]}"
        )
    parser.add_argument("--all", action="store_true", help="with show: also what has not changed")
    parser.add_argument("--html", metavar="FILE", type=Path, help="with show: write a page with charts")
    parser.add_argument("--json", metavar="FILE", type=Path, help="with show: write every series as JSON")


# Options of one action alone, with what they are where they were not given.
_OF_ADD: Mapping[str, object] = {"revision": None}
_OF_SHOW: Mapping[str, object] = {
    "artifact": "*",
    "target": "*",
    "figure": "*",
    "all": False,
    "html": None,
    "json": None,
}
_SUCH = {"artifact": "'decoder.*'", "target": "host", "figure": "median_s"}


def run(arguments: argparse.Namespace) -> int:
    """Adds results to a history, or shows what has changed; returns 1 if what is shown has a check that fails now."""
    if arguments.action not in _ACTIONS:
        raise SpecError(f"the action must be one of {', '.join(_ACTIONS)}, got {arguments.action!r}")
    other, action = (_OF_SHOW, "show") if arguments.action == "add" else (_OF_ADD, "add")
    for name, neutral in other.items():
        if getattr(arguments, name) != neutral:
            raise SpecError(f"--{name} is an option of history {action}: leave it out")
    return _add(arguments) if arguments.action == "add" else _show(arguments)


def _add(arguments: argparse.Namespace) -> int:
    from pocketvae.benchmarks.trends.store import Origin, add_results

    if not arguments.results:
        raise SpecError("name the results to add: pocketvae history add verify.json bench.json")
    for path in arguments.results:
        if not path.is_file():
            raise SpecError(f"{path} is not a file: add takes what verify --json or bench --json wrote")
    revision = arguments.revision if arguments.revision is not None else _commit()
    origin = Origin(revision=revision, label=arguments.label or "")
    with Terminal(quiet=arguments.quiet) as terminal:
        for path, added in zip(arguments.results, add_results(arguments.db, arguments.results, origin), strict=True):
            terminal.line(f"{path}: {_what_was_done(added)}")
        terminal.next("history", "show", "--db", arguments.db)
    return 0


def _what_was_done(added: Added) -> str:
    if not added.is_known:
        return f"{count_of(added.figures, 'figure')} added"
    if not added.label:
        return "is in the history already"
    was = f", in place of {added.old_label}" if added.old_label else ""
    return f"is in the history already; its label is now {added.label}{was}"


def _show(arguments: argparse.Namespace) -> int:
    from pocketvae.benchmarks.trends.page import trends_page
    from pocketvae.benchmarks.trends.store import History
    from pocketvae.benchmarks.trends.trends import (
        Filter,
        device_lines,
        failure_lines,
        trends_line,
        trends_of,
        trends_table,
    )
    from pocketvae.documents import encode
    from pocketvae.system.files import write_text

    if arguments.results:
        raise SpecError(f"show takes no files, got {arguments.results[0]}: name the history with --db")
    for path in (arguments.html, arguments.json):
        common.check_file_output(path)
    wanted = Filter(
        label="*" if arguments.label is None else arguments.label,
        artifact=arguments.artifact,
        target=arguments.target,
        what=arguments.figure,
    )
    with History(arguments.db) as history:
        trends = trends_of(history.entries(), wanted, history.devices())
    for path, form in ((arguments.html, trends_page), (arguments.json, encode)):
        if path is not None:
            write_text(path, form(trends))
    with Terminal(quiet=arguments.quiet) as terminal:
        headers, rows = trends_table(trends, everything=arguments.all)
        if rows:
            terminal.table(headers, rows)
        for line in (*failure_lines(trends), *device_lines(trends), trends_line(trends)):
            terminal.line(line)
    return 1 if trends.failing else 0


def _commit() -> str:
    """Returns the commit of the working folder, with a plus where files were changed; empty outside of git."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty=+", "--exclude=*", "--abbrev=12"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_GIT_TIME_LIMIT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
