"""The command `pocketvae compress`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from pocketvae.cli import arguments as common
from pocketvae.cli import clusters, models
from pocketvae.cli.terminal import Terminal
from pocketvae.errors import SpecError

if TYPE_CHECKING:
    from pocketvae import ModelBundle
    from pocketvae.apps import CodecTables
    from pocketvae.vae_spec import VaeSpec


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    common.add_bundle(parser).type = clusters.bundle_place
    models.add_images(parser)
    parser.add_argument("--out", metavar="FILE", type=clusters.place, help="compressed file to create")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--quality", metavar="Q", type=int, help="1 (smallest) to 10 (best), 7 by default")
    kind.add_argument("--lossless", action="store_true", help="keep every pixel of grey images")
    kind.add_argument("--fit", action="store_true", help="fit the tables to the training items of IMAGES instead")
    parser.add_argument(
        "--fit-steps", metavar="N", type=int, help="training steps of the pixel network (default: 6000)"
    )
    parser.add_argument("--tables", metavar="FILE", type=Path, help="path of the tables (default: BUNDLE/codec.npz)")
    models.add_label(parser)
    models.add_choice(parser)
    clusters.add_cluster(parser)
    common.add_force(parser)


@clusters.by_address("out")
def run(arguments: argparse.Namespace) -> int:
    """Compresses images or other data, or fits the tables, and says how large the result is."""
    import pocketvae
    from pocketvae.apps import TABLES_NAME

    _check_options(arguments)
    tables = arguments.tables or arguments.bundle / TABLES_NAME
    with Terminal(quiet=arguments.quiet) as terminal, pocketvae.open(arguments.bundle) as bundle:
        work = _fit if arguments.fit else _compress
        text = work(bundle, arguments, tables, terminal)
    terminal.line(text)
    return 0


def _check_options(arguments: argparse.Namespace) -> None:
    """Refuses options that would have no effect.

    Raises:
        SpecError: there is neither an output nor `--fit`, or an option is for the other of the two.
    """
    if arguments.fit == (arguments.out is not None):
        raise SpecError("compress needs either --out FILE or, to fit its tables first, --fit")
    if clusters.is_asked(arguments) and (arguments.fit or arguments.lossless):
        option = "--fit" if arguments.fit else "--lossless"
        raise SpecError(f"{option} goes from one item to the next, which cannot be shared: leave out --cluster")
    if arguments.fit and arguments.count is not None:
        raise SpecError("--fit uses all training images or other items of IMAGES: leave out --count")
    if not arguments.fit and arguments.fit_steps is not None:
        raise SpecError("--fit-steps only applies to --fit: leave it out")
    if arguments.lossless and arguments.label is not None:
        raise SpecError("a lossless file holds pixels but no labels: leave out --label")
    if arguments.lossless and arguments.resize:
        raise SpecError(
            "--lossless keeps every pixel, which scaling changes: leave out --resize, or scale images first"
        )


def _fit(bundle: ModelBundle, arguments: argparse.Namespace, tables: Path, terminal: Terminal) -> str:
    from pocketvae.apps import PixelTraining, fit_tables, load_training_items
    from pocketvae.apps.compression.codec_tables import keep_tables
    from pocketvae.bundle.demo import check_writable
    from pocketvae.kinds.registry import kind_of
    from pocketvae.system.files import check_output, write_bytes
    from pocketvae.vae_spec import DataKind

    check_writable(tables, "--tables")
    check_output(tables, force=arguments.force)
    if arguments.fit_steps is not None and bundle.vae.data is not DataKind.IMAGE:
        raise SpecError("--fit-steps trains the network of pixels, which only images have: leave it out")
    training = PixelTraining() if arguments.fit_steps is None else PixelTraining(steps=arguments.fit_steps)
    source, _ = load_training_items(
        arguments.images,
        bundle.vae,
        resize=arguments.resize,
        windowing=models.windowing(arguments),
        progress=terminal.step,
    )
    labels = source.decoder_labels(bundle.vae, arguments.label)
    data = fit_tables(bundle, source.images, labels, training, models.choice(arguments), terminal.step)
    kept = keep_tables(tables, data) if arguments.force else None
    write_bytes(tables, data, force=arguments.force)
    plural = kind_of(bundle.vae.data).plural
    others = (
        "" if kept is None else f"; those before are {kept.name}, where decompress finds them for files made before"
    )
    return f"tables of {len(data)} bytes, fitted to {len(source)} training {plural}: {tables}{others}"


def _compress(bundle: ModelBundle, arguments: argparse.Namespace, path: Path, terminal: Terminal) -> str:
    from pocketvae.apps import (
        DEFAULT_QUALITY,
        check_lossless,
        compress_lossless,
        compress_lossy,
        load_items,
        load_tables,
    )
    from pocketvae.data.image_files import check_whole_numbers
    from pocketvae.system.files import check_output

    check_output(arguments.out, force=arguments.force)
    if arguments.lossless:
        check_lossless(bundle.vae)
        check_whole_numbers(Path(arguments.images))
    tables = load_tables(path)
    if clusters.is_asked(arguments):
        return _compress_on_cluster(bundle, arguments, tables, terminal)
    source = load_items(
        arguments.images,
        bundle.vae,
        resize=arguments.resize,
        count=arguments.count,
        windowing=models.windowing(arguments),
        progress=terminal.step,
    )
    names = _own_names(source.names, arguments.images)
    if arguments.lossless:
        data = compress_lossless(tables, source.images, terminal.step, names=names)
    else:
        data = compress_lossy(
            bundle,
            tables,
            source,
            models.choice(arguments),
            quality=DEFAULT_QUALITY if arguments.quality is None else arguments.quality,
            label=arguments.label,
            names=names,
            progress=terminal.step,
        )
    return _written(data, len(source), bundle.vae, arguments)


def _compress_on_cluster(
    bundle: ModelBundle, arguments: argparse.Namespace, tables: CodecTables, terminal: Terminal
) -> str:
    from dataclasses import replace

    from pocketvae.apps import DEFAULT_QUALITY
    from pocketvae.apps.clusters.commands import compressible_on_cluster
    from pocketvae.apps.compression.codec import check_lossy, compress_encoded

    quality = DEFAULT_QUALITY if arguments.quality is None else arguments.quality
    run = clusters.make_run(bundle, arguments.out, arguments, terminal)
    source, choice = clusters.source(arguments.images, arguments.count, arguments), models.choice(arguments)

    def check(count: int) -> None:
        check_lossy(bundle, tables, quality, count)

    with compressible_on_cluster(run, source, choice, arguments.label, check) as items:
        items = replace(items, kept_names=_own_names(items.names, arguments.images))
        data = compress_encoded(bundle, tables, items, quality=quality)
        return _written(data, len(items.names), bundle.vae, arguments)


def _own_names(names: Sequence[str], source: str) -> Sequence[str]:
    """Returns the names that the file keeps: not the numbers of an array, nor the name of the one file."""
    is_one_file = len(names) == 1 and names[0] == PurePath(source).name
    are_numbers = all(name == str(number) for number, name in enumerate(names))
    return () if is_one_file or are_numbers else names


def _written(data: bytes, count: int, vae: VaeSpec, arguments: argparse.Namespace) -> str:
    """Writes a compressed file and says how large it is."""
    import math

    from pocketvae.apps.compression.stream import unpack
    from pocketvae.kinds.registry import kind_of
    from pocketvae.system.files import write_bytes

    write_bytes(arguments.out, data, force=arguments.force)
    out = clusters.named(arguments.out, arguments)
    kind, per_value = kind_of(vae.data), 8 * len(data) / (count * math.prod(vae.input_shape))
    names_bytes = len(unpack(data, str(out)).names)
    names = f" ({names_bytes} for the names)" if names_bytes else ""
    return f"{kind.counted(count)} in {len(data)} bytes{names}, {per_value:.4f} bits per {kind.element}: {out}"
