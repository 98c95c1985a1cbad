import json
import pickle
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from textwrap import dedent

import numpy as np
import pandas
import pyarrow
import pytest

import pocketvae
from pocketvae import udf
from pocketvae.blocks.cluster import Cluster, connected
from pocketvae.cli.main import main
from pocketvae.errors import DataError, DataWarning, ManifestError, SpecError
from pocketvae.udf.opened import opened
from pocketvae.vae_spec import Condition, DataKind, VaeSpec, vector_latent

COUNT = 150
PAGE = Path(__file__).parents[2] / "docs" / "clusters.md"


@pytest.fixture(scope="module")
def place(tmp_path_factory, bundles):
    """A folder with a bundle `b` of images, its calibration `n.json`, items `x.npy`, and a bundle `s` of sequences."""
    folder = tmp_path_factory.mktemp("udf")
    bundles.make_bundle(folder / "b")
    vae = VaeSpec(data=DataKind.SEQUENCE, data_shape=(6, 6), latents=vector_latent(3), range_is_strict=False)
    bundles.make_bundle(folder / "s", vae=vae)
    np.save(folder / "x.npy", np.random.default_rng(0).integers(0, 256, (COUNT, 6, 6, 1), np.uint8))
    words = ["score", str(folder / "b"), str(folder / "x.npy"), "--calibration", str(folder / "n.json"), "--quiet"]
    assert main([*words, "--calibrate", "--false-positive-rate", "0.2"]) == 0
    assert main([*words, "--csv", str(folder / "scores.csv")]) == 0
    return folder


@pytest.fixture(scope="module")
def conditional(tmp_path_factory, bundles):
    """A bundle of images with seven classes, which its encoder takes and does not look at."""
    vae = VaeSpec(data_shape=(6, 6, 1), latents=vector_latent(3), conditions=(Condition(count=7),))
    return bundles.make_bundle(tmp_path_factory.mktemp("udf") / "c", vae=vae)


@pytest.fixture(scope="module")
def items(place):
    return np.load(place / "x.npy")


@pytest.fixture(scope="module")
def frame(items):
    """Items as flat lists, nested lists and bytes in turn, with a key."""
    forms = (lambda x: x.reshape(-1).tolist(), lambda x: x.tolist(), lambda x: x.tobytes())
    cells = [forms[index % 3](item) for index, item in enumerate(items)]
    return pandas.DataFrame({"key": np.arange(COUNT) * 10, "item": cells}, index=np.arange(COUNT) + 5)


def flat(frame):
    """Returns the items of a frame as lists of whole numbers."""
    arrays = [np.frombuffer(cell, np.uint8) if isinstance(cell, bytes) else np.ravel(cell) for cell in frame["item"]]
    return [array.tolist() for array in arrays]


def test_encode_returns_what_the_encoder_does_and_keeps_columns(place, frame, items):
    with pocketvae.open(place / "b") as bundle:
        expected = bundle.encoder().encode(items)
    found = udf.encode(place / "b", keep=["key"]).pandas(frame)
    assert list(found.columns) == ["key", "z_mean", "z_log_var"]
    assert found.index.equals(frame.index)
    assert found["key"].equals(frame["key"])
    np.testing.assert_array_equal(np.stack(found["z_mean"]), expected.z_mean)
    np.testing.assert_array_equal(np.stack(found["z_log_var"]), expected.z_log_var)


def test_score_returns_what_the_command_writes(place, frame):
    found = udf.score(place / "b", place / "n.json", keep=["key"]).pandas(frame)
    written = pandas.read_csv(place / "scores.csv")
    kinds = list(written.columns[1:-1])
    assert list(found.columns) == ["key", *kinds, "anomalous"]
    for kind in kinds:
        np.testing.assert_array_equal(found[kind].to_numpy(), written[kind].to_numpy())
    np.testing.assert_array_equal(found["anomalous"].to_numpy(), written["anomalous"].to_numpy() == 1)
    assert 0 < found["anomalous"].sum() < COUNT


