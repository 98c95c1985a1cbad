import os
from dataclasses import replace

import numpy as np
import pytest

from pocketvae.blocks.plan import plan
from pocketvae.blocks.work_folder import WorkFolder, WorkManifest, write_result
from pocketvae.errors import DataError, OutputExistsError

MANIFEST = WorkManifest(
    command="score", pocketvae="1", model="m", input="i", options={"label": "None"}, block_items=256
)
BLOCKS = plan(600, 256)


@pytest.fixture
def work(tmp_path):
    folder = WorkFolder(tmp_path)
    folder.begin(MANIFEST)
    return folder


def test_what_is_written_is_what_is_read_in_order(work):
    for block in reversed(BLOCKS):
        write_result(work.place, block, {"x": np.arange(block.first, block.last), "name": np.array(["a", "bc"])})
    found = list(work.results(BLOCKS))
    assert np.concatenate([result["x"] for result in found]).tolist() == list(range(600))
    assert found[1]["name"].tolist() == ["a", "bc"]
    assert sorted(work.done()) == [0, 1, 2]


def test_a_block_that_two_workers_compute_is_there_once(work):
    for _ in range(2):
        write_result(work.place, BLOCKS[0], {"x": np.arange(3)})
    assert len(list((work.path / "blocks").iterdir())) == 1


def test_of_two_results_of_a_block_every_call_takes_the_same(work):
    for value in (1, 2, 3):
        write_result(work.place, BLOCKS[0], {"x": np.array([value])})
    first = work.path / work.done()[0]
    assert first == min((work.path / "blocks").iterdir())


def test_the_same_work_goes_on(work):
    write_result(work.place, BLOCKS[0], {"x": np.arange(3)})
    work.begin(MANIFEST)
    assert list(work.done()) == [0]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"input": "j"}, "input"),
        ({"model": "n"}, "model"),
        ({"options": {}, "pocketvae": "2"}, "pocketvae and set of options"),
    ],
)
def test_other_work_is_refused_and_named(work, change, named):
    write_result(work.place, BLOCKS[0], {"x": np.arange(3)})
    other = replace(MANIFEST, **change)
    with pytest.raises(OutputExistsError, match=rf"results of another {named}: repeat that command .* or pass --force"):
        work.begin(other)
    assert list(work.done()) == [0]
    work.begin(other, force=True)
    assert work.done() == {}


def test_a_damaged_block_is_computed_again(work):
    for block in BLOCKS[:2]:
        write_result(work.place, block, {"x": np.arange(3)})
    path = work.path / work.done()[1]
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(DataError, match=r"the result of block 1 \(items 256 to 511\) is missing or damaged"):
        list(work.results(BLOCKS[:2]))
    work.remove_damaged()
    assert list(work.done()) == [0]


def test_a_full_disk_leaves_nothing_half_written(work, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_result(work.place, BLOCKS[0], {"x": np.arange(3)})
    assert list((work.path / "blocks").iterdir()) == []
