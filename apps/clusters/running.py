"""One run on a cluster: the work folder, the workers, and the columns that come of it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pocketvae.apps.clusters.jobs import BundlePlace, manifest_sha256
from pocketvae.apps.clusters.reading import Reader, Source, at_hand, first_sound, needs_unpacking, open_reader, unpack
from pocketvae.apps.image_output import check_space
from pocketvae.apps.sources import SourceImages
from pocketvae.blocks.cluster import Cluster
from pocketvae.blocks.plan import Arrays, Block, Job, block_items, plan
from pocketvae.blocks.sharing import shared, work_folder
from pocketvae.blocks.storage import Storage, is_address
from pocketvae.blocks.work_folder import WorkFolder, WorkManifest
from pocketvae.data.embedded import ECG, MNIST
from pocketvae.errors import DataError, SpecError
from pocketvae.kinds.registry import kind_of
from pocketvae.models.model_bundle import ModelBundle
from pocketvae.progress import ProgressCallback, ignore_progress
from pocketvae.vae_spec import DataKind, VaeSpec
from pocketvae.version import VERSION

SKIPPED_ENDING = ".skipped.txt"


@dataclass(frozen=True, kw_only=True)
class Run:
    """What the runs of all commands have in common.

    Attributes:
        command: The command.
        bundle: The bundle.
        cluster: Where it runs.
        out: What the command writes: the work folder is `OUT.unfinished`, beside it.
        options: What decides the results beside the input and the model, by name.
        force: Drop results of other work in the work folder; `out` may exist.
        progress: Called after every block.
        address: Of the bundle, if workers do not see its folder.
        results: Where workers write results, if not into the work folder.
    """

    command: str
    bundle: ModelBundle
    cluster: Cluster
    out: Path
    options: Mapping[str, str]
    force: bool = False
    progress: ProgressCallback = ignore_progress
    address: str | None = None
    results: Storage | None = None

    @property
    def skipped(self) -> Path:
        """The file that names the items which are left out, beside the output."""
        return self.out.with_name(f"{self.out.name}{SKIPPED_ENDING}")

    @property
    def models(self) -> BundlePlace:
        """The bundle as workers open it."""
        place = self.address or str(self.bundle.path.absolute())
        return BundlePlace(place=place, sha256=manifest_sha256(self.bundle))

    @contextlib.contextmanager
    def work_folder(self, input: str) -> Iterator[WorkFolder]:
        """Yields the work folder, with what is done of the same work; it is removed when the block ends well.

        Args:
            input: Hash of what is read.

        Raises:
            OutputExistsError: it holds other work, another process uses it, or `out` exists and must not.
        """
        vae = self.bundle.vae
        manifest = WorkManifest(
            command=self.command,
            pocketvae=VERSION,
            model=manifest_sha256(self.bundle),
            input=input,
            options=dict(self.options),
            block_items=block_items(item_bytes(vae)),
        )
        with work_folder(self.out, manifest, force=self.force, results=self.results) as work:
            yield work

    def columns(self, work: WorkFolder, job: Job, count: int, *, result_bytes: int) -> Arrays:
        """Computes what is not done yet, and returns the columns of all results.

        Args:
            work: The work folder.
            job: What is computed.
            count: Number of items.
            result_bytes: Of the results of one item.

        Raises:
            DataError: the disk has too little space, or a block cannot be read or written.
            TargetError: the cluster cannot be used.
        """
        blocks = plan(count, block_items(item_bytes(self.bundle.vae)))
        done = work.done()
        # The results that are missing, unless they lie elsewhere, and the columns of all.
        left = 0 if self.results else sum(block.last - block.first for block in blocks if block.index not in done)
        check_space(work.path, (left + count) * result_bytes)
        stage = f"{self.command} on the cluster"
        return shared(self.cluster, work, job, blocks, stage=stage, progress=self.progress)


def item_bytes(vae: VaeSpec) -> int:
    """Returns the size of the larger of what a model takes and what it returns for one item."""
    values = max(int(np.prod(shape, dtype=np.int64)) for shape in (vae.input_shape, vae.data_shape))
    return values * (1 if vae.data is DataKind.IMAGE else 4)


def check_apart(out: Path, source: Source) -> None:
    """Refuses an output in the folder that is read: the work folder beside it would change what is read.

    Raises:
        SpecError: it lies there.
    """
    if not is_address(source.path) and source.path != MNIST and Path(source.path).resolve() in out.resolve().parents:
        raise SpecError(f"{out} must not lie in {source.path}, which must stay as it is until all is computed")


def prepared_source(source: Source, work: WorkFolder, vae: VaeSpec) -> tuple[Source, int, SourceImages]:
    """Returns a source as all workers read it, its number of items, and one of them, if the first is not damaged.

    Raises:
        DataError: it is missing, damaged or empty, or the disk has too little space to unpack it.
    """
    if is_address(source.path):
        with at_hand(source, vae) as copy:
            return source, *_checked(open_reader(copy, vae), source, vae)
    # The images of the package come first everywhere, and a file called as its electrocardiogram before that.
    is_embedded = source.path == (MNIST if vae.data is DataKind.IMAGE else ECG)
    if not is_embedded or (source.path == ECG and Path(ECG).exists()):
        source = replace(source, path=os.path.abspath(source.path))  # noqa: PTH100 - Path.resolve would follow links
    if needs_unpacking(source, vae):
        source = unpack(source, work.path)
    return source, *_checked(open_reader(source, vae), source, vae)


def _checked(reader: Reader, source: Source, vae: VaeSpec) -> tuple[int, SourceImages]:
    """Returns the number of items and one of them, so that what does not fit the model is said before Ray starts."""
    if not len(reader):
        raise DataError(f"{source.path} is empty: it has no {kind_of(vae.data).plural}")
    if source.skip_corrupt:
        return len(reader), first_sound(reader)
    try:
        # A damaged image is no reason yet: the workers say what leaves it out.
        return len(reader), reader.read(Block(index=0, first=0, last=1), {})
    except DataError as e:
        raise DataError(f"item 0: {e}") from e