def test_reconstruct_and_decode_return_pixels_as_bytes(place, frame, items):
    with pocketvae.open(place / "b") as bundle:
        z = bundle.encoder().encode(items).z_mean
        expected = [image.tobytes() for image in bundle.decoder().decode_pixels(z)]
    assert udf.reconstruct(place / "b").pandas(frame)["reconstruction"].tolist() == expected
    assert udf.decode(place / "b").pandas(pandas.DataFrame({"z": list(z)}))["item"].tolist() == expected


def test_other_data_are_numbers_in_the_users_unit(place):
    values = np.random.default_rng(1).random((4, 6, 6), np.float32)
    found = udf.reconstruct(place / "s").pandas(pandas.DataFrame({"item": [v.tolist() for v in values]}))
    assert np.stack(found["reconstruction"]).shape == (4, 36)


@pytest.mark.parametrize("make", [udf.encode, udf.reconstruct])
def test_arrow_gives_what_pandas_gives(place, frame, make):
    function = make(place / "b", keep=["key"])
    cells = pyarrow.array(flat(frame))
    batch = pyarrow.RecordBatch.from_arrays([pyarrow.array(frame["key"].to_numpy()), cells], names=["key", "item"])
    expected = function.pandas(frame)
    [found] = function.arrow_batches([batch])
    assert found.schema.names == list(expected.columns)
    for name in expected.columns:
        assert [np.asarray(v).tolist() for v in found.column(name).to_pylist()] == [
            np.asarray(v).tolist() for v in expected[name]
        ]


def test_arrow_takes_tables_too(place, frame):
    function = udf.encode(place / "b", keep=["key"])
    table = pyarrow.table({"key": frame["key"].to_numpy(), "item": flat(frame)})
    table = pyarrow.concat_tables([table[:40], table[40:]])
    found = function.arrow(table)
    assert isinstance(found, pyarrow.Table)
    expected = function.arrow(table.combine_chunks().to_batches()[0])
    assert found.to_pylist() == expected.to_pylist()
    with pytest.raises(DataError, match="arrow takes a RecordBatch or a Table, got ChunkedArray"):
        function.arrow(table["item"])


def test_elements_may_be_dicts_with_what_is_kept(place, conditional, frame):
    rows = [{**row, "kind": row["key"] % 7} for row in frame[:7].to_dict("records")]
    function = udf.encode(conditional, keep=["key"], label_column="kind")
    found = function.elements(rows)
    expected = function.pandas(pandas.DataFrame(rows))
    assert [row["key"] for row in found] == expected["key"].tolist()
    assert [row["z_mean"].tolist() for row in found] == [z.tolist() for z in expected["z_mean"]]
    with pytest.raises(DataError, match="element 0 must be a dict with 'item', 'key', 'kind'"):
        function.elements([rows[0]["item"]])
    for encode in (function, udf.encode(place / "b")):
        with pytest.raises(DataError, match="do not mix dicts and items: element 1 is a dict, element 0 is not"):
            encode.elements([rows[0]["item"], rows[1], rows[2]])
    assert udf.encode(place / "b").elements([]) == []


def test_beam_gets_a_dict_for_each_element(place, frame):
    function = udf.encode(place / "b")
    found = function.elements(frame["item"].tolist()[:7])
    assert len(found) == 7
    expected = function.pandas(frame[:7])
    assert [row["z_mean"].tolist() for row in found] == [z.tolist() for z in expected["z_mean"]]


