import os
from dataclasses import replace

import numpy as np
import pytest

import pocketvae
from pocketvae.apps import load_items
from pocketvae.apps.clusters.reading import (
    Source,
    fingerprint,
    first_sound,
    needs_unpacking,
    open_reader,
    read_all,
    read_sound,
    unpack,
)
from pocketvae.blocks.plan import Block, plan
from pocketvae.data.windows import Windowing
from pocketvae.errors import DataError, SpecError
from pocketvae.vae_spec import DataKind, VaeSpec, vector_latent


@pytest.fixture(scope="module")
def vae(place):
    with pocketvae.open(place / "b") as bundle:
        return bundle.vae


def joined(reader):
    parts = [reader.read(block) for block in plan(len(reader), 256)]
    labels = [part.labels for part in parts if part.labels is not None]
    return (
        np.concatenate([part.images[:] for part in parts]),
        [name for part in parts for name in part.names],
        np.concatenate(labels) if labels else None,
    )


@pytest.mark.parametrize("name", ["x.npy", "x.npz", "images"])
@pytest.mark.parametrize("count", [None, 270])
def test_blocks_hold_what_is_loaded_as_a_whole(place, vae, tmp_path, name, count):
    source = Source(path=str(place / name), count=count)
    whole = load_items(source.path, vae, count=count)
    if needs_unpacking(source, vae):
        source = unpack(source, tmp_path)
    values, names, labels = joined(open_reader(source, vae))
    np.testing.assert_array_equal(values, whole.images)
    assert names == list(whole.names)
    np.testing.assert_array_equal(labels, whole.labels)


def test_sequences_and_vectors_are_read_by_the_block_too(tmp_path):
    values = np.random.default_rng(0).random((600, 6, 2), np.float32)
    np.save(tmp_path / "s.npy", values)
    vae = VaeSpec(data=DataKind.SEQUENCE, data_shape=(6, 2), latents=vector_latent(3), range_is_strict=False)
    found, names, _ = joined(open_reader(Source(path=str(tmp_path / "s.npy")), vae))
    np.testing.assert_array_equal(found, values)
    np.save(tmp_path / "v.npy", values.reshape(600, 12))
    vae = VaeSpec(data=DataKind.VECTOR, data_shape=(12,), latents=vector_latent(3), range_is_strict=False)
    found, names, _ = joined(open_reader(Source(path=str(tmp_path / "v.npy")), vae))
    np.testing.assert_array_equal(found, values.reshape(600, 12))
    assert names == [str(index) for index in range(600)]


def test_recordings_keep_the_rate_and_the_columns_that_they_had(tmp_path):
    vae = VaeSpec(data=DataKind.SEQUENCE, data_shape=(6, 2), latents=vector_latent(3), range_is_strict=False)
    values = np.random.default_rng(0).random((12, 2), np.float32)
    for name, step, order in (("a.csv", 1, (0, 1)), ("turned.csv", 1, (1, 0)), ("slow.csv", 2, (0, 1))):
        header = ",".join(["time", *(["ax", "ay"][place] for place in order)])
        rows = np.column_stack([np.arange(12) * step, values[:, order]])
        np.savetxt(tmp_path / name, rows, "%.9g", ",", header=header, comments="")
    windowing = Windowing(usual=("ax", "ay"), usual_rate_hz=1.0)
    for name in ("a.csv", "turned.csv"):
        found, _, _ = joined(open_reader(Source(path=str(tmp_path / name), windowing=windowing), vae))
        np.testing.assert_array_equal(found, values.reshape(2, 6, 2))
    with pytest.raises(DataError, match=r"calibrated with, 1 Hz, but slow.csv has 0.5 Hz"):
        open_reader(Source(path=str(tmp_path / "slow.csv"), windowing=windowing), vae)


def test_a_damaged_recording_is_refused_or_left_out_by_name(tmp_path):
    vae = VaeSpec(data=DataKind.SEQUENCE, data_shape=(6, 2), latents=vector_latent(3), range_is_strict=False)
    values = np.random.default_rng(0).random((3, 12, 2), np.float32)
    for name, own in zip("abc", values, strict=True):
        odd = np.arange(12) > (5 if name == "c" else 11)
        rows = np.column_stack([np.arange(12), own, odd])
        np.savetxt(tmp_path / f"{name}.csv", rows, "%.9g", ",", header="time,ax,ay,odd", comments="")
    torn = tmp_path / "b.csv"
    torn.write_bytes(torn.read_bytes()[:-4])
    source = Source(path=str(tmp_path), windowing=Windowing(truth="odd"))
    with pytest.raises(DataError, match=r"b\.csv, row 13: every row must have 4 columns as the first, got "):
        open_reader(source, vae)
    reader = open_reader(replace(source, skip_corrupt=True), vae)
    lost = []
    parts = [
        read_sound(reader, block, lost) for block in (Block(index=0, first=0, last=3), Block(index=1, first=3, last=4))
    ]
    assert len(lost) == 1
    assert lost[0].startswith(f"{torn}, row 13: every row must have")
    assert [name for part in parts for name in part.names] == ["a.csv:0", "a.csv:6", "c.csv:0", "c.csv:6"]
    found = np.concatenate([part.images for part in parts])
    np.testing.assert_array_equal(found, values[[0, 2]].reshape(4, 6, 2))
    assert reader.items.timeline.anomalous().tolist() == [False, False, False, True]


