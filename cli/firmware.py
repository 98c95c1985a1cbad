"""The command `pocketvae firmware`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pocketvae.cli import arguments as common
from pocketvae.cli.terminal import Terminal
from pocketvae.errors import SpecError

if TYPE_CHECKING:
    from pocketvae.export.firmware.check import CheckResult
    from pocketvae.export.firmware.plan import Firmware

_DONE, _FAILED = 0, 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    common.add_bundle(parser)
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="folder to create")
    parser.add_argument(
        "--component",
        metavar="NAME",
        help="scorer, reconstructor, encoder, decoder or prior (default: scorer, or decoder where there is none)",
    )
    parser.add_argument(
        "--precision", metavar="NAME", help="int8_io, int8, int16x8 or float32 (default: the first that there is)"
    )
    parser.add_argument(
        "--for", dest="chip", metavar="CHIP", help="compile the model for an Ethos-U, such as ethos-u55-128"
    )
    parser.add_argument(
        "--hop",
        metavar="STEPS",
        type=int,
        help="new time steps from one call to the next (default: a quarter of a window)",
    )
    parser.add_argument(
        "--check", action="store_true", help="build the self-test with this machine's C++ compiler and run it"
    )
    parser.add_argument(
        "--force", action="store_true", help="replace an earlier project, if no file of it was changed or added"
    )


def run(arguments: argparse.Namespace) -> int:
    """Writes the project and prints its table of memory."""
    from pocketvae.export.firmware.project import MARKER, write_firmware

    for option in ("component", "precision", "chip"):
        if getattr(arguments, option) == "":
            raise SpecError(f"--{'for' if option == 'chip' else option} needs a name, got ''")
    common.check_folder_output(arguments.out)
    common.check_replaceable(arguments.out, MARKER, force=arguments.force)
    with Terminal(quiet=arguments.quiet) as terminal:
        firmware, result = write_firmware(
            arguments.bundle,
            arguments.out,
            component=arguments.component or "",
            precision=arguments.precision or "",
            chip=arguments.chip or "",
            hop=arguments.hop,
            check=arguments.check,
            force=arguments.force,
        )
        _show(terminal, firmware, result)
        terminal.line(f"firmware: {arguments.out}")
    return _DONE if result is None or result.passed else _FAILED


def _show(terminal: Terminal, firmware: Firmware, result: CheckResult | None) -> None:
    terminal.line(
        f"{firmware.artifact.name} on TensorFlow Lite Micro: {', '.join(k.operator for k in firmware.kernels)}"
    )
    terminal.table(("memory", "bytes", "where"), firmware.memory.rows())
    if firmware.estimate:
        for remark in firmware.estimate.remarks():
            terminal.line(remark)
    for line in result.lines if result else ():
        terminal.line(line)
