import contextlib

import numpy as np
import pytest

from pocketvae.blocks import sharing
from pocketvae.blocks.cluster import Cluster
from pocketvae.blocks.plan import plan
from pocketvae.blocks.sharing import shared, work_folder
from pocketvae.blocks.work_folder import Folder, WorkManifest, write_result
from pocketvae.errors import OutputExistsError

BLOCKS = plan(5, 2)
LOCAL = Cluster(address="local")


def manifest(**changes):
    given = {"command": "count", "pocketvae": "1", "model": "m", "input": "i", "options": {}, "block_items": 2}
    return WorkManifest(**{**given, **changes})


def result(block):
    return {"item": np.arange(block.first, block.last)}


def interrupted(out, block):
    """Leaves the result of one block."""
    with contextlib.suppress(KeyboardInterrupt), work_folder(out, manifest()) as work:
        write_result(work.place, block, result(block))
        raise KeyboardInterrupt


def test_what_is_done_is_not_computed_again_and_needs_no_cluster(tmp_path, monkeypatch):
    with work_folder(tmp_path / "o", manifest()) as work:
        for block in BLOCKS:
            write_result(work.place, block, result(block))
        monkeypatch.setattr(sharing, "connected", lambda _: pytest.fail("no cluster is needed"))
        assert shared(LOCAL, work, None, BLOCKS, stage="counting")["item"].tolist() == [0, 1, 2, 3, 4]
    assert not (tmp_path / "o.unfinished").exists()


def test_an_interrupted_run_is_gone_on_with(tmp_path, monkeypatch):
    interrupted(tmp_path / "o", BLOCKS[1])
    asked = []

    class Connection:
        def __enter__(self):
            return None

        def __exit__(self, *_):
            return None

    def compute(ray, cluster, job, folder, blocks, *, total, **_):
        asked.extend(block.index for block in blocks)
        assert total == 5
        for block in blocks:
            write_result(work.place, block, result(block))

    monkeypatch.setattr(sharing, "connected", lambda _: Connection())
    monkeypatch.setattr(sharing, "compute_blocks", compute)
    with work_folder(tmp_path / "o", manifest()) as work:
        assert shared(LOCAL, work, None, BLOCKS, stage="counting")["item"].tolist() == [0, 1, 2, 3, 4]
    assert asked == [0, 2]


def test_other_work_is_refused_unless_it_may_be_dropped(tmp_path):
    interrupted(tmp_path / "o", BLOCKS[0])
    other = manifest(options={"seed": "1"})
    with (
        pytest.raises(OutputExistsError, match="results of another set of options"),
        work_folder(tmp_path / "o", other),
    ):
        pass
    with work_folder(tmp_path / "o", other, force=True) as work:
        assert work.done() == {}


@pytest.mark.parametrize("done", [0, 1])
def test_what_has_no_result_leaves_nothing_where_results_go(tmp_path, done):
    results = Folder(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").mkdir()
    with contextlib.suppress(KeyError), work_folder(tmp_path / "o", manifest(), results=results) as work:
        for block in BLOCKS[:done]:
            write_result(work.place, block, result(block))
        raise KeyError
    assert (tmp_path / "elsewhere").exists() == (tmp_path / "o.unfinished").exists() == bool(done)
