"""The command `pocketvae generate`."""

from __future__ import annotations

import argparse
import re
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from pocketvae.cli import arguments as common
from pocketvae.cli import clusters, models
from pocketvae.cli.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pocketvae import ModelBundle
    from pocketvae.apps import GenerateRequest
    from pocketvae.apps.generation.generate import Items
    from pocketvae.progress import ProgressCallback


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    common.add_bundle(parser).type = clusters.bundle_place
    parser.add_argument(
        "--out", metavar="OUT", type=clusters.place, required=True, help=".png, .npz, .csv, .wav, or a folder to create"
    )
    parser.add_argument("--seed", metavar="SEED", type=int, default=0, help="stream of images (default: 0)")
    parser.add_argument("--start", metavar="INDEX", type=int, default=0, help="first image of the stream (default: 0)")
    parser.add_argument("--count", metavar="N", type=int, default=1, help="number of images (default: 1)")
    parser.add_argument("--temperature", metavar="T", type=float, default=1.0, help="scale of the noise (default: 1)")
    parser.add_argument("--label", metavar="L", help="class of a class-conditional VAE, or `each` for all in turn")
    models.add_conditions(parser)
    parser.add_argument("--columns", metavar="N", type=int, help="columns of a grid (default: as many as rows)")
    parser.add_argument(
        "--rate", metavar="HZ", type=float, help="of a .wav: time steps in a second (default: the model's own)"
    )
    parser.add_argument("--resume", action="store_true", help="resume an interrupted folder")
    models.add_choice(parser)
    clusters.add_cluster(parser, reads_items=False)
    common.add_force(parser)


@clusters.by_address("out")
def run(arguments: argparse.Namespace) -> int:
    """Generates images and prints where they are."""
    from pocketvae.apps import REQUEST_NAME, GenerateRequest, generate_to
    from pocketvae.apps.generation.generate import REQUEST_FILES, made_here

    if not arguments.out.suffix:
        common.check_replaceable(arguments.out, REQUEST_NAME, force=arguments.force, names=REQUEST_FILES)
    label = arguments.label
    request = GenerateRequest(
        seed=arguments.seed,
        start=arguments.start,
        count=arguments.count,
        temperature=arguments.temperature,
        label=int(label) if label is not None and re.fullmatch(r"-?[0-9]+", label) else label,
        conditions=models.named_conditions(arguments.condition),
        choice=models.choice(arguments),
    )
    is_clustered = clusters.is_asked(arguments)
    with Terminal(quiet=arguments.quiet) as terminal:

        def on_cluster(
            bundle: ModelBundle, request: GenerateRequest, done: int, progress: ProgressCallback
        ) -> AbstractContextManager[Iterator[Items]]:
            from pocketvae.apps.clusters.commands import generated_on_cluster

            del progress
            # A folder of images has an unfinished folder of its own beside it.
            out = arguments.out if arguments.out.suffix else arguments.out.with_name(f"{arguments.out.name}.items")
            return generated_on_cluster(clusters.make_run(bundle, out, arguments, terminal), request, done)

        kind = generate_to(
            arguments.bundle,
            request,
            arguments.out,
            columns=arguments.columns,
            rate_hz=arguments.rate,
            force=arguments.force,
            resume=arguments.resume,
            make=on_cluster if is_clustered else made_here,
            progress=terminal.step,
        )
    out = clusters.named(arguments.out, arguments)
    terminal.line(f"{request.count} {kind}{'s' if request.count > 1 else ''}: {out}")
    return 0
