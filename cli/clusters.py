"""The options of commands that can run on a cluster."""

from __future__ import annotations

import argparse
import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pocketvae.blocks.storage import Storage, is_address
from pocketvae.cli import arguments as common
from pocketvae.data.embedded import ECG, MNIST
from pocketvae.errors import DataError, OutputExistsError, SpecError
from pocketvae.system.temporary import temporary_directory

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


def place(text: str) -> Path | str:
    """Returns a path, or an address as it is."""
    return text if is_address(text) else Path(text)


def bundle_place(text: str) -> Path | str:
    """Returns the path of a bundle, or its address as it is."""
    return text if is_address(text) else common.bundle_path(text)


@dataclass(frozen=True, kw_only=True)
class Stored:
    """What a command reads and writes by address.

    Attributes:
        bundle: Address of the bundle; None if it has a path.
        outputs: Addresses of outputs, by the path of this machine where they are made.
        results: Where results of blocks were written, which go when the outputs are there.
    """

    bundle: str | None = None
    outputs: dict[Path, str] = field(default_factory=dict)
    results: list[Storage] = field(default_factory=list)

    def upload(self) -> None:
        """Writes the outputs to their addresses, what was left out beside them, and removes the results of blocks."""
        from pocketvae.apps.clusters.running import SKIPPED_ENDING

        for path, address in self.outputs.items():
            Storage(address).upload(path)
            skipped = path.with_name(f"{path.name}{SKIPPED_ENDING}")
            if skipped.exists():
                Storage(address, SKIPPED_ENDING).upload(skipped)
            else:
                Storage(address, SKIPPED_ENDING).remove()
        for results in self.results:
            results.remove()

    def results_for(self, out: Path) -> Storage | None:
        """Returns where workers write the results of blocks; None for the work folder beside a path."""
        for path, address in self.outputs.items():
            if out.parent == path.parent:
                self.results.append(Storage(address, f"{out.name.removeprefix(path.name)}.unfinished"))
                return self.results[-1]
        return None


def by_address(
    *outputs: str, files: tuple[str, ...] = ()
) -> Callable[[Callable[[argparse.Namespace], int]], Callable[[argparse.Namespace], int]]:
    """Returns a decorator of a command: what it is given by address, it reads and writes on this machine.

    Args:
        outputs: Names of its outputs.
        files: Names of the files that it reads itself.
    """

    def decorated(run: Callable[[argparse.Namespace], int]) -> Callable[[argparse.Namespace], int]:
        @functools.wraps(run)
        def on_this_machine(arguments: argparse.Namespace) -> int:
            with _on_this_machine(arguments, outputs, files) as arguments.stored:
                code = run(arguments)
                if not code:
                    arguments.stored.upload()
            return code

        return on_this_machine

    return decorated


@contextlib.contextmanager
def _on_this_machine(
    arguments: argparse.Namespace, outputs: tuple[str, ...], files: tuple[str, ...]
) -> Iterator[Stored]:
    """Replaces addresses by paths of a temporary folder, and yields the addresses.

    Raises:
        SpecError: there is an address and no cluster, or workers of an address would read from a path.
        OutputExistsError: there is something at the address of an output, and it must not be replaced.
        DataError: there is no bundle at its address, or one of an output is a folder's.
    """
    inputs = [text for name in ("images", "normal") if (text := getattr(arguments, name, None)) is not None]
    written = {name: given for name in outputs if isinstance(given := getattr(arguments, name), str)}
    read = {name: given for name in files if isinstance(given := getattr(arguments, name), str)}
    bundle = arguments.bundle if isinstance(arguments.bundle, str) else None
    given = (bundle, *inputs, *read.values(), *written.values())
    found = [text for text in given if text is not None and is_address(text)]
    if not found:
        yield Stored()
        return
    if not is_asked(arguments):
        raise SpecError(f"addresses of storage are for --cluster, got {found[0]}: pass a path")
    elsewhere = [text for text in inputs if not is_address(text) and text not in (MNIST, ECG)]
    if written and elsewhere:
        raise SpecError(f"where the output has an address, what workers read must have one too, got {elsewhere[0]}")
    with temporary_directory() as folder:
        stored = Stored(bundle=bundle)
        for name, address in written.items():
            path = folder / name / _checked(address, force=arguments.force)
            path.parent.mkdir()
            stored.outputs[path] = address
            setattr(arguments, name, path)
        for name, address in read.items():
            setattr(arguments, name, Storage(address).fetch(folder / name))
        if bundle is not None:
            arguments.bundle = Storage(bundle).fetch(folder / "bundle")
        yield stored


def _checked(address: str, *, force: bool) -> str:
    """Returns the name of an output, which may be written."""
    storage = Storage(address)
    name = str(storage).rpartition("/")[2]
    if storage.is_folder() or not Path(name).suffix:
        raise DataError(f"an output with an address must be a file with an ending, got {storage}")
    if storage.is_there() and not force:
        raise OutputExistsError(f"{storage} exists: choose another output, or pass --force to replace it")
    return name


def named(path: Path, arguments: argparse.Namespace) -> str:
    """Returns an output as the user named it."""
    stored: Stored = arguments.stored
    return stored.outputs.get(path, str(path))


def is_asked(arguments: argparse.Namespace, only: Sequence[str] = ("workers", "skip_corrupt")) -> bool:
    """Whether the command is to run on a cluster.

    Args:
        arguments: Of the command line.
        only: The command's options that are for clusters alone.

    Raises:
        SpecError: an option for clusters is given, but no cluster.
    """
    if arguments.cluster is not None:
        return True
    for name in only:
        if getattr(arguments, name, None):
            raise SpecError(f"--{name.replace('_', '-')} only applies to --cluster: leave it out, or name a cluster")
    return False


def make_run(
    bundle: ModelBundle,
    out: Path,
    arguments: argparse.Namespace,
    terminal: Terminal,
    options: Mapping[str, str] | None = None,
) -> Run:
    """Returns the run of a command on the cluster that is asked for.

    Args:
        bundle: The bundle.
        out: What the command writes.
        arguments: Of the command line.
        terminal: Shows progress.
        options: What decides the results beside the items and the choice of models.

    Raises:
        SpecError: the cluster's address or the number of workers is wrong.
    """
    from pocketvae.apps.clusters.running import Run
    from pocketvae.blocks.cluster import Cluster

    stored: Stored = arguments.stored
    return Run(
        command=arguments.command,
        bundle=bundle,
        cluster=Cluster(address=arguments.cluster, workers=arguments.workers, threads=arguments.threads),
        out=out,
        options=options or {},
        force=arguments.force,
        progress=terminal.step,
        address=stored.bundle,
        results=stored.results_for(out),
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
