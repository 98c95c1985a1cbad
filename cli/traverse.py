"""The command `pocketvae traverse`."""

from __future__ import annotations

import argparse
from pathlib import Path

from pocketvae.cli import arguments as common
from pocketvae.cli import models
from pocketvae.cli.terminal import Terminal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    common.add_bundle(parser)
    parser.add_argument("--out", metavar="OUT", type=Path, required=True, help=".png with a row for each dimension")
    parser.add_argument("--seed", metavar="SEED", type=int, help="latent to start from (default: the mean of N(0, I))")
    parser.add_argument("--span", metavar="S", type=float, default=3.0, help="go from -S to S (default: 3)")
    parser.add_argument("--steps", metavar="N", type=int, default=9, help="images per row (default: 9)")
    parser.add_argument("--dimensions", metavar="N", type=int, help="show the N most active (default: all)")
    models.add_label(parser)
    models.add_choice(parser)
    common.add_force(parser)


def run(arguments: argparse.Namespace) -> int:
    """Traverses and prints the dimension of every row."""
    import numpy as np

    import pocketvae
    from pocketvae.apps import Traversal, traverse

    request = Traversal(
        span=arguments.span,
        steps=arguments.steps,
        dimensions=arguments.dimensions,
        choice=models.choice(arguments),
    )
    with Terminal(quiet=arguments.quiet) as terminal, pocketvae.open(arguments.bundle) as bundle:
        middle = np.zeros(bundle.vae.latent_dim, np.float32)
        label = arguments.label
        centre = middle if arguments.seed is None else bundle.sample_latents(arguments.seed, 0, label=label)[0]
        rows = traverse(bundle, centre, request, arguments.out, label, force=arguments.force)
    shown = [(str(row), str(dimension), f"{active:.3g}") for row, (dimension, active) in enumerate(rows, 1)]
    terminal.table(("row", "dimension", "activity"), shown)
    terminal.line(f"{len(rows)} dimensions: {arguments.out}")
    return 0
