import numpy as np
import pytest

from pocketvae.blocks.columns import Texts, join_columns
from pocketvae.blocks.plan import SKIPPED, plan
from pocketvae.blocks.work_folder import WorkFolder, WorkManifest, write_result
from pocketvae.errors import DataError

BLOCKS = plan(600, 256)


@pytest.fixture
def work(tmp_path):
    folder = WorkFolder(tmp_path)
    folder.begin(WorkManifest(command="c", pocketvae="1", model="m", input="i", options={}, block_items=256))
    return folder


def test_columns_are_the_blocks_one_after_another(work):
    rng = np.random.default_rng(0)
    parts = [rng.random((block.last - block.first, 2, 3), np.float32) for block in BLOCKS]
    for block, part in zip(BLOCKS, parts, strict=True):
        write_result(work.place, block, {"x": part})
    column = join_columns(work, BLOCKS)["x"]
    np.testing.assert_array_equal(column, np.concatenate(parts))
    assert isinstance(column, np.memmap)


def test_text_is_as_wide_as_that_of_the_widest_block(work):
    for block, names in zip(BLOCKS, (["a", "b"], ["longer"], ["c"]), strict=True):
        write_result(work.place, block, {"name": np.array(names)})
    column = join_columns(work, BLOCKS)["name"]
    expected = np.array(["a", "b", "longer", "c"])
    assert column.dtype == expected.dtype
    assert list(Texts(column)) == expected.tolist()
    assert Texts(column)[1:3][1] == "longer"


def test_blocks_that_could_not_be_read_have_no_rows(work):
    write_result(work.place, BLOCKS[0], {"x": np.arange(3)})
    write_result(work.place, BLOCKS[1], {SKIPPED: np.array(["block 1: gone"])})
    write_result(work.place, BLOCKS[2], {"x": np.arange(2), "skipped": np.array([], np.str_)})
    columns = join_columns(work, BLOCKS)
    assert columns["x"].tolist() == [0, 1, 2, 0, 1]
    assert columns["skipped"].tolist() == ["block 1: gone"]


def test_nothing_at_all_is_an_error_with_the_first_reason(work):
    for block in BLOCKS:
        write_result(work.place, block, {SKIPPED: np.array([f"{block}: gone"])})
    with pytest.raises(DataError, match=r"nothing could be read: block 0 \(items 0 to 255\): gone"):
        join_columns(work, BLOCKS)
    assert work.done() == {}
