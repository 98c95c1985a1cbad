import dataclasses

import numpy as np
import onnx
import pytest
from flatbuffers.table import Table

from pocketvae.bundle.embedded import open_lone_file
from pocketvae.bundle.manifest import Stratum
from pocketvae.errors import ExportError
from pocketvae.export.embed.goldens import Candidates, choose_goldens
from pocketvae.export.embed.tflite import add_metadata
from pocketvae.formats.tflite.metadata import metadata_ranges
from pocketvae.numerics.tolerance import Tolerance
from pocketvae.runtimes.base import Optimizations
from pocketvae.runtimes.opening import open_runner
from pocketvae.spec import Format


@pytest.fixture
def plain(bundles, tflite_models):
    return tflite_models.decoder(bundles.right_weight(), bundles.SIDE, noted="2.5.0")


def test_the_model_is_kept_byte_for_byte_and_aligned(plain):
    content = add_metadata(plain, {"one": b"1", "two": b"2" * 50})
    assert content.endswith(plain)
    assert (len(content) - len(plain)) % 16 == 0
    ranges = metadata_ranges(content)
    assert list(ranges) == ["min_runtime_version", "one", "two"]
    assert content[ranges["two"].start : ranges["two"].stop] == b"2" * 50
    assert ranges["two"].start % 16 == 0


def test_litert_runs_it_as_before(plain, tmp_path, bundles):
    z = np.random.default_rng(0).normal(size=(1, bundles.LATENT)).astype(np.float32)
    (tmp_path / "a.tflite").write_bytes(plain)
    (tmp_path / "b.tflite").write_bytes(add_metadata(plain, {"one": b"1" * 1000}))
    for optimizations in Optimizations:
        images = []
        for name in ("a.tflite", "b.tflite"):
            with open_runner(tmp_path / name, Format.TFLITE, optimizations=optimizations) as runner:
                images.append(runner.run({"z": z})["image"])
        assert images[0].tobytes() == images[1].tobytes()


def test_the_schemas_own_reader_finds_everything(plain):
    from ai_edge_litert.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model_from_bytearray(bytearray(add_metadata(plain, {"one": b"1"})))
    before = flatbuffer_utils.read_model_from_bytearray(bytearray(plain))
    assert model.description == before.description
    assert model.version == 3
    assert [entry.name for entry in model.metadata] == [b"min_runtime_version", b"one"]
    assert bytes(model.buffers[model.metadata[1].buffer].data) == b"1"
    assert [len(part) for part in (model.subgraphs, model.operatorCodes, model.signatureDefs)] == [1, 3, 1]


def test_the_same_name_twice_is_refused(plain):
    once = add_metadata(plain, {"one": b"1"})
    with pytest.raises(ExportError, match="the file already has metadata named one"):
        add_metadata(once, {"one": b"2"})


@pytest.mark.parametrize("format", Format)
def test_a_signed_file_is_the_same_every_time(format, plain, tmp_path, bundles, lone_files):
    weight = bundles.right_weight()
    content = plain if format is Format.TFLITE else bundles.decoder_model(weight).SerializeToString()
    first, second = (lone_files.signed(tmp_path, format, content, weight) for _ in range(2))
    assert first == second


def test_onnx_reads_a_signed_file(tmp_path, bundles, lone_files):
    weight = bundles.right_weight()
    model = bundles.decoder_model(weight)
    read = onnx.load_from_string(lone_files.signed(tmp_path, Format.ONNX, model.SerializeToString(), weight))
    onnx.checker.check_model(read, full_check=True)
    assert read.graph == model.graph
    assert (read.producer_name, read.model_version) == ("pocketvae", 1)
    assert read.doc_string == "The decoder of the variational autoencoder tiny, float32."
    assert [entry.key for entry in read.metadata_props] == ["pocketvae", "pocketvae_sha256", "pocketvae_goldens"]


def test_golden_pairs_may_be_left_out(tmp_path, bundles, lone_files):
    statement = dataclasses.replace(lone_files.STATEMENT, with_goldens=False)
    content = bundles.decoder_model(bundles.right_weight()).SerializeToString()
    signed = lone_files.signed(tmp_path, Format.ONNX, content, bundles.right_weight(), statement=statement)
    (tmp_path / "a.onnx").write_bytes(signed)
    found = open_lone_file(tmp_path / "a.onnx")
    assert found.record.goldens is None
    assert found.goldens() is None
    assert b"pocketvae_goldens" not in signed


