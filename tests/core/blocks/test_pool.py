import contextlib
import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from pocketvae.blocks import pool
from pocketvae.blocks.cluster import Cluster
from pocketvae.blocks.plan import plan
from pocketvae.blocks.pool import compute_blocks
from pocketvae.blocks.work_folder import WorkFolder, WorkManifest
from pocketvae.errors import DataError, InternalError, TargetError
from pocketvae.progress import ignore_progress

BLOCKS = plan(2000, 256)


@dataclass(frozen=True)
class Squares:
    """Squares of numbers, with accidents: `once` ends the worker the first time only, at the block `fatal`."""

    folder: Path
    fatal: int = -1
    once: bool = True
    refused: int = -1
    broken: int = -1

    @contextlib.contextmanager
    def open(self):
        (self.folder / f"opened-{os.getpid()}").touch()
        yield self._compute

    def _compute(self, block):
        if block.index == self.fatal and not (self.once and (self.folder / "died").exists()):
            (self.folder / "died").touch()
            os.kill(os.getpid(), 9)
        if block.index == self.refused:
            raise DataError("it cannot be read: torn.png")
        if block.index == self.broken:
            raise RuntimeError("a bug")
        return {"x": np.arange(block.first, block.last) ** 2}


@pytest.fixture
def work(tmp_path):
    folder = WorkFolder(tmp_path / "work")
    folder.path.mkdir()
    folder.begin(WorkManifest(command="c", pocketvae="1", model="m", input="i", options={}, block_items=256))
    return folder


def compute(ray, job, work, workers=2, blocks=BLOCKS, progress=ignore_progress):
    cluster = Cluster(address="local", workers=workers)
    compute_blocks(ray, cluster, job, work.place, blocks, stage="squares", total=2000, progress=progress)


def squares(work):
    return np.concatenate([result["x"] for result in work.results(BLOCKS)])


def test_every_block_is_computed_once_by_workers_that_open_the_job_once(ray, work, tmp_path):
    steps = []
    compute(ray, Squares(tmp_path), work, progress=steps.append)
    np.testing.assert_array_equal(squares(work), np.arange(2000) ** 2)
    assert len(list(tmp_path.glob("opened-*"))) <= 2
    done = [step.done for step in steps]
    assert (done[0], done[-1]) == (0, 2000)
    assert done == sorted(done)


def test_a_killed_worker_loses_nothing(ray, work, tmp_path):
    compute(ray, Squares(tmp_path, fatal=3), work)
    assert (tmp_path / "died").exists()
    np.testing.assert_array_equal(squares(work), np.arange(2000) ** 2)


def test_a_block_that_always_ends_its_worker_is_named(ray, work, tmp_path, monkeypatch):
    monkeypatch.setattr(pool, "_RETRIES", 1)
    with pytest.raises(InternalError, match=r"block 3 \(items 768 to 1023\) ended its worker 2 times"):
        compute(ray, Squares(tmp_path, fatal=3, once=False), work, workers=1)


def test_a_block_that_cannot_be_read_is_named(ray, work, tmp_path):
    with pytest.raises(DataError, match=r"^block 5 \(items 1280 to 1535\): it cannot be read: torn.png$"):
        compute(ray, Squares(tmp_path, refused=5), work)


def test_a_bug_in_a_worker_is_one_line(ray, work, tmp_path):
    with pytest.raises(InternalError, match=r"^block 2 \(items 512 to 767\) failed: RuntimeError: a bug$"):
        compute(ray, Squares(tmp_path, broken=2), work)


def test_workers_of_another_version_are_refused_before_any_work(ray, work, tmp_path, monkeypatch):
    own = pool.greeting(work.place)
    other = replace(own, versions={**own.versions, "onnxruntime": "1.0"})
    monkeypatch.setattr(pool, "greeting", lambda place: other)
    with pytest.raises(TargetError, match="versions of this machine: onnxruntime is 1.0 here and "):
        compute(ray, Squares(tmp_path), work)
    assert work.done() == {}


def test_workers_that_do_not_see_the_work_folder_are_refused(ray, work, tmp_path):
    lost = WorkFolder(tmp_path / "elsewhere")
    with pytest.raises(
        TargetError, match=r"a worker does not see .*elsewhere: bundle, data and output must lie on storage"
    ):
        compute(ray, Squares(tmp_path), lost)


def test_another_processor_is_a_warning(ray, work, tmp_path, monkeypatch):
    other = replace(pool.greeting(work.place), cpu="another")
    monkeypatch.setattr(pool, "greeting", lambda place: other)
    with pytest.warns(UserWarning, match="a worker has another processor, .* in the last digits"):
        compute(ray, Squares(tmp_path), work, blocks=BLOCKS[:2])


def test_nobody_else_reaches_the_cluster(ray):
    """All of its processes listen on the loopback address alone."""
    own, listening = psutil.Process(), []
    for process in (own, *own.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):  # workers come and go
            listening += [
                item.laddr.ip for item in process.net_connections("inet") if item.status == psutil.CONN_LISTEN
            ]
    assert len(listening) >= 3
    assert {address.removeprefix("::ffff:") for address in listening} <= {"127.0.0.1", "::1"}


def test_nothing_is_reported_and_no_dashboard_is_served(ray):
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
    served = []
    # Ray runs its dashboard's process in any case. `ps` would cut long commands off where COLUMNS is set.
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # workers come and go
            words = process.cmdline()
            if any(word.endswith("dashboard.py") for word in words):
                ports = [item for item in process.net_connections("inet") if item.status == psutil.CONN_LISTEN]
                served.append(("--disable-frontend" in words, ports))
    assert served in ([], [(True, [])])


def test_a_cluster_that_is_lost_is_named_and_no_bad_input(work, tmp_path):
    class Gone:
        """Ray's client when its cluster does not answer any more."""

        def cluster_resources(self):
            raise ConnectionError("Client is shutting down.")

    with pytest.raises(TargetError, match="the cluster ray://here:1 was lost: run the same command again"):
        compute_blocks(
            Gone(), Cluster(address="ray://here:1"), Squares(tmp_path), work.place, BLOCKS, stage="", total=1
        )