def test_elements_may_be_any_iterable(place, frame):
    function = udf.encode(place / "b")
    cells = frame["item"].tolist()[:7]
    expected = [row["z_mean"].tolist() for row in function.elements(cells)]
    for given in ((cell for cell in cells), tuple(cells), frame["item"][:7], ({"item": cell} for cell in cells)):
        assert [row["z_mean"].tolist() for row in function.elements(given)] == expected
    for given in (3, None, np.array(3), b"0" * 36, {"item": cells[0]}, frame, pyarrow.table({"key": [1]})):
        name = type(given).__name__
        with pytest.raises(DataError, match=f"elements takes an iterable of items or of dicts, got {name}$"):
            function.elements(given)


def test_batches_are_several(place, frame):
    function = udf.encode(place / "b")
    for call, given, message in (
        (function.pandas_batches, frame, "_batches takes .* of DataFrames, got DataFrame; pandas takes a single one"),
        (function.pandas_batches, None, "pandas_batches takes an iterable of DataFrames, got NoneType$"),
        (function.arrow_batches, pyarrow.table({"item": [1]}), "got Table; arrow takes a single one"),
        (function.arrow_batches, pyarrow.record_batch({"item": [1]}), "got RecordBatch; arrow takes a single one"),
    ):
        with pytest.raises(DataError, match=message):
            call(given)
    with pytest.raises(DataError, match="pandas takes a DataFrame, got Series"):
        list(function.pandas_batches([frame["item"]]))


def test_batches_may_be_cut_anywhere_and_may_be_empty(place, frame):
    function = udf.encode(place / "b")
    whole = function.pandas(frame)
    parts = list(function.pandas_batches([frame[:1], frame[1:70], frame[70:70], frame[70:]]))
    assert [len(part) for part in parts] == [1, 69, 0, 80]
    assert list(parts[2].columns) == list(whole.columns)
    np.testing.assert_array_equal(np.stack(pandas.concat(parts)["z_mean"]), np.stack(whole["z_mean"]))


def test_spark_is_told_the_types(place):
    assert udf.encode(place / "b").schema == "z_mean array<float>, z_log_var array<float>"
    assert udf.decode(place / "b").schema == "item binary"
    assert udf.reconstruct(place / "s").schema == "reconstruction array<float>"
    assert udf.score(place / "b", place / "n.json").schema.endswith("density double, anomalous boolean")


def test_a_function_is_small_when_it_is_sent_and_opens_its_bundle_where_it_runs(place, frame):
    function = udf.encode(place / "b")
    sent = pickle.dumps(function.pandas_batches)
    assert len(sent) < 1000
    program = (
        "import pickle, sys; from pocketvae.udf import opened as o;"
        "made = pickle.loads(sys.stdin.buffer.read());"
        "assert not o._bundles; print(made.__self__.schema); made.__self__.schema; assert len(o._bundles) == 1;"
        "assert 'pyarrow' not in sys.modules and 'pandas' not in sys.modules"
    )
    ran = subprocess.run([sys.executable, "-P", "-c", program], input=sent, capture_output=True, check=False)
    assert ran.stdout.decode().strip() == "z_mean array<float>, z_log_var array<float>", ran.stderr.decode()


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ([[1, 2, 3]], r"row 0 of 'item' must hold 36 numbers \(6x6x1\), got 3"),
        (
            [[0] * 36, [256] * 36],
            "row 1 of 'item' must hold pixels of 0 to 255, got int64 from 256 to 256",
        ),
        ([b"0" * 36, [0.5] * 36], "row 1 of 'item' must hold pixels of an integer type or as bytes .*, got float64$"),
        ([[255.0] * 36], r"or as bytes \(no floats, not even whole ones\), got float64$"),
        ([[1.0] * 35 + [np.nan]], "row 0 of 'item' must hold pixels .*, got float64 with NaN, as of a missing value$"),
        ([[True] * 36], "row 0 of 'item' must hold pixels of an integer type .*, got bool$"),
        ([["a"] * 36], "row 0 of 'item' must hold numbers, got "),
        ([[0] * 36, None], "row 1 of 'item' must hold numbers, got NoneType"),
        ([[0] * 35 + [None]], "row 0 of 'item' must hold numbers, got NoneType"),
        ([{"x": 1}], "row 0 of 'item' must hold numbers, got dict"),
        ([[[1, 2], [3]]], "row 0 of 'item' must hold lists of one length"),
    ],
)
def test_an_item_that_does_not_fit_is_named(place, cells, message):
    with pytest.raises(DataError, match=message):
        udf.encode(place / "b").pandas(pandas.DataFrame({"item": cells}))


