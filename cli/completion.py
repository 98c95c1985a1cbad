"""Completion of command lines by the shell, through argcomplete."""

from __future__ import annotations

import os
from collections.abc import Callable

from pocketvae.cli.catalogue import COMMANDS
from pocketvae.cli.parser import Parser

# Set by the function that `register-python-argcomplete` gives to the shell.
_ASKED, _LINE = "_ARGCOMPLETE", "COMP_LINE"


def is_asked() -> bool:
    """Whether the process was started by a shell to complete a line, not to run one."""
    return _ASKED in os.environ


def answer(build_parser: Callable[[str | None], Parser]) -> None:
    """Writes what may come next where the shell reads it, and ends the process.

    Args:
        build_parser: Takes the command that the line has, so that no other command's options are loaded.
    """
    import argcomplete

    words = os.environ.get(_LINE, "").split()[1:]
    argcomplete.autocomplete(build_parser(next((word for word in words if word in COMMANDS), None)))
