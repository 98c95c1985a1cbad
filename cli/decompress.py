"""The command `pocketvae decompress`."""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path

from pocketvae.cli import arguments as common
from pocketvae.cli import clusters, models
from pocketvae.cli.terminal import Terminal
from pocketvae.errors import DataError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    common.add_bundle(parser).type = clusters.bundle_place
    parser.add_argument("file", metavar="FILE", type=clusters.place, help="file made by pocketvae compress")
    parser.add_argument(
        "--out", metavar="OUT", type=clusters.place, required=True, help=".png, .npz, .csv, .wav, or a folder to create"
    )
    parser.add_argument(
        "--rate", metavar="HZ", type=float, help="of a .wav: time steps in a second (default: the model's own)"
    )
    parser.add_argument("--tables", metavar="FILE", type=Path, help="path of the tables (default: BUNDLE/codec.npz)")
    models.add_choice(parser)
    clusters.add_cluster(parser, reads_items=False)
    common.add_force(parser)


@clusters.by_address("out", files=("file",))
def run(arguments: argparse.Namespace) -> int:
    """Decompresses and says where the items are."""
    import pocketvae
    from pocketvae.apps import (
        DECOMPRESSED_NAME,
        TABLES_NAME,
        check_decompressed_output,
        decompress,
        image_count,
        write_decompressed,
    )
    from pocketvae.apps.clusters.commands import decompressed_on_cluster
    from pocketvae.apps.compression.codec_tables import find_tables
    from pocketvae.apps.compression.decompressed_files import check_only_decompressed
    from pocketvae.kinds.registry import kind_of
    from pocketvae.system.files import check_output

    check_decompressed_output(arguments.out, rate_hz=arguments.rate)
    if not arguments.out.suffix:
        common.check_replaceable(arguments.out, DECOMPRESSED_NAME, force=arguments.force)
        if arguments.force and arguments.out.exists():
            check_only_decompressed(arguments.out)
    check_output(arguments.out, force=arguments.force)
    if not arguments.file.is_file():
        raise DataError(f"{arguments.file} does not exist")
    with Terminal(quiet=arguments.quiet) as terminal, pocketvae.open(arguments.bundle) as bundle:
        data, name = arguments.file.read_bytes(), str(arguments.file)
        check_decompressed_output(arguments.out, image_count(data, name), bundle.vae, arguments.rate)
        tables = find_tables(arguments.tables or arguments.bundle / TABLES_NAME, data, name)
        choice = models.choice(arguments)
        with contextlib.ExitStack() as stack:
            if clusters.is_asked(arguments):
                run = clusters.make_run(bundle, arguments.out, arguments, terminal)
                result = stack.enter_context(decompressed_on_cluster(run, tables, data, choice, name))
            else:
                result = decompress(bundle, tables, data, choice, name=name, progress=terminal.step)
            write_decompressed(result, arguments.out, rate_hz=arguments.rate, force=arguments.force)
            count, exact = len(result.images), "exact" if result.z is None else "lossy"
    kind = kind_of(bundle.vae.data)
    noun = kind.noun if count == 1 else kind.plural
    terminal.line(f"{count} {exact} {noun}: {clusters.named(arguments.out, arguments)}")
    return 0