@pytest.mark.parametrize("shape", [(4, 9), (1, 6, 6), (6, 6, 1, 1), (36, 1), (9, 4, 1)])
def test_an_item_nested_in_another_shape_is_no_item_of_the_model(place, shape):
    """However it comes: the number of values alone would fit."""
    right, wrong = np.ones((6, 6), np.uint8), np.ones(shape, np.uint8)
    function = udf.encode(place / "b")
    lists = [right.tolist(), wrong.tolist()]
    tensors = pyarrow.FixedShapeTensorArray.from_numpy_ndarray(np.stack([wrong, wrong]))
    got = "x".join(map(str, shape))
    found = f"row {{}} of 'item' must be of shape 6x6x1, or flat with 36 numbers, got the shape {got}$"
    for call, given, row in (
        (function.pandas, pandas.DataFrame({"item": lists}), 1),
        (function.pandas, pandas.DataFrame({"item": [right, wrong]}), 1),
        (function.pandas, pandas.DataFrame({"item": pandas.arrays.ArrowExtensionArray(pyarrow.array(lists[1:]))}), 0),
        (function.arrow, pyarrow.table({"item": lists[1:]}), 0),
        (function.arrow, pyarrow.table({"item": tensors}), 0),
        (function.arrow, pyarrow.record_batch({"item": tensors}), 0),
        (function.elements, [right, wrong], 1),
        (function.elements, np.stack([wrong, wrong]), 0),
    ):
        with pytest.raises(DataError, match=found.format(row)):
            call(given)


def test_lists_of_several_lengths_or_with_gaps_are_no_items_in_arrow_either(place):
    with pytest.raises(DataError, match="row 0 of 'item' must hold pixels .*, got float64 with NaN"):
        udf.encode(place / "b").arrow(pyarrow.table({"item": [[0] * 35 + [None]]}))
    with pytest.raises(DataError, match="row 0 of 'item' must hold lists of one length"):
        udf.encode(place / "b").arrow(pyarrow.table({"item": [[[0] * 12, [0] * 24]]}))


@pytest.mark.parametrize("pick", [lambda x: x.reshape(-1), lambda x: x[..., 0], lambda x: x])
def test_an_item_is_flat_or_nested_in_the_models_shape(place, items, pick):
    function = udf.encode(place / "b")
    cells = [pick(item) for item in items[:3]]
    expected = function.pandas(pandas.DataFrame({"item": [item.tobytes() for item in items[:3]]}))["z_mean"]
    nested = pyarrow.array([cell.tolist() for cell in cells])
    tensors = pyarrow.FixedShapeTensorArray.from_numpy_ndarray(np.stack(cells))
    for column in (nested, tensors, pyarrow.chunked_array([tensors[:1], tensors[1:]])):
        found = function.arrow(pyarrow.table({"item": column}))["z_mean"].to_pylist()
        np.testing.assert_array_equal(np.array(found, np.float32), np.stack(expected))


def test_tensors_of_arrow_are_read_in_their_own_order_and_may_be_missing(place, items):
    function = udf.encode(place / "b")
    turned = np.transpose(items[:3, :, :, 0], (0, 2, 1))
    tensors = pyarrow.FixedShapeTensorArray.from_numpy_ndarray(turned)
    assert tensors.type.permutation == [1, 0]
    found = function.arrow(pyarrow.table({"item": tensors}))["z_mean"].to_pylist()
    assert found == [row["z_mean"].tolist() for row in function.elements(turned)]
    stored = pyarrow.array([[0] * 36, None], tensors.type.storage_type)
    with pytest.raises(DataError, match="row 1 of 'item' must hold numbers, got NoneType"):
        function.arrow(pyarrow.table({"item": pyarrow.ExtensionArray.from_storage(tensors.type, stored)}))


