"""The command `pocketvae targets`."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from pocketvae.cli import arguments as common
from pocketvae.cli import fleet
from pocketvae.cli.parser import Parser
from pocketvae.cli.terminal import Terminal
from pocketvae.errors import OutputExistsError, SpecError, TargetError

if TYPE_CHECKING:
    from pocketvae.benchmarks.targets import Target

_ACTIONS = ("list", "setup", "remove")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    # Options may come before the names.
    if isinstance(parser, Parser):
        parser.is_mixed = True
    parser.add_argument(
        "action", metavar="ACTION", nargs="?", default="list", help="list (default), setup or remove, followed by names"
    )
    parser.add_argument("names", metavar="NAME", nargs="*", help="targets, the file of a fleet, or all")
    parser.add_argument("--yes", action="store_true", help="set up without asking for confirmation")


def run(arguments: argparse.Namespace) -> int:
    """Lists, sets up or removes targets; returns 3 if a named target is unavailable."""
    from pocketvae.benchmarks.targets import make_target

    if arguments.action not in _ACTIONS:
        raise SpecError(f"the action must be one of {', '.join(_ACTIONS)}, got {arguments.action!r}")
    with Terminal(quiet=arguments.quiet) as terminal:
        if arguments.action == "list":
            named = list(common.target_names(arguments.names)) if arguments.names else []
            return _list(terminal, fleet.expanded(named))
        names = common.target_names([target for target, _ in fleet.expanded(arguments.names)])
        targets = [make_target(name) for name in names]
        if arguments.action == "remove":
            return _remove(terminal, targets)
        # A target that is unavailable must not keep the others from being set up.
        return max(_set_up(terminal, target, assume_yes=arguments.yes) for target in targets)


def _list(terminal: Terminal, named: list[tuple[str, str]]) -> int:
    from pocketvae.benchmarks.targets import known_targets, make_target

    shown = named or [(name, "") for name in known_targets()]
    targets = [make_target(name) for name, _ in shown]
    reasons = [target.check() for target in targets]
    columns = ["target", "what it is", "here"]
    rows = [[t.name, t.summary, reason or "works"] for t, reason in zip(targets, reasons, strict=True)]
    if any(device for _, device in shown):
        columns, rows = ["device", *columns], [[device, *row] for (_, device), row in zip(shown, rows, strict=True)]
    terminal.table(columns, rows)
    return 3 if named and any(reasons) else 0


def _set_up(terminal: Terminal, target: Target, *, assume_yes: bool) -> int:
    try:
        steps = [step for step in target.setup() if not step.is_done()]
    except (TargetError, OSError) as e:
        terminal.warn(f"{target.name}: {e}")
        return 3
    if steps:
        total = sum(step.download_bytes for step in steps)
        terminal.line(f"{target.name} needs these steps, about {_megabytes(total)} to download:")
        for step in steps:
            terminal.line(f"  {step.text}, about {_megabytes(step.download_bytes)}")
        if not assume_yes and not _agreed():
            raise TargetError(f"{target.name} was not set up and nothing was downloaded; --yes sets up without asking")
    for step in steps:
        terminal.note(f"{target.name}: {step.text}")
        try:
            step.take()
        except (TargetError, OutputExistsError, OSError) as e:
            terminal.warn(f"{target.name}: {e}")
            return 3
    reason = target.check()
    terminal.line(f"{target.name}: {reason or 'works'}")
    return 3 if reason else 0


def _remove(terminal: Terminal, targets: list[Target]) -> int:
    code = 0
    for target in targets:
        try:
            target.remove()
            terminal.line(f"{target.name}: removed")
        except (TargetError, OSError) as e:
            terminal.warn(f"{target.name}: {e}")
            code = 3
    return code


def _agreed() -> bool:
    if not sys.stdin.isatty():
        return False
    return input("Continue? [y/N] ").strip().lower() in ("y", "yes")


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f} MB" if size_bytes < 10e6 else f"{size_bytes / 1e6:.0f} MB"
