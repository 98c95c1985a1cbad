"""Importance sampling shared by the workers of a cluster: each evaluates some items, with the noise that all have."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pocketvae.blocks.cluster import Cluster
from pocketvae.blocks.plan import Arrays, Block, Compute, plan
from pocketvae.blocks.sharing import shared, work_folder
from pocketvae.blocks.work_folder import WorkManifest
from pocketvae.bundle.run import Run, open_run
from pocketvae.data.items import ItemSet, Splits
from pocketvae.errors import TargetError
from pocketvae.keras.io import start_tensorflow
from pocketvae.progress import ProgressCallback
from pocketvae.system.files import sha256_bytes, sha256_file
from pocketvae.train.config import TrainConfig
from pocketvae.train.data import identify, sha256_of
from pocketvae.train.evaluated import evaluated_data, load_vae
from pocketvae.train.evaluation import Evaluator, importance_batch
from pocketvae.train.presets import with_overrides
from pocketvae.version import VERSION
from pocketvae.versions import installed_versions

NATS = "nats"
# Items of a block, about: with 5,000 samples of each, a minute of a convolutional network of MNIST.
_ITEMS = 64


def _computing_versions() -> dict[str, str]:
    return {name: version for name, version in installed_versions().items() if name in ("tensorflow", "tf-keras")}


@dataclass(frozen=True, kw_only=True)
class Sharing:
    """Which cluster shares the work.

    Attributes:
        cluster: The cluster.
        out: What the command writes: the work folder is `OUT.unfinished`, beside it.
        force: Drop results of other work in the work folder.
    """

    cluster: Cluster
    out: Path
    force: bool = False


@dataclass(frozen=True, kw_only=True)
class ImportanceJob:
    """-log p(x) of each item in nats, by importance sampling.

    Attributes:
        run: The run directory.
        source: Source of its data; None for the embedded MNIST.
        skip_corrupt: Skip images of a folder that cannot be read.
        importance_samples: K, the samples per item.
        seed: Seed of binarization and latents.
        threads: Of each worker.
        versions: Of the packages that compute it, where the job was made; pocketvae's own checks leave them out, for no
            other job takes them.
    """

    run: Path
    source: str | None
    skip_corrupt: bool
    importance_samples: int
    seed: int
    threads: int
    versions: Mapping[str, str] = field(default_factory=_computing_versions)

    @contextlib.contextmanager
    def open(self) -> Iterator[Compute]:
        """See `Job.open`."""
        here = _computing_versions()
        for name, version in self.versions.items():
            if here.get(name) != version:
                raise TargetError(
                    f"workers must have the versions of the machine that asks: {name} is {version} there and "
                    f"{here.get(name, 'none')} here"
                )
        run = open_run(self.run)
        config = with_overrides(TrainConfig(), run.record.config)
        data = evaluated_data(run, self.source, config, skip_corrupt=self.skip_corrupt)
        start_tensorflow(onednn=config.onednn, threads=self.threads, remapped=config.is_remapped)
        yield partial(self._of_block, Evaluator(load_vae(run), seed=self.seed), data.test)

    def _of_block(self, evaluator: Evaluator, items: ItemSet, block: Block) -> Arrays:
        part = items.take(slice(block.first, block.last))
        return {NATS: evaluator.importance_nats(part, self.importance_samples, first=block.first)}


def shared_nats(
    sharing: Sharing, job: ImportanceJob, run: Run, data: Splits, count: int, progress: ProgressCallback
) -> npt.NDArray[np.float64]:
    """Returns -log p(x) of the first test items in nats, `[N]`; see `Evaluator.importance_nats`.

    Args:
        sharing: The cluster.
        job: What is computed.
        run: The run.
        data: Its data.
        count: N.
        progress: Called after every block.

    Raises:
        DataError: the data cannot be read by a worker.
        OutputExistsError: the work folder holds other work.
        TargetError: the cluster cannot be used.
    """
    size = importance_batch(job.importance_samples)
    size *= max(1, _ITEMS // size)
    models = "".join(sha256_file(run.model_path(component)) for component in run.record.vae.components)
    manifest = WorkManifest(
        command="evaluate",
        pocketvae=VERSION,
        model=sha256_bytes(models.encode()),
        # The identity is that of the training items.
        input=sha256_bytes(f"{identify(data)} {sha256_of(data.test)} {count}".encode()),
        options={"importance_samples": str(job.importance_samples), "seed": str(job.seed)},
        block_items=size,
    )
    with work_folder(sharing.out, manifest, force=sharing.force, replaces=True) as work:
        blocks = plan(count, size)
        found = shared(sharing.cluster, work, job, blocks, stage="evaluating on the cluster", progress=progress)
        return np.array(found[NATS])
