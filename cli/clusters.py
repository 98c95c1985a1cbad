"""The options of commands that can run on a cluster."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pocketvae.errors import SpecError

if TYPE_CHECKING:
    from pocketvae import ModelBundle
    from pocketvae.apps.clusters.reading import Source
    from pocketvae.apps.clusters.running import Run
    from pocketvae.cli.terminal import Terminal


def add_cluster(parser: argparse.ArgumentParser, *, reads_items: bool = True) -> None:
    """Adds where a command runs.

    Args:
        parser: Of the command.
        reads_items: Whether it reads items, of which some may be damaged.
    """
    parser.add_argument(
        "--cluster",
        metavar="WHERE",
        help="share the work among workers of Ray: local for those of this machine, ray://HOST:PORT, or auto for the "
        "cluster that this machine is part of; run again, an interrupted command goes on",
    )
    parser.add_argument(
        "--workers", metavar="N", type=int, help="with --cluster: number of workers (default: one for each free CPU)"
    )
    if reads_items:
        parser.add_argument(
            "--skip-corrupt", action="store_true", help="with --cluster: leave out, and name, what cannot be read"
        )


def is_asked(arguments: argparse.Namespace) -> bool:
    """Whether the command is to run on a cluster.

    Raises:
        SpecError: an option for clusters is given, but no cluster.
    """
    if arguments.cluster is not None:
        return True
    for name in ("workers", "skip_corrupt"):
        if getattr(arguments, name, None):
            raise SpecError(f"--{name.replace('_', '-')} only applies to --cluster: leave it out, or name a cluster")
    return False


def make_run(
    bundle: ModelBundle,
    out: Path,
    arguments: argparse.Namespace,
    terminal: Terminal,
    options: Mapping[str, str] | None = None,
    *,
    replaces: bool = False,
) -> Run:
    """Returns the run of a command on the cluster that is asked for.

    Args:
        bundle: The bundle.
        out: What the command writes.
        arguments: Of the command line.
        terminal: Shows progress.
        options: What decides the results beside the items and the choice of models.
        replaces: Whether the command replaces `out` without `--force`.

    Raises:
        SpecError: the cluster's address or the number of workers is wrong.
    """
    from pocketvae.apps.clusters.running import Run
    from pocketvae.blocks.cluster import Cluster

    return Run(
        command=arguments.command,
        bundle=bundle,
        cluster=Cluster(address=arguments.cluster, workers=arguments.workers, threads=arguments.threads),
        out=out,
        options=options or {},
        force=arguments.force,
        replaces=replaces,
        progress=terminal.step,
    )


def source(path: str, count: int | None, arguments: argparse.Namespace) -> Source:
    """Returns what workers read."""
    from pocketvae.apps.clusters.reading import Source
    from pocketvae.cli import models

    return Source(
        path=path,
        resize=arguments.resize,
        count=count,
        windowing=models.windowing(arguments),
        skip_corrupt=arguments.skip_corrupt,
    )
