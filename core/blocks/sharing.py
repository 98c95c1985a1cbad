"""Work that a cluster shares: what is not done yet is computed, and all results are joined."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from pocketvae.blocks.cluster import Cluster, connected
from pocketvae.blocks.columns import join_columns
from pocketvae.blocks.plan import Arrays, Block, Job
from pocketvae.blocks.pool import compute_blocks
from pocketvae.blocks.work_folder import Place, WorkFolder, WorkManifest
from pocketvae.progress import ProgressCallback, ignore_progress
from pocketvae.system.folders import workplace

# Says that the folder is a work folder; nothing else is in it before.
_MARKER = ".pocketvae-work"


@contextlib.contextmanager
def work_folder(
    out: Path,
    manifest: WorkManifest,
    *,
    force: bool = False,
    replaces: bool = False,
    results: Place | None = None,
) -> Iterator[WorkFolder]:
    """Yields the work folder `OUT.unfinished`, with what is done of the same work.

    It is removed when the block ends well.

    Args:
        out: What is made of the results.
        manifest: What is computed.
        force: Drop the results of other work in it; `out` may exist.
        replaces: Whether `out` may exist without `force`.
        results: Where workers write results, if not into the work folder.

    Raises:
        OutputExistsError: it holds other work, another process uses it, or `out` exists and must not.
    """
    with workplace(out, force=force or replaces, marker=_MARKER, kept=partial(_kept, results)) as folder:
        work = WorkFolder(folder.absolute(), results)
        work.begin(manifest, force=force)
        work.remove_damaged()
        try:
            yield work
        finally:
            if results is not None and not work.done():
                results.remove()


def shared(
    cluster: Cluster,
    work: WorkFolder,
    job: Job,
    blocks: Sequence[Block],
    *,
    stage: str,
    progress: ProgressCallback = ignore_progress,
) -> Arrays:
    """Computes the blocks that are not done yet, and returns the columns of all of them.

    Args:
        cluster: Where; it is not looked for where all is done.
        work: The work folder.
        job: What is computed.
        blocks: All blocks of the work.
        stage: What is being done, for progress.
        progress: Called after every block.

    Raises:
        DataError: a block cannot be read or written.
        InternalError: a block ended its worker again and again.
        TargetError: the cluster cannot be used.
    """
    done = work.done()
    left = [block for block in blocks if block.index not in done]
    if left:
        total = blocks[-1].last
        with connected(cluster) as ray:
            compute_blocks(ray, cluster, job, work.place, left, stage=stage, total=total, progress=progress)
    return join_columns(work, blocks)


def _kept(results: Place | None, folder: Path) -> str:
    done = len(WorkFolder(folder, results).done())
    return f"{folder.name} keeps {done} blocks: the command that began it goes on with them" if done else ""