def test_values_of_other_data_are_named_by_row(place):
    cells = [np.zeros((6, 6)).tolist(), np.full((6, 6), np.nan).tolist()]
    with pytest.raises(DataError, match=r"'item', row 1, place \[0, 0\] .* must be a finite number"):
        udf.encode(place / "s").pandas(pandas.DataFrame({"item": cells}))
    with pytest.raises(DataError, match=r"row 1 of 'z' must hold finite numbers, got \[nan"):
        udf.decode(place / "b").pandas(pandas.DataFrame({"z": [[0.0] * 3, [np.nan] * 3]}))
    with pytest.raises(DataError, match=r"row 0 of 'z' must hold 3 numbers \(3\), got 2"):
        udf.decode(place / "b").pandas(pandas.DataFrame({"z": [[0.0] * 2]}))
    with pytest.raises(DataError, match="row 0 of 'z' must be flat with 3 numbers, got the shape 1x3"):
        udf.decode(place / "b").pandas(pandas.DataFrame({"z": [[[0.0] * 3]]}))
    with pytest.raises(DataError, match="row 0 of 'item' must be of shape 6x6, or flat with 36 .* the shape 4x9"):
        udf.encode(place / "s").pandas(pandas.DataFrame({"item": [np.zeros((4, 9)).tolist()]}))


@pytest.mark.parametrize("name", ["item", "key", "kind"])
def test_a_column_that_is_not_there_is_named(conditional, name):
    table = {"item": [[0] * 36], "key": [1], "kind": [2]}
    del table[name]
    function = udf.encode(conditional, keep=["key"], label_column="kind")
    others = ", ".join(table)
    for call, given in (
        (function.pandas, pandas.DataFrame(table)),
        (function.arrow, pyarrow.table(table)),
        (function.elements, [{known: values[0] for known, values in table.items()}]),
    ):
        with pytest.raises(DataError, match=rf"there is no column '{name}': (did you mean .*\? )?known: {others}"):
            call(given)


@pytest.mark.parametrize("label", [None, 7, -1, 0.5, "a", [1]])
def test_a_label_that_is_none_is_named(conditional, label):
    table = pandas.DataFrame({"item": [[0] * 36] * 2, "kind": pandas.Series([1, label], dtype=object)})
    with pytest.raises(DataError, match="row 1 of 'kind' must be a class of 0 to 6, got "):
        udf.encode(conditional, label_column="kind").pandas(table)


def test_labels_are_asked_for_where_the_model_takes_them(place, conditional, frame):
    with pytest.raises(SpecError, match="needs a label of 0 to 6: this VAE is class-conditional"):
        udf.encode(conditional).pandas(frame)
    with pytest.raises(SpecError, match="not class-conditional: leave out label_column='key'"):
        udf.encode(place / "b", label_column="key").pandas(frame)


def test_columns_that_are_kept_are_a_list_and_called_unlike_results(place, frame):
    with pytest.raises(SpecError, match=r"keep must be a list of names of columns, got 'key': write keep=\['key'\]"):
        udf.encode(place / "b", keep="key")
    with pytest.raises(SpecError, match="keep must be a list of names of columns, got None$"):
        udf.encode(place / "b", keep=None)
    assert udf.encode(place / "b", keep=(name for name in ["key"])) == udf.encode(place / "b", keep=["key"])
    with pytest.raises(SpecError, match="keep has 'key' more than once"):
        udf.encode(place / "b", keep=["key", "item", "key"])
    for names in ({"column": ["item"]}, {"keep": [3]}, {"label_column": 3}):
        with pytest.raises(SpecError, match="the name of a column must be a text, got "):
            udf.encode(place / "b", **names)
    with pytest.raises(DataError, match="there is no column 'item': known: 3"):
        udf.encode(place / "b").pandas(pandas.DataFrame({3: [1]}))
    with pytest.raises(DataError, match="pandas takes a DataFrame, got Series"):
        udf.encode(place / "b").pandas(frame["item"])
    with pytest.raises(SpecError, match="keep has 'z_mean', but a result is called so"):
        udf.encode(place / "b", keep=["z_mean"]).pandas(frame.rename(columns={"key": "z_mean"}))


