"""The argument parser: wrong usage raises an error of one line that suggests a close match."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Any, NoReturn

from pocketvae.errors import SpecError, unknown_name

_UNRECOGNIZED = "unrecognized arguments: "
# A number below 0, or a list that begins with one, which argparse takes for an option.
_BELOW_0 = re.compile(r"-\.?\d[\d.,eE+-]*")


class Parser(argparse.ArgumentParser):
    """Raises an error where argparse would print its usage and end the process.

    Attributes:
        chosen: The parser of the named command; an unknown option is compared with its options.
        is_mixed: Whether options may stand before an argument that takes any number of words, which argparse would
            otherwise take for empty as soon as an option comes.
    """

    chosen: argparse.ArgumentParser | None = None
    is_mixed: bool = False
    _is_sorting: bool = False

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Takes what argparse takes; an empty path, which Python reads as the current folder, is refused."""
        super().__init__(*arguments, **options)
        self.register("type", Path, _path)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parses what argparse parses and values such as -1,1; options first where they are mixed with other words."""
        words = sys.argv[1:] if args is None else args
        # A word with a space is no option to argparse, and numbers may have one in front.
        args = [f" {word}" if _BELOW_0.fullmatch(word) else word for word in words]
        if not self.is_mixed or self._is_sorting:
            return super().parse_known_args(args, namespace)
        # That calls this again for each of its two passes.
        self._is_sorting = True
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._is_sorting = False

    def error(self, message: str) -> NoReturn:
        """Turns argparse's complaint into an error.

        Raises:
            SpecError: always.
        """
        word = message.removeprefix(_UNRECOGNIZED).split()[0]
        if message.startswith(_UNRECOGNIZED) and word.startswith("--"):
            usage = (self.chosen or self).format_usage()
            known, name = dict.fromkeys(re.findall(r"--[a-z][a-z-]*", usage)), word.partition("=")[0]
            if name in known and self.chosen is not None:
                raise SpecError(f"{name} stands before the command: put it behind, as in {self.chosen.prog} {name}")
            raise unknown_name("option", name, known)
        raise SpecError(f"{message}; {(self.chosen or self).prog} --help explains what is expected")


def _path(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("a file or folder must be named, got ''")
    return Path(text)
