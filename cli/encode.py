"""The command `pocketvae encode`."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pocketvae.cli import arguments as common
from pocketvae.cli import clusters, models
from pocketvae.cli.terminal import Terminal

if TYPE_CHECKING:
    from pocketvae import ModelBundle, Posterior
    from pocketvae.apps import SourceImages


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    common.add_bundle(parser).type = clusters.bundle_place
    models.add_images(parser)
    parser.add_argument("--out", metavar="OUT", type=clusters.place, required=True, help=".npz, .csv or .parquet")
    models.add_label(parser)
    models.add_choice(parser)
    clusters.add_cluster(parser)
    common.add_force(parser)


@clusters.by_address("out")
def run(arguments: argparse.Namespace) -> int:
    """Encodes images or other data and prints where their latents are."""
    import pocketvae
    from pocketvae.apps import check_latents_output, write_latents
    from pocketvae.reporting.text import count_of

    check_latents_output(arguments.out, force=arguments.force)
    work = _encoded_on_cluster if clusters.is_asked(arguments) else _encoded
    with (
        Terminal(quiet=arguments.quiet) as terminal,
        pocketvae.open(arguments.bundle) as bundle,
        work(bundle, arguments, terminal) as (posterior, source),
    ):
        items, latents = source.labelled(arguments.label), bundle.vae.latents
        write_latents(arguments.out, posterior, items, latents=latents, force=arguments.force)
    values = "codes" if bundle.vae.is_discrete else "dimensions"
    what = count_of(len(source), "posterior" if bundle.vae.has_posterior else "latent")
    terminal.line(f"{what} of {bundle.vae.latent_dim} {values}: {clusters.named(arguments.out, arguments)}")
    return 0


@contextlib.contextmanager
def _encoded(
    bundle: ModelBundle, arguments: argparse.Namespace, terminal: Terminal
) -> Iterator[tuple[Posterior, SourceImages]]:
    from pocketvae.apps import encode_images, load_items

    source = load_items(
        arguments.images,
        bundle.vae,
        resize=arguments.resize,
        count=arguments.count,
        windowing=models.windowing(arguments),
        progress=terminal.step,
    )
    yield encode_images(bundle, source, models.choice(arguments), arguments.label, terminal.step), source


@contextlib.contextmanager
def _encoded_on_cluster(
    bundle: ModelBundle, arguments: argparse.Namespace, terminal: Terminal
) -> Iterator[tuple[Posterior, SourceImages]]:
    from pocketvae.apps.clusters.commands import encoded_on_cluster

    run = clusters.make_run(bundle, arguments.out, arguments, terminal)
    source = clusters.source(arguments.images, arguments.count, arguments)
    with encoded_on_cluster(run, source, models.choice(arguments), arguments.label) as found:
        yield found
