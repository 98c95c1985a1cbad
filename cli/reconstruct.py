"""The command `pocketvae reconstruct`."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pocketvae.cli import arguments as common
from pocketvae.cli import clusters, models
from pocketvae.cli.terminal import Terminal

if TYPE_CHECKING:
    from pocketvae import ModelBundle
    from pocketvae.apps import Reconstruction


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    common.add_bundle(parser).type = clusters.bundle_place
    models.add_images(parser)
    parser.add_argument(
        "--out",
        metavar="OUT",
        type=clusters.place,
        required=True,
        help=".png, .npz with both arrays, or .csv of vectors and sequences",
    )
    parser.add_argument("--columns", metavar="N", type=int, default=10, help="columns of the picture (default: 10)")
    models.add_label(parser)
    models.add_choice(parser)
    clusters.add_cluster(parser)
    common.add_force(parser)


@clusters.by_address("out")
def run(arguments: argparse.Namespace) -> int:
    """Reconstructs images or other data and prints how close they are."""
    import pocketvae
    from pocketvae.apps import check_reconstruction_output, write_reconstruction
    from pocketvae.kinds.registry import kind_of
    from pocketvae.system.files import check_output

    check_reconstruction_output(arguments.out, columns=arguments.columns)
    check_output(arguments.out, force=arguments.force)
    work = _reconstructed_on_cluster if clusters.is_asked(arguments) else _reconstructed
    with (
        Terminal(quiet=arguments.quiet) as terminal,
        pocketvae.open(arguments.bundle) as bundle,
        work(bundle, arguments, terminal) as result,
    ):
        write_reconstruction(result, arguments.out, columns=arguments.columns, force=arguments.force)
        out = clusters.named(arguments.out, arguments)
        text = f"{kind_of(result.vae.data).counted(len(result.images))}, {result.closeness}: {out}"
    terminal.line(text)
    return 0


@contextlib.contextmanager
def _reconstructed(bundle: ModelBundle, arguments: argparse.Namespace, terminal: Terminal) -> Iterator[Reconstruction]:
    from pocketvae.apps import check_reconstruction_output, load_items, reconstruct

    source = load_items(
        arguments.images,
        bundle.vae,
        resize=arguments.resize,
        count=arguments.count,
        windowing=models.windowing(arguments),
        progress=terminal.step,
    )
    check_reconstruction_output(arguments.out, columns=arguments.columns, count=len(source), vae=bundle.vae)
    yield reconstruct(bundle, source, models.choice(arguments), arguments.label, terminal.step)


@contextlib.contextmanager
def _reconstructed_on_cluster(
    bundle: ModelBundle, arguments: argparse.Namespace, terminal: Terminal
) -> Iterator[Reconstruction]:
    from pocketvae.apps import check_reconstruction_output
    from pocketvae.apps.clusters.commands import reconstructed_on_cluster

    run = clusters.make_run(bundle, arguments.out, arguments, terminal)
    source = clusters.source(arguments.images, arguments.count, arguments)

    def check(count: int) -> None:
        check_reconstruction_output(arguments.out, columns=arguments.columns, count=count, vae=bundle.vae)

    with reconstructed_on_cluster(run, source, models.choice(arguments), arguments.label, check) as found:
        yield found
