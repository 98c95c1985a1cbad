"""Writes reference.md from the parsers of the command line; a test holds it to them."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from pocketvae.cli.catalogue import GROUPS
from pocketvae.cli.main import build_parser

PAGE = Path(__file__).with_name("reference.md")
_HEAD = """# Reference

What `--help` says of every command, written from the parsers by `make reference`. [Commands](commands.md) explains the
commands, their results and their options at more length. Every command also takes `--quiet`, `--verbose` and `--help`.

"""
_EVERYWHERE = {"--help", "--quiet", "--verbose"}


def written() -> str:
    """Returns the page of today's parsers."""
    return _HEAD + "\n".join(_sections())


def _sections() -> Iterator[str]:
    for group, commands in GROUPS.items():
        yield f"## To {group}\n"
        for name, entry in commands.items():
            yield f"### {name}\n\n{entry.summary[0].upper()}{entry.summary[1:]}.\n"
            yield "\n".join(f"    pocketvae {example}" for example in entry.examples) + "\n"
            rows = list(_rows(build_parser(name).chosen))
            if rows:
                yield "\n".join(["| argument | meaning |", "|---|---|", *rows]) + "\n"


def _rows(parser: argparse.ArgumentParser | None) -> Iterator[str]:
    if parser is None:
        return
    formatter = parser._get_formatter()
    for action in parser._actions:
        if _EVERYWHERE & set(action.option_strings) or action.help == argparse.SUPPRESS:
            continue
        value = "" if action.nargs == 0 else f" {action.metavar or action.dest.upper()}"
        name = ", ".join(f"{option}{value}" for option in action.option_strings) or value.strip()
        help = formatter._expand_help(action) if action.help else ""
        yield f"| `{name}` | {help.replace('|', chr(92) + '|').replace('*', chr(92) + '*')} |"


if __name__ == "__main__":
    PAGE.write_text(written(), "utf-8")
