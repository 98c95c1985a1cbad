"""The command `pocketvae interpolate`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pocketvae.cli import arguments as common
from pocketvae.cli import models
from pocketvae.cli.terminal import Terminal
from pocketvae.errors import SpecError

if TYPE_CHECKING:
    from pocketvae import ModelBundle
    from pocketvae.runtimes.base import FloatArray


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    common.add_bundle(parser)
    ends = parser.add_mutually_exclusive_group(required=True)
    ends.add_argument("--seeds", metavar="LIST", help="two or more seeds to interpolate between, for example 1,2,3")
    ends.add_argument(
        "--images",
        metavar="FILE",
        nargs="+",
        help="two or more files, images or arrays of other data; the first item of each is an end",
    )
    parser.add_argument("--out", metavar="OUT", type=Path, required=True, help=".png strip, .gif or .webp animation")
    parser.add_argument(
        "--steps", metavar="N", type=int, default=10, help="images from one end to the other (default: 10)"
    )
    parser.add_argument("--path", metavar="PATH", default="spherical", help="spherical or linear (default: spherical)")
    parser.add_argument("--temperature", metavar="T", type=float, default=1.0, help="scale of the noise (default: 1)")
    parser.add_argument("--frame-ms", metavar="MS", type=int, default=80, help="time per image (default: 80)")
    parser.add_argument(
        "--resize", action="store_true", help="scale images to the model's size and convert between grey and colour"
    )
    models.add_label(parser)
    models.add_choice(parser)
    common.add_force(parser)


def run(arguments: argparse.Namespace) -> int:
    """Interpolates and prints where the picture is."""
    import pocketvae
    from pocketvae.apps import Interpolation, LatentPath, interpolate
    from pocketvae.kinds.registry import kind_of
    from pocketvae.spec import parse_choice

    request = Interpolation(
        steps=arguments.steps,
        path=parse_choice(LatentPath, arguments.path, "path"),
        frame_ms=arguments.frame_ms,
        choice=models.choice(arguments),
    )
    with Terminal(quiet=arguments.quiet) as terminal, pocketvae.open(arguments.bundle) as bundle:
        stops = _stops(bundle, arguments)
        count = interpolate(bundle, stops, request, arguments.out, arguments.label, force=arguments.force)
    terminal.line(f"{kind_of(bundle.vae.data).counted(count)}: {arguments.out}")
    return 0


def _stops(bundle: ModelBundle, arguments: argparse.Namespace) -> FloatArray:
    import numpy as np

    from pocketvae.apps import load_items

    if arguments.images is None:
        latents = [
            bundle.sample_latents(seed, 0, temperature=arguments.temperature, label=arguments.label)
            for seed in models.seeds(arguments.seeds)
        ]
        return np.concatenate(latents)
    if arguments.temperature != 1.0:
        raise SpecError("--temperature scales noise, and --images does not use any: leave it out")
    sources = [load_items(name, bundle.vae, resize=arguments.resize, count=1).images for name in arguments.images]
    return models.choice(arguments).encoder(bundle).encode(np.concatenate(sources), arguments.label).z_mean
