"""The command `pocketvae app`."""

from __future__ import annotations

import argparse
from pathlib import Path

from pocketvae.cli import arguments as common
from pocketvae.cli.terminal import Terminal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    common.add_bundle(parser)
    parser.add_argument("--platform", metavar="NAME", required=True, help="android, ios, web, flutter or react-native")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="folder to create")
    parser.add_argument(
        "--name", metavar="NAME", help="of the app, an identifier in Kotlin and Swift (default: from the model's name)"
    )
    parser.add_argument(
        "--precision", metavar="NAME", default="", help="of the generator (default: the one that EMBED.md recommends)"
    )
    common.add_force(parser)


def run(arguments: argparse.Namespace) -> int:
    """Writes the project and says where it is and what to do with it."""
    from pocketvae.export.app import MARKER, write_app

    common.check_folder_output(arguments.out)
    common.check_replaceable(arguments.out, MARKER, force=arguments.force)
    with Terminal(quiet=arguments.quiet) as terminal:
        plan = write_app(
            arguments.bundle,
            arguments.platform,
            arguments.out,
            name=arguments.name,
            precision=arguments.precision,
            force=arguments.force,
        )
        models = ", ".join(part.path for part in plan.parts.values())
        terminal.line(f"{plan.name} draws images from seeds with {models}")
        terminal.line(f"app: {arguments.out}, see README.md there")
    return 0