def test_a_damaged_image_is_refused_or_left_out_by_name(place, vae, tmp_path):
    import shutil

    shutil.copytree(place / "images", tmp_path / "images")
    torn = tmp_path / "images" / "0" / "004.png"
    torn.write_bytes(torn.read_bytes()[:20])
    reader = open_reader(Source(path=str(tmp_path / "images")), vae)
    [first, *_] = plan(len(reader), 256)
    with pytest.raises(DataError, match=r"004\.png"):
        reader.read(first)
    skipped = {}
    found = reader.read(first, skipped)
    assert list(skipped) == [torn]
    assert len(found) == len(found.names) == len(found.labels) == 255
    assert "0/004.png" not in found.names


@pytest.mark.parametrize("wrong", [[0], [3, 4, 255], [299]])
def test_what_can_be_read_of_a_block_is_read(vae, tmp_path, wrong):
    values = np.random.default_rng(0).random((300, 6, 6, 1), np.float32)
    values[wrong] = 7
    np.savez(tmp_path / "x.npz", images=values, labels=np.arange(300))
    reader = open_reader(unpack(Source(path=str(tmp_path / "x.npz")), tmp_path), vae)
    lost, kept = [], [index for index in range(300) if index not in wrong]
    found = read_sound(reader, Block(index=0, first=0, last=300), lost)
    assert [text.partition(":")[0] for text in lost] == [f"item {index}" for index in wrong]
    assert found.names == tuple(map(str, kept))
    assert found.labels.tolist() == kept
    np.testing.assert_array_equal(found.images, np.round(values[kept] * 255))
    lost = []
    assert read_sound(reader, Block(index=0, first=wrong[0], last=wrong[0] + 1), lost) is None
    assert lost[0].startswith(f"item {wrong[0]}: ")
    with pytest.raises(DataError, match=f"^item {wrong[0]}: "):
        read_all(reader, Block(index=0, first=0, last=300))
    assert int(first_sound(reader).names[0]) in kept


def test_where_no_item_of_a_sample_can_be_read_the_first_is_named(vae, tmp_path):
    values = np.full((300, 6, 6, 1), 7.0, np.float32)
    np.save(tmp_path / "x.npy", values)
    reader = open_reader(Source(path=str(tmp_path / "x.npy")), vae)
    with pytest.raises(DataError, match="none of the 64 items that were tried can be read; item 0: "):
        first_sound(reader)
    lost = []
    assert read_sound(reader, Block(index=1, first=100, last=300), lost) is None
    assert lost[0].startswith("block 1 (items 100 to 299): ")


def test_a_value_is_named_by_its_item_among_all(tmp_path):
    values = np.zeros((600, 12), np.float32)
    values[500, 3] = np.inf
    np.save(tmp_path / "v.npy", values)
    vae = VaeSpec(data=DataKind.VECTOR, data_shape=(12,), latents=vector_latent(3), range_is_strict=False)
    reader = open_reader(Source(path=str(tmp_path / "v.npy")), vae)
    with pytest.raises(DataError, match=r"v\.npy, item 500, column 3"):
        reader.read(Block(index=1, first=256, last=512))


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "it is empty"), (b"\x93NUMPY\x01\x00", "header"), (None, "does not exist")],
)
def test_a_damaged_or_missing_file_is_refused_when_it_is_opened(vae, tmp_path, content, message):
    path = tmp_path / "x.npy"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        open_reader(Source(path=str(path)), vae)


def test_an_archive_without_items_is_refused(vae, tmp_path):
    np.savez(tmp_path / "x.npz", y=np.zeros(3))
    with pytest.raises(DataError, match=r"must hold an array named images or .*, got \['y'\]"):
        unpack(Source(path=str(tmp_path / "x.npz")), tmp_path)


def test_options_that_do_not_fit_are_refused(place, vae):
    from pocketvae.data.windows import Windowing

    source = Source(path=str(place / "x.npy"))
    with pytest.raises(SpecError, match="for recordings, but"):
        open_reader(replace(source, windowing=Windowing(stride=2)), vae)
    with pytest.raises(DataError, match="at least one item is needed, got --count 0"):
        open_reader(replace(source, count=0), vae)


def test_a_changed_file_has_another_fingerprint(place, tmp_path):
    path = tmp_path / "x.npy"
    path.write_bytes((place / "x.npy").read_bytes())
    source = Source(path=str(path))
    before = fingerprint(source)
    assert fingerprint(source) == before
    os.utime(path, ns=(1, 1))
    assert fingerprint(source) != before
    assert fingerprint(Source(path=str(place / "images"))) == fingerprint(Source(path=str(place / "images")))
    assert fingerprint(Source(path="mnist")) != before
