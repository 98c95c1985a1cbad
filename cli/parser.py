"""The argument parser: wrong usage raises an error of one line that suggests a close match."""

from __future__ import annotations

import argparse
import re
from typing import NoReturn

from pocketvae.errors import SpecError, unknown_name

_UNRECOGNIZED = "unrecognized arguments: "


class Parser(argparse.ArgumentParser):
    """Raises an error where argparse would print its usage and end the process.

    Attributes:
        chosen: The parser of the named command; an unknown option is compared with its options.
    """

    chosen: argparse.ArgumentParser | None = None

    def error(self, message: str) -> NoReturn:
        """Turns argparse's complaint into an error.

        Raises:
            SpecError: always.
        """
        word = message.removeprefix(_UNRECOGNIZED).split()[0]
        if message.startswith(_UNRECOGNIZED) and word.startswith("--"):
            usage = (self.chosen or self).format_usage()
            raise unknown_name("option", word.partition("=")[0], dict.fromkeys(re.findall(r"--[a-z][a-z-]*", usage)))
        raise SpecError(f"{message}; {(self.chosen or self).prog} --help explains what is expected")
