"""The workers of a cluster: each is given one block after another until all are done.

Ray begins a killed worker anew and gives it the block again. What is done lies in the work folder, so that neither a
worker nor this process has anything to lose.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from pocketvae.blocks.cluster import LOCAL, Cluster, local_workers
from pocketvae.blocks.plan import Block, Job
from pocketvae.blocks.work_folder import Place
from pocketvae.blocks.worker import BlockWorker, Greeting, Outcome, greeting
from pocketvae.errors import DataError, DataWarning, InternalError, TargetError
from pocketvae.parsing import shortened
from pocketvae.progress import Progress, ProgressCallback, ignore_progress

# How often one block may end its worker, which is either bad luck or the block's doing.
_RETRIES = 8
_FIRST_WORKER_S = 120.0


def compute_blocks(
    ray: ModuleType,
    cluster: Cluster,
    job: Job,
    place: Place,
    blocks: Sequence[Block],
    *,
    stage: str,
    total: int,
    progress: ProgressCallback = ignore_progress,
) -> None:
    """Computes blocks into a work folder.

    Args:
        ray: Connected to the cluster.
        cluster: Says how many workers.
        job: What is computed.
        place: Of the work folder, where results go.
        blocks: Those that are not done yet.
        stage: What is being done, for progress.
        total: Number of items of the whole work.
        progress: Called after every block.

    Raises:
        DataError: a block cannot be read or written; the message says which.
        TargetError: the cluster has no free CPU, no worker can be started, its versions differ, or it is lost.
        InternalError: a block ended its worker again and again.
    """
    if not blocks:
        return
    try:
        count = min(len(blocks), cluster.workers or _usable(ray, cluster))
        kind = ray.remote(BlockWorker).options(num_cpus=cluster.threads, max_restarts=-1, max_task_retries=_RETRIES)
        workers = [kind.remote(job, place) for _ in range(count)]
        _Distribution(ray, workers, place, blocks, stage=stage, total=total, progress=progress).run()
    except ConnectionError as e:  # of Ray's client, half a minute after the last answer
        raise TargetError(f"the cluster {cluster.address} was lost: run the same command again when it is back") from e


def _usable(ray: ModuleType, cluster: Cluster) -> int:
    if cluster.address == LOCAL:
        return local_workers(cluster.threads)
    return max(1, int(ray.cluster_resources().get("CPU", 0)) // cluster.threads)


class _Distribution:
    """Who computes which block: workers are given blocks when they have said who they are, and when one is done."""

    def __init__(
        self,
        ray: ModuleType,
        workers: Sequence[Any],
        place: Place,
        blocks: Sequence[Block],
        *,
        stage: str,
        total: int,
        progress: ProgressCallback,
    ) -> None:
        self._ray, self._place, self._own = ray, place, greeting(place)
        self._left = list(reversed(blocks))
        self._stage, self._total, self._progress = stage, total, progress
        self._done = total - sum(block.last - block.first for block in blocks)
        # What was asked of whom, by Ray's reference to the answer; no block where it is who the worker is.
        self._waiting: dict[Any, tuple[Any, Block | None]] = {
            worker.greet.remote(): (worker, None) for worker in workers
        }
        self._other_cpus: set[str] = set()
        self._unfinished = len(blocks)

    def run(self) -> None:
        """Returns when all blocks are done."""
        self._progress(Progress(stage=self._stage, done=self._done, total=self._total))
        ready, _ = self._ray.wait(list(self._waiting), timeout=_FIRST_WORKER_S)
        if not ready:
            raise TargetError(
                f"the cluster started no worker within {_FIRST_WORKER_S:g} s: all of its CPUs are taken, or it has too "
                f"few for --threads"
            )
        while self._unfinished:
            ready, _ = self._ray.wait(list(self._waiting))
            for reference in ready:
                worker, block = self._waiting.pop(reference)
                if block is None:
                    self._check(self._answer(reference, None))
                else:
                    self._finish(self._answer(reference, block))
                # One at a time: what ends a worker is then known, and asking takes a millisecond.
                if self._left:
                    following = self._left.pop()
                    self._waiting[worker.compute.remote(following)] = worker, following

    def _answer(self, reference: Any, block: Block | None) -> Any:
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.RayError as e:
            if block is None:
                raise TargetError(_not_started(e)) from e
            if isinstance(e, self._ray.exceptions.RayActorError):
                raise InternalError(
                    f"{block} ended its worker {_RETRIES + 1} times, for instance for lack of memory: try it without "
                    f"--cluster"
                ) from e
            raise InternalError(f"{block} failed: {_last_line(e)}") from e

    def _finish(self, outcome: Outcome) -> None:
        if outcome.error:
            raise DataError(f"{outcome.block}: {outcome.error}")
        self._unfinished -= 1
        self._done += outcome.block.last - outcome.block.first
        self._progress(Progress(stage=self._stage, done=self._done, total=self._total))

    def _check(self, found: Greeting) -> None:
        """Checks that a worker computes what this process would.

        Raises:
            TargetError: its versions differ, or it does not see the work folder.
        """
        packages = sorted(self._own.versions.keys() | found.versions.keys())
        others = [name for name in packages if found.versions.get(name) != self._own.versions.get(name)]
        if others:
            name = others[0]
            here, there = (versions.get(name, "none") for versions in (self._own.versions, found.versions))
            raise TargetError(
                f"workers must have the versions of this machine: {name} is {here} here and {there} there"
            )
        if not found.sees_work:
            raise TargetError(
                f"a worker does not see {self._place}: bundle, data and output must lie on storage that all machines "
                f"of the cluster share, under the same path"
            )
        if found.cpu != self._own.cpu and found.cpu not in self._other_cpus:
            self._other_cpus.add(found.cpu)
            warnings.warn(
                f"a worker has another processor, {found.cpu}: what it computes may differ from this machine's in the "
                f"last digits",
                DataWarning,
                stacklevel=2,
            )


def _not_started(error: Exception) -> str:
    text = str(error)
    if "No module named 'pocketvae" in text:
        return "pocketvae is not installed on the cluster: install the version of this machine there"
    return f"the cluster cannot start a worker: {_last_line(error)}"


def _last_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return shortened(lines[-1] if lines else type(error).__name__)