def field(table, index):
    """Returns where a field of a table lies; 0 where it is not there."""
    offset = table.Offset(4 + 2 * index)
    return offset + table.Pos if offset else 0


def child(table, index):
    return Table(table.Bytes, table.Indirect(field(table, index)))


def children(table, index):
    start, count = table.Vector(table.Offset(4 + 2 * index)), table.VectorLen(table.Offset(4 + 2 * index))
    return [Table(table.Bytes, table.Indirect(start + 4 * number)) for number in range(count)]


def text(table, index):
    return table.String(field(table, index)).decode()


def test_the_standard_metadata_says_the_same(plain, tmp_path, bundles, lone_files):
    content = lone_files.signed(tmp_path, Format.TFLITE, plain, bundles.right_weight())
    found = metadata_ranges(content)["TFLITE_METADATA"]
    data = bytearray(content[found.start : found.stop])
    assert data[4:8] == b"M001"
    root = Table(data, int.from_bytes(data[:4], "little"))
    assert [text(root, index) for index in (0, 4, 5, 7)] == ["tiny", "A. Author", "CC0", "1.0.0"]
    (subgraph,) = children(root, 3)
    (z,), (image,) = children(subgraph, 2), children(subgraph, 3)
    assert [text(tensor, 0) for tensor in (z, image)] == ["z", "image"]
    assert text(image, 1) == "the decoded image: 6x6, grey, rows, columns, channels"
    properties = child(image, 3)
    assert data[field(properties, 0)] == 2  # ImageProperties
    assert data[field(child(properties, 1), 0)] == 2  # GRAYSCALE
    assert data[field(child(z, 3), 0)] == 1  # FeatureProperties


def candidates(single, whole_limit=0.5, shape=(40,)):
    """Goldens on which an artifact is off by `single`, one number for each."""
    count = len(single)
    rng = np.random.default_rng(0)
    expected = rng.random((count, *shape)).astype(np.float32)
    off = np.asarray(single, np.float32).reshape(count, *[1] * len(shape))
    return Candidates(
        inputs={"z": rng.normal(size=(count, 2)).astype(np.float32)},
        expected={"image": expected},
        found={"image": expected + off},
        strata=(
            Stratum(name="prior", start=0, count=count // 2),
            Stratum(name="tails", start=count // 2, count=count - count // 2),
        ),
        tolerances=(Tolerance(output="image", metric="mean_abs", limit=whole_limit, source="test"),),
    )


def mean_error(given):
    from pocketvae.bundle.embedded import _unpack

    goldens, stored = choose_goldens(given, 1 << 20)
    kept = _unpack(goldens, stored)
    rows = [int(np.flatnonzero((given.inputs["z"] == z).all(axis=1))[0]) for z in kept.inputs["z"]]
    return float(np.abs(given.found["image"][rows] - kept.outputs["image"]).mean()), goldens


def test_a_file_that_passes_as_a_whole_passes_alone():
    # Half of the goldens are far over the limit, and yet the mean is below it.
    error, goldens = mean_error(candidates([0.0] * 12 + [0.9] * 12, whole_limit=0.5))
    assert error <= 0.5
    assert len(goldens.kinds) == 4


def test_a_file_that_misses_its_budget_misses_it_alone():
    error, _ = mean_error(candidates([0.1] * 20 + [2.0] * 20, whole_limit=0.5))
    assert error > 0.5


def test_kinds_take_turns():
    _, goldens = mean_error(candidates([0.1] * 20))
    assert sorted(goldens.kinds) == ["prior", "prior", "tails", "tails"]


def test_the_pairs_stay_small_beside_a_small_file():
    given = candidates([0.0] * 8, shape=(64, 64, 3))
    goldens, stored = choose_goldens(given, 100_000)
    assert len(stored) <= 5_000
    assert goldens.count == 1
    assert goldens.outputs[0].step > 1
    whole, stored = choose_goldens(given, 20_000_000)
    assert whole.count == 4
    assert len(stored) <= 1_000_000
    assert whole.outputs[0].step == 1


def test_outputs_that_are_not_finite_can_be_stored_beside():
    given = candidates([0.1] * 8)
    given.found["image"][:] = np.nan
    goldens, _ = choose_goldens(given, 1 << 20)
    assert goldens.count == 4
