import pickle

import numpy as np
import pytest

from pocketvae.blocks import storage as storages
from pocketvae.blocks.plan import plan
from pocketvae.blocks.storage import Storage, is_address
from pocketvae.blocks.work_folder import WorkFolder, WorkManifest, write_result
from pocketvae.errors import DataError, OutputExistsError, TargetError

MANIFEST = WorkManifest(command="score", pocketvae="1", model="m", input="i", options={}, block_items=256)


@pytest.fixture
def address(tmp_path):
    """Of a folder that is not there yet."""
    pytest.importorskip("pyarrow")
    return f"file://{tmp_path}/o"


@pytest.mark.parametrize(
    ("text", "expected"), [("s3://b/x.npy", True), ("file:///x", True), ("x.npy", False), ("C:\\x", False)]
)
def test_what_is_an_address(text, expected):
    assert is_address(text) is expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [("gopher://h/x", "known are s3://, gs://"), ("foo://h/x", "known are s3://, gs://"), ("s3:///", "Missing bucket")],
)
def test_an_address_of_no_storage_is_refused(address, text, reason):
    with pytest.raises(DataError, match=rf"^{text} is no address of a storage: {reason}"):
        Storage(text)


def test_options_that_nobody_reads_are_refused(address):
    with pytest.raises(DataError, match=r"file:// takes no options, got file:///x\?y=z: write .* as %3F"):
        Storage("file:///x?y=z")


def test_a_space_in_an_address_is_named(address):
    with pytest.raises(DataError, match="is no address of a storage: .*: write a space as %20$"):
        Storage("file:///my items/x.npy")


def test_a_file_that_is_not_there_is_named(address):
    with pytest.raises(DataError, match=r"^file://.*/o/x.npy does not exist$"):
        Storage(f"{address}/x.npy").opened()


def test_without_pyarrow_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(TargetError, match=r"pyarrow is not installed: run pip install .*\[parquet\]"):
        Storage("s3://b/x")


def test_options_of_an_address_are_no_part_of_its_path(address):
    storage = Storage("s3://b/o.npz?endpoint_override=127.0.0.1:1&scheme=http&region=x", ".unfinished")
    assert str(storage) == str(pickle.loads(pickle.dumps(storage))) == "s3://b/o.npz.unfinished"


def test_a_work_folder_by_address_is_one_like_others(address, tmp_path):
    blocks, place = plan(600, 256), pickle.loads(pickle.dumps(Storage(address, ".unfinished")))
    work = WorkFolder(tmp_path / "own", place)
    assert not place.is_there()
    assert work.done() == {}
    work.begin(MANIFEST)
    for block in (*blocks, blocks[0]):
        write_result(place, block, {"x": np.arange(block.first, block.last)})
    assert len(place.files("blocks")) == 3
    assert np.concatenate([result["x"] for result in work.results(blocks)]).tolist() == list(range(600))
    place.write(work.done()[1], b"torn")
    work.remove_damaged()
    assert sorted(work.done()) == [0, 2]
    with pytest.raises(OutputExistsError, match=r"o.unfinished holds results of another input: repeat"):
        work.begin(WorkManifest(**{**vars(MANIFEST), "input": "j"}))
    place.remove()
    assert not place.is_there()
    assert list(tmp_path.iterdir()) == []


def test_a_file_appears_whole_or_not_at_all(address, tmp_path):
    storage = Storage(address)
    with pytest.raises(TypeError):
        storage.write("a", "text is no content")
    assert not storage.is_there("a")
    storage.write("a", b"one")
    with pytest.raises(TypeError):
        storage.write("a", 5)
    assert (storage.read("a"), list(storage.files())) == (b"one", ["a"])


def test_files_and_folders_are_copied_here(address, tmp_path):
    (tmp_path / "o" / "deep").mkdir(parents=True)
    (tmp_path / "o" / "deep" / "b").write_bytes(b"bee")
    (tmp_path / "o" / "a").write_bytes(b"")
    copy = Storage(address).fetch(tmp_path / "here")
    assert copy == tmp_path / "here" / "o"
    assert [(path.relative_to(copy).as_posix(), path.read_bytes()) for path in sorted(copy.rglob("?"))] == [
        ("a", b""),
        ("deep/b", b"bee"),
    ]
    assert Storage(f"{address}/deep/b").fetch(tmp_path / "here").read_bytes() == b"bee"
    with pytest.raises(DataError, match="gone does not exist"):
        Storage(f"{address}/gone").fetch(tmp_path)


@pytest.mark.parametrize("largest", [100, 1])
def test_an_object_that_cannot_be_written_whole_leaves_the_old_one(address, tmp_path, monkeypatch, largest):
    # Of an object store: closing completes what is there of an object, and nothing can be renamed.
    monkeypatch.setattr(storages, "_OBJECT_STORES", ("local",))
    monkeypatch.setattr(storages, "_LARGEST_COPY", largest)
    (tmp_path / "o").mkdir()
    place = Storage(address)
    place.write("a", b"one")
    with pytest.raises(TypeError):
        place.write("a", "no content")
    place.write("b", b"two")
    place.write("b", b"three")
    kept = ["a", "b"] if largest > 1 else ["b"]
    assert (sorted(path.name for path in (tmp_path / "o").iterdir()), place.read("b")) == (kept, b"three")
    assert place.read("a") == b"one" if largest > 1 else not place.is_there("a")