def test_a_column_that_is_there_twice_is_told(place, frame):
    function = udf.encode(place / "b")
    two = pyarrow.Table.from_arrays([pyarrow.array([[0] * 36])] * 2, names=["item", "item"])
    for call, given in ((function.pandas, pandas.concat([frame, frame], axis=1)), (function.arrow, two)):
        with pytest.raises(DataError, match="there are 2 columns 'item', and which is meant is not told"):
            call(given)


def test_a_calibration_that_is_not_there_is_told(place):
    with pytest.raises(DataError, match=r"gone\.json does not exist: make it with pocketvae score --calibrate"):
        udf.score(place / "b", place / "gone.json")


def test_wrong_names_are_refused_where_the_function_is_made(place):
    with pytest.raises(SpecError, match="unknown precision 'int9'"):
        udf.encode(place / "b", precision="int9")
    with pytest.raises(SpecError, match="unknown score"):
        udf.score(place / "b", place / "n.json", score="oddness")
    with pytest.raises(ManifestError, match="the calibration was fitted to"):
        udf.score("demo", place / "n.json")


def test_dask_maps_it_over_partitions(place, frame):
    """In the words of the documentation; a third of the items are bytes that are no text."""
    pytest.importorskip("dask.dataframe")
    import dask

    function = udf.encode(place / "b", keep=["key"])
    [told] = re.findall(r"(?m)^With Dask, .*\n\n((?:    .+\n)+)", PAGE.read_text("utf-8"))
    names = {"dask": dask, "frame": frame, "encode": function}
    with dask.config.set({"dataframe.convert-string": True, "scheduler": "threads"}):  # restored behind the page's own
        exec(dedent(told), names)
    found, expected = names["latents"], function.pandas(frame)
    assert found.index.equals(expected.index)
    np.testing.assert_array_equal(np.stack(found["z_mean"]), np.stack(expected["z_mean"]))


def test_beam_maps_it_over_batches(place, items):
    beam = pytest.importorskip("apache_beam", reason="Beam, 200 MB, is not installed: pip install apache-beam")
    from apache_beam.testing.util import assert_that

    function = udf.encode(place / "b")
    expected = sorted(row["z_mean"].tolist() for row in function.elements(items))

    def check(found):
        assert sorted(row["z_mean"].tolist() for row in found) == expected

    with beam.Pipeline("DirectRunner") as pipeline:
        batches = pipeline | beam.Create(list(items)) | beam.BatchElements(max_batch_size=64)
        assert_that(batches | beam.FlatMap(function.elements), check)


def test_ray_data_maps_it_over_batches(place, frame):
    pytest.importorskip("ray", reason="Ray is not installed")
    data = pytest.importorskip("ray.data")
    function = udf.encode(place / "b", keep=["key"])
    table = pyarrow.table({"key": frame["key"].to_numpy(), "item": flat(frame)})
    with connected(Cluster(address="local", workers=1)):
        parts = data.from_arrow(table).map_batches(function.pandas, batch_format="pandas", batch_size=64)
        found = parts.to_pandas().sort_values("key")
    expected = function.pandas(frame)
    np.testing.assert_array_equal(found["key"], expected["key"])
    np.testing.assert_array_equal(np.stack(found["z_mean"]), np.stack(expected["z_mean"]))


