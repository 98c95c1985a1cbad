import contextlib
import os
from dataclasses import dataclass

import numpy as np
import pytest

from pocketvae.blocks.plan import Block
from pocketvae.blocks.work_folder import Folder, WorkFolder, WorkManifest
from pocketvae.blocks.worker import BlockWorker, greeting
from pocketvae.errors import DataError

BLOCK = Block(index=0, first=0, last=3)


@dataclass
class Job:
    error: Exception | None = None
    opened: int = 0

    @contextlib.contextmanager
    def open(self):
        self.opened += 1
        yield self._compute

    def _compute(self, block):
        if self.error:
            raise self.error
        return {"x": np.arange(block.first, block.last)}


@pytest.fixture
def work(tmp_path):
    folder = WorkFolder(tmp_path)
    folder.begin(WorkManifest(command="c", pocketvae="1", model="m", input="i", options={}, block_items=256))
    return folder


def test_a_worker_opens_its_job_once(work):
    job = Job()
    worker = BlockWorker(job, work.place)
    assert job.opened == 0
    for index in range(3):
        assert worker.compute(Block(index=index, first=0, last=3)).error == ""
    assert job.opened == 1
    assert sorted(work.done()) == [0, 1, 2]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (DataError("x.png is damaged"), "x.png is damaged"),
        (OSError(5, "Input/output error", "/data/x.npy"), "/data/x.npy: Input/output error"),
    ],
)
def test_what_is_wrong_with_the_data_is_an_answer(work, error, text):
    assert BlockWorker(Job(error), work.place).compute(BLOCK).error == text


def test_a_full_disk_is_an_answer(work, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert "No space left on device" in BlockWorker(Job(), work.place).compute(BLOCK).error


def test_a_bug_is_no_answer(work):
    with pytest.raises(RuntimeError, match="a bug"):
        BlockWorker(Job(RuntimeError("a bug")), work.place).compute(BLOCK)


def test_a_worker_says_what_results_depend_on(work, tmp_path):
    said = BlockWorker(Job(), work.place).greet()
    assert said == greeting(work.place)
    assert {"pocketvae", "numpy", "onnxruntime", "ray"} <= said.versions.keys()
    assert said.sees_work
    assert not greeting(Folder(tmp_path / "nowhere")).sees_work
