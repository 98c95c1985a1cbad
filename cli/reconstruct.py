"""The command `pocketvae reconstruct`."""

from __future__ import annotations

import argparse
from pathlib import Path

from pocketvae.cli import arguments as common
from pocketvae.cli import models
from pocketvae.cli.terminal import Terminal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    common.add_bundle(parser)
    models.add_images(parser)
    parser.add_argument(
        "--out",
        metavar="OUT",
        type=Path,
        required=True,
        help=".png, .npz with both arrays, or .csv of vectors and sequences",
    )
    parser.add_argument("--columns", metavar="N", type=int, default=10, help="columns of the picture (default: 10)")
    models.add_label(parser)
    models.add_choice(parser)
    common.add_force(parser)


def run(arguments: argparse.Namespace) -> int:
    """Reconstructs images or other data and prints how close they are."""
    import pocketvae
    from pocketvae.apps import check_reconstruction_output, load_items, write_reconstruction
    from pocketvae.apps.generation.reconstruct import reconstruct
    from pocketvae.kinds.registry import kind_of
    from pocketvae.system.files import check_output

    check_reconstruction_output(arguments.out, columns=arguments.columns)
    check_output(arguments.out, force=arguments.force)
    with Terminal(quiet=arguments.quiet) as terminal, pocketvae.open(arguments.bundle) as bundle:
        source = load_items(
            arguments.images,
            bundle.vae,
            resize=arguments.resize,
            count=arguments.count,
            windowing=models.windowing(arguments),
            progress=terminal.step,
        )
        check_reconstruction_output(arguments.out, columns=arguments.columns, count=len(source), vae=bundle.vae)
        result = reconstruct(bundle, source, models.choice(arguments), arguments.label, terminal.step)
        write_reconstruction(result, arguments.out, columns=arguments.columns, force=arguments.force)
    terminal.line(f"{len(result.images)} {kind_of(result.vae.data).plural}, {result.closeness}: {arguments.out}")
    return 0