def test_tensors_of_ray_data_keep_their_shape(place, items):
    pytest.importorskip("ray.data", reason="Ray is not installed")
    from ray.data.extensions import ArrowTensorArray

    function = udf.encode(place / "b")
    table = pyarrow.table({"item": ArrowTensorArray.from_numpy(items[:3])})
    expected = [row["z_mean"].tolist() for row in function.elements(items[:3])]
    assert function.arrow(table)["z_mean"].to_pylist() == expected
    assert function.arrow(table.to_batches()[0])["z_mean"].to_pylist() == expected
    table = pyarrow.table({"item": ArrowTensorArray.from_numpy(items[:3].reshape(3, 4, 9))})
    with pytest.raises(DataError, match="row 0 of 'item' must be of shape 6x6x1, .* got the shape 4x9"):
        function.arrow(table)


def test_spark_maps_it_over_partitions(place, frame, tmp_path):
    pytest.importorskip("pyspark", reason="pyspark, 450 MB, is not installed: pip install pyspark tries this too")
    import os
    import shutil

    if shutil.which("java") is None:
        pytest.skip("Spark needs Java, which is not installed")
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = sys.executable
    spark = (
        SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.sql.shuffle.partitions", "2")
        .getOrCreate()
    )
    try:
        rows = list(zip(map(int, frame["key"]), flat(frame), strict=True))
        table = spark.createDataFrame(rows, "key long, item array<int>").repartition(4)
        function = udf.encode(place / "b", keep=["key"])
        expected = dict(zip(frame["key"], function.pandas(frame)["z_mean"], strict=True))
        for found in (
            table.mapInPandas(function.pandas_batches, f"key long, {function.schema}").collect(),
            table.mapInArrow(function.arrow_batches, f"key long, {function.schema}").collect(),
        ):
            assert len(found) == COUNT
            for row in found:
                np.testing.assert_array_equal(np.array(row["z_mean"], np.float32), expected[row["key"]])
    finally:
        spark.stop()


def test_a_bundle_that_was_exported_again_is_opened_again(tmp_path, bundles):
    path = str(bundles.make_bundle(tmp_path / "b"))
    first = opened(path)
    assert opened(path) is first
    shutil.rmtree(path)
    bundles.make_bundle(tmp_path / "b", vae=VaeSpec(data=DataKind.VECTOR, data_shape=(36,), latents=vector_latent(3)))
    second = opened(path)
    assert (first.vae.data, second.vae.data) == (DataKind.IMAGE, DataKind.VECTOR)
    assert opened(path) is second


def test_a_score_of_another_bundle_than_its_calibration_is_refused_where_it_runs(
    tmp_path, bundles, place, frame, monkeypatch
):
    path = bundles.make_bundle(tmp_path / "b")
    function = udf.score(path, place / "n.json")
    assert 0 < function.pandas(frame)["anomalous"].sum() < COUNT
    shutil.rmtree(path)
    weights = bundles._weights()
    with monkeypatch.context() as patch:
        patch.setattr(bundles, "_weights", lambda: {**weights, "decoder": 3 * weights["decoder"]})
        bundles.make_bundle(path)
    for made in (function, pickle.loads(pickle.dumps(function))):
        with pytest.raises(ManifestError, match="the calibration was fitted to 'tiny' .*: calibrate this bundle"):
            made.pandas(frame)


def test_another_precision_than_that_of_the_calibration_is_told(place, tmp_path):
    found = json.loads((place / "n.json").read_text())
    (tmp_path / "n.json").write_text(json.dumps(found | {"precision": "int8"}))
    with pytest.warns(DataWarning, match="fitted with int8: calibrate with the same --precision") as told:
        udf.score(place / "b", tmp_path / "n.json")
    assert told[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        udf.score(place / "b", place / "n.json")
