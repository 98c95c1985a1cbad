"""The command `pocketvae encode`."""

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
    parser.add_argument("--out", metavar="OUT", type=Path, required=True, help=".npz, .csv or .parquet")
    models.add_label(parser)
    models.add_choice(parser)
    common.add_force(parser)


def run(arguments: argparse.Namespace) -> int:
    """Encodes images or other data and prints where their latents are."""
    import pocketvae
    from pocketvae.apps import check_latents_output, encode_images, load_items, write_latents

    check_latents_output(arguments.out, force=arguments.force)
    with Terminal(quiet=arguments.quiet) as terminal, pocketvae.open(arguments.bundle) as bundle:
        source = load_items(
            arguments.images,
            bundle.vae,
            resize=arguments.resize,
            count=arguments.count,
            windowing=models.windowing(arguments),
            progress=terminal.step,
        )
        posterior = encode_images(bundle, source, models.choice(arguments), arguments.label, terminal.step)
        items, latents = source.labelled(arguments.label), bundle.vae.latents
        write_latents(arguments.out, posterior, items, latents=latents, force=arguments.force)
    values = "codes" if bundle.vae.is_discrete else "dimensions"
    what = "posteriors" if bundle.vae.has_posterior else "latents"
    terminal.line(f"{len(source)} {what} of {bundle.vae.latent_dim} {values}: {arguments.out}")
    return 0
