"""The entry point: parses the command line, runs one command, maps errors to exit codes."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from typing import Protocol, TextIO, cast

from pocketvae.cli import completion, interruption
from pocketvae.cli.catalogue import COMMANDS, examples, filled, overview
from pocketvae.cli.outputs import check_no_addresses, check_outputs
from pocketvae.cli.parser import Parser
from pocketvae.errors import (
    DataWarning,
    ImageWarning,
    LeftoverWarning,
    NothingMadeError,
    PocketVaeError,
    TargetError,
    broken_installation,
    is_own_part,
    unknown_name,
)
from pocketvae.parsing import shortened
from pocketvae.system.shortage import shortage_of
from pocketvae.version import VERSION

EXIT_DONE, EXIT_FAILED, EXIT_USAGE, EXIT_MISSING, EXIT_BUG = 0, 1, 2, 3, 70
# 128 and the number of the signal: Ctrl-C, SIGTERM, SIGHUP.
EXIT_INTERRUPTED, EXIT_TERMINATED, EXIT_HUNG_UP = 130, 143, 129

_DESCRIPTION = "Train a variational autoencoder, export it for devices, and prove that it still does the same."
_EPILOG = (
    "pocketvae COMMAND --help explains a command. Exit codes: 0 done and passed, 1 a check failed, "
    "2 bad input or usage, 3 a target or dependency is missing, 70 a bug in pocketvae, "
    "128 and the signal's number interrupted: 130 by Ctrl-C, 143 by SIGTERM, 129 by a terminal that was closed."
)


class _Command(Protocol):
    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, arguments: argparse.Namespace) -> int: ...


def program() -> int:
    """Runs the command of the process's arguments, and ends the process within 5 seconds of a signal; see `main`.

    A shell that asks for the completion of a line is answered in its place.
    """
    if completion.is_asked():
        completion.answer(build_parser)
    interruption.end_in_time()
    try:
        return main()
    finally:
        interruption.leave()


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; it may be called from any thread.

    Args:
        argv: The arguments after the program's name; the process's own by default.

    Returns:
        0 done and passed; 1 a check failed; 2 bad input or usage; 3 a target or dependency is missing; 70 a bug in
        pocketvae; 130 interrupted by Ctrl-C, 143 by SIGTERM, 129 by a terminal that was closed.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    verbose = "--verbose" in words
    _print_all_characters()
    shown = warnings.showwarning
    if not verbose:
        warnings.showwarning = _show_warning
    try:
        with interruption.interruptible():
            try:
                code = _run_reported(words, verbose=verbose)
                interruption.check()
                return code
            except KeyboardInterrupt as e:
                interruption.accept()
                # A terminal that was closed takes no more lines.
                with contextlib.suppress(OSError):
                    print(interruption.summary(_notes(e)), file=sys.stderr, flush=True)
                return interruption.exit_code(e)
    finally:
        warnings.showwarning = shown


def build_parser(command: str | None) -> Parser:
    """Returns the parser; only the named command's options are added, so that the others are not loaded."""
    parser = Parser(
        prog="pocketvae",
        description=f"{filled(_DESCRIPTION)}\n\n{overview()}",
        epilog=filled(_EPILOG),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"pocketvae {VERSION}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, help="one of the above")
    for name, entry in COMMANDS.items():
        sub = commands.add_parser(
            name,
            description=f"{entry.summary[0].upper()}{entry.summary[1:]}.",
            epilog=examples(name),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        if name == command:
            parser.chosen = sub
            _load(name).add_arguments(sub)
            volume = sub.add_mutually_exclusive_group()
            volume.add_argument("--quiet", action="store_true", help="do not show progress on stderr")
            volume.add_argument("--verbose", action="store_true", help="show a traceback with every error")
    return parser


def _run_reported(words: list[str], *, verbose: bool) -> int:
    try:
        return _run(words)
    except Exception as e:
        if isinstance(e, BrokenPipeError) and _is_stdout_broken():
            # Nobody reads the help, as in `pocketvae --help | head -1`; the interpreter must not flush again.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            return EXIT_DONE
        # An error that a lost interruption caused is not one to report.
        interruption.check(e)
        return _report(e, verbose=verbose)


def _run(words: list[str]) -> int:
    if not words:
        build_parser(None).print_help()
        return EXIT_DONE
    command = next((word for word in words if not word.startswith("-")), None)
    if command is not None and command not in COMMANDS:
        raise unknown_name("command", command, COMMANDS)
    arguments = build_parser(command).parse_args(words)
    check_no_addresses(arguments)
    check_outputs(arguments)
    return _load(arguments.command).run(arguments)


def _load(command: str) -> _Command:
    return cast("_Command", importlib.import_module(f"pocketvae.cli.{command.replace('-', '_')}"))


def _report(error: Exception, *, verbose: bool) -> int:
    if verbose:
        traceback.print_exception(error)
    kept = "".join(f"; {note}" for note in _notes(error))
    if is_own_part(error):
        error = broken_installation(str(error))
    if isinstance(error, PocketVaeError):
        print(f"pocketvae: {error}{kept}", file=sys.stderr)
        if isinstance(error, NothingMadeError):
            return EXIT_FAILED
        return EXIT_MISSING if isinstance(error, TargetError) else EXIT_USAGE
    if shortage := shortage_of(error):
        print(f"pocketvae: {shortage}{kept}", file=sys.stderr)
        return EXIT_USAGE
    if isinstance(error, OSError):
        place = error.filename or ("standard output" if _is_stdout_broken() else "the system")
        print(f"pocketvae: {place}: {error.strerror or error}{kept}", file=sys.stderr)
        return EXIT_USAGE
    if isinstance(error, MemoryError):
        # numpy's error says how much was requested, Python's does not.
        asked = f" ({error})" if str(error) else ""
        print(f"pocketvae: not enough memory{asked}: use fewer or smaller images{kept}", file=sys.stderr)
        return EXIT_USAGE
    print(f"pocketvae: a bug in pocketvae: {type(error).__name__}: {error}", file=sys.stderr)
    if not verbose:
        print("pocketvae: --verbose shows where; please report it", file=sys.stderr)
    return EXIT_BUG


def _is_stdout_broken() -> bool:
    """Whether what was printed cannot be written: what is left of it fails again."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        return True
    return False


def _notes(error: BaseException) -> list[str]:
    """Returns the notes added to an error: what was left behind and how to continue."""
    return list(getattr(error, "__notes__", []))


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Prints a warning as one line, without the place in the source."""
    del filename, lineno, line
    text = shortened(" ".join(str(message).split()))
    if issubclass(category, (LeftoverWarning, ImageWarning)):
        text = str(message)
    elif issubclass(category, DataWarning):
        text = f"warning: {message}"
    elif issubclass(category, RuntimeWarning):
        text = f"warning: numbers left the range of floating point ({text}): --verbose shows where"
    else:
        text = f"warning: {text}"
    print(f"pocketvae: {text}", file=file or sys.stderr)


def _print_all_characters() -> None:
    """Prints a question mark for what a stream's encoding does not have, as Windows' may not, in place of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


if __name__ == "__main__":
    sys.exit(program())
