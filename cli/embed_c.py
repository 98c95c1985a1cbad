"""The command `pocketvae embed-c`."""

from __future__ import annotations

import argparse
from pathlib import Path

from pocketvae.cli import arguments as common
from pocketvae.cli.terminal import Terminal
from pocketvae.errors import SpecError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    common.add_bundle(parser)
    parser.add_argument(
        "--artifact",
        metavar="NAME",
        default="",
        help="TFLite file of the bundle (default: the decoder in int8_io, or else in int8 or float32)",
    )
    parser.add_argument(
        "--for",
        dest="chip",
        metavar="CHIP",
        help="compile it for an Ethos-U, such as ethos-u55-128, by Arm's compiler",
    )
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="folder to create")
    common.add_force(parser)


def run(arguments: argparse.Namespace) -> int:
    """Writes the two files and prints their names."""
    from pocketvae.export.embed.c_array import c_stem, embed_in_c, smallest_decoder

    if arguments.chip == "":
        raise SpecError("--for needs a chip, such as ethos-u55-128, got ''")
    artifact = arguments.artifact or smallest_decoder(arguments.bundle)
    common.check_replaceable(arguments.out, f"{c_stem(artifact)}.h", force=arguments.force)
    with Terminal(quiet=arguments.quiet) as terminal:
        written = embed_in_c(
            arguments.bundle, artifact, arguments.out, force=arguments.force, chip=arguments.chip or ""
        )
        for path in written:
            terminal.line(str(path))
    return 0
