import warnings
from dataclasses import replace

import numpy as np
import pytest

from pocketvae.data.values import load_value_splits, load_values
from pocketvae.data.windows import Windowing
from pocketvae.errors import DataError, DataWarning
from pocketvae.fields import Channel, ChannelKind
from pocketvae.vae_spec import DataKind, Likelihood, VaeSpec, class_label, vector_latent


def vae(*shape, data=DataKind.VECTOR, strict=False):
    return VaeSpec(data=data, data_shape=shape, latents=vector_latent(2), range_is_strict=strict)


def saved(path, array, **more):
    np.savez(path, x=array, **more) if path.suffix == ".npz" else np.save(path, array)
    return str(path)


def test_items_are_read_with_labels_and_splits(tmp_path):
    values = np.arange(120.0).reshape(40, 3)
    source = saved(tmp_path / "v.npz", values, labels=np.arange(40))
    np.testing.assert_array_equal(load_values(source, vae(3)).values, values.astype(np.float32))
    splits = load_value_splits(source, vae(3))
    assert (len(splits.train), len(splits.test), splits.label_count()) == (36, 4, 40)
    np.testing.assert_array_equal(splits.test.values[:, 0], 3 * splits.test.labels)
    own = load_value_splits(saved(tmp_path / "t.npz", values, x_test=values[:5]), vae(3))
    assert (len(own.train), len(own.test)) == (40, 5)


def test_a_missing_channel_is_added_and_integers_are_taken(tmp_path):
    source = saved(tmp_path / "s.npy", np.ones((4, 7), np.int64))
    assert load_values(source, vae(7, 1, data=DataKind.SEQUENCE)).values.shape == (4, 7, 1)


def test_a_table_is_for_vectors(tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n1,2\n3,4\n", "utf-8")
    assert load_values(str(tmp_path / "t.csv"), vae(2)).values.tolist() == [[1, 2], [3, 4]]
    with pytest.raises(DataError, match=r"t\.csv must be \[N, 3\] as the model takes vectors, got \[2, 2\]"):
        load_values(str(tmp_path / "t.csv"), vae(3))
    with pytest.raises(DataError, match=r"holds rows, but the model takes volumes: write .*t\.csv as \.npy"):
        load_values(str(tmp_path / "t.csv"), vae(2, 1, 1, 1, data=DataKind.VOLUME))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.ones((4, 2)), r"must be \[N, 3\] as the model takes vectors, got \[4, 2\]"),
        (np.ones((0, 3)), r"holds no vectors, got \[0, 3\]"),
        (np.array([[0, 1, 2], [0, np.nan, 2]]), r"item 1, column 1 \(both from 0\): must be a finite number, got nan"),
        (np.full((2, 3), 1e300), r"item 0, column 0 .* got inf from 1e\+300, which is too large for float32"),
        (np.float64(3), r"must be \[N, 3\] as the model takes vectors, got \[\]"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, array, message):
    with pytest.raises(DataError, match=message):
        load_values(saved(tmp_path / "v.npy", array), vae(3))


def test_sources_that_are_none_are_refused(tmp_path):
    with pytest.raises(
        DataError, match=r"data of vectors \[3\] must be a \.csv, \.parquet, \.npz or \.npy file, got .*does not"
    ):
        load_values(str(tmp_path / "none.csv"), vae(3))
    with pytest.raises(DataError, match=r"data of volumes .* must be an \.npz or \.npy file, got mnist"):
        load_values("mnist", vae(2, 2, 2, 1, data=DataKind.VOLUME))
    with pytest.raises(DataError, match=r"at least 32 vectors are needed, got 31"):
        load_value_splits(saved(tmp_path / "v.npy", np.ones((31, 3))), vae(3))
    with pytest.raises(
        DataError, match=r"must be in \[0, 1\] as the decoder's output, got 2 to 2, first in item 0: scale them"
    ):
        load_values(saved(tmp_path / "w.npy", np.full((4, 3), 2.0)), vae(3, strict=True))


def test_a_set_of_images_and_a_folder_are_told_as_what_they_are(tmp_path):
    with pytest.raises(DataError, match="got mnist, which is a set of images"):
        load_values("mnist", vae(3))
    with pytest.raises(DataError, match="got .*, which is a folder: name the file"):
        load_values(str(tmp_path), vae(3))


def test_sequences_are_cut_from_recordings(tmp_path):
    rows = np.arange(600.0).reshape(300, 2)
    np.save(tmp_path / "r.npy", rows)
    sequences = vae(5, 2, data=DataKind.SEQUENCE)
    items = load_values(str(tmp_path / "r.npy"), sequences)
    assert (items.values.shape, items.names[:2]) == ((60, 5, 2), ("r.npy:0", "r.npy:5"))
    overlapping = load_values(str(tmp_path / "r.npy"), sequences, Windowing(stride=1))
    assert len(overlapping) == 296
    splits = load_value_splits(str(tmp_path / "r.npy"), sequences, Windowing(stride=1))
    assert (len(splits.train), len(splits.test)) == (262, 30)
    assert splits.train.values.max() < splits.test.values.min()
    assert splits.test.names[0] == "r.npy:266"


def test_a_folder_with_train_and_test_is_split_as_it_says(tmp_path):
    sequences = vae(5, 2, data=DataKind.SEQUENCE)
    for part, length in (("train", 170), ("test", 40), ("validation", 30)):
        (tmp_path / part).mkdir()
        np.save(tmp_path / part / "r.npy", np.ones((length, 2)))
    splits = load_value_splits(str(tmp_path), sequences)
    assert (len(splits.train), len(splits.test)) == (34, 8)
    assert splits.test.names[-1] == "test/r.npy:35"
    with pytest.raises(DataError, match=r"must be recordings of one split, got .*: name one of them, such as .*test$"):
        load_values(str(tmp_path), sequences)
    with pytest.raises(DataError, match="at least 32 windows .* are needed, got 17 in train: give more"):
        load_value_splits(str(tmp_path), vae(10, 2, data=DataKind.SEQUENCE))


def test_items_of_the_models_shape_are_not_recordings(tmp_path):
    source = saved(tmp_path / "s.npy", np.ones((40, 7)))
    assert load_values(source, vae(7, 1, data=DataKind.SEQUENCE)).values.shape == (40, 7, 1)
    with pytest.raises(DataError, match="--truth and --fill-gaps are for recordings of time steps, but .* is not one"):
        load_values(source, vae(7, 1, data=DataKind.SEQUENCE), Windowing(stride=2))


def test_recordings_that_are_too_short_or_out_of_range_are_refused(tmp_path):
    np.save(tmp_path / "r.npy", np.arange(60.0)[:, None])
    with pytest.raises(DataError, match="at least 32 windows of 5 time steps are needed, got 12: give more recordings"):
        load_value_splits(str(tmp_path / "r.npy"), vae(5, 1, data=DataKind.SEQUENCE))
    with pytest.raises(DataError, match="of 33 windows, only 3 share no time step with the 3 that are held out"):
        load_value_splits(str(tmp_path / "r.npy"), vae(28, 1, data=DataKind.SEQUENCE), Windowing(stride=1))
    strict = vae(5, 1, data=DataKind.SEQUENCE, strict=True)
    with pytest.raises(DataError, match=r"must be in \[0, 1\] .* got 0 to 59, first in r\.npy:0: scale them"):
        load_values(str(tmp_path / "r.npy"), strict)


CHANNELS = (Channel(name="volt", mean=5, scale=2), Channel(name="amp", mean=-1, scale=10))


def test_values_are_read_in_their_own_unit_and_returned_in_that_of_the_model(tmp_path):
    rows = np.arange(80.0).reshape(40, 2)
    (tmp_path / "r.csv").write_text("amp,volt\n" + "\n".join(f"{b},{a}" for a, b in rows), "utf-8")
    sequences = replace(vae(4, 2, data=DataKind.SEQUENCE), channels=CHANNELS)
    expected = (rows - [5, -1]) / [2, 10]
    found = load_values(str(tmp_path / "r.csv"), sequences)
    np.testing.assert_allclose(found.values.reshape(40, 2), expected, rtol=1e-6)
    vectors = replace(vae(2), channels=CHANNELS)
    np.testing.assert_allclose(load_values(str(tmp_path / "r.csv"), vectors).values, expected, rtol=1e-6)
    np.testing.assert_allclose(load_values(saved(tmp_path / "r.npy", rows), vectors).values, expected, rtol=1e-6)
    named = load_values(str(tmp_path / "r.csv"), vectors, Windowing(channels=("amp", "volt")))
    np.testing.assert_allclose(named.values, (rows[:, ::-1] - [5, -1]) / [2, 10], rtol=1e-6)


def test_recordings_of_another_rate_than_the_training_data_are_refused(tmp_path):
    steps = "\n".join(f"{index / 50},{index},{-index}" for index in range(40))
    (tmp_path / "r.csv").write_text(f"time,volt,amp\n{steps}", "utf-8")
    sequences = replace(vae(4, 2, data=DataKind.SEQUENCE), channels=CHANNELS, rate_hz=50)
    assert len(load_values(str(tmp_path / "r.csv"), sequences)) == 10
    with pytest.raises(DataError, match="rate of the training data, 100 Hz, but r.csv has 50 Hz: resample it"):
        load_values(str(tmp_path / "r.csv"), replace(sequences, rate_hz=100))


def test_categories_of_a_table_are_those_of_the_model(tmp_path):
    category = Channel(name="part", kind=ChannelKind.CATEGORY, categories=("a", "b"))
    table = replace(vae(3), channels=(CHANNELS[0], category), likelihood=Likelihood.MIXED)
    (tmp_path / "t.csv").write_text("part,volt\nb,7\na,5\n", "utf-8")
    assert load_values(str(tmp_path / "t.csv"), table).values.tolist() == [[1, 0, 1], [0, 1, 0]]
    (tmp_path / "t.csv").write_text("part,volt\nc,7\n", "utf-8")
    with pytest.raises(DataError, match="row 2, column 'part': must be one of a, b, got 'c'"):
        load_values(str(tmp_path / "t.csv"), table)


def test_tables_without_a_clock_are_named_where_a_rate_is_known(tmp_path, recwarn):
    (tmp_path / "r").mkdir()
    for name in ("a.csv", "b.csv"):
        rows = "".join(f"{step},1\n" for step in range(8))
        (tmp_path / "r" / name).write_text(f"ax,ay\n{rows}", "utf-8")
    (tmp_path / "r" / "c.csv").write_text("t,ax,ay\n0,1,2\n0.01,1,2\n0.02,1,2\n0.03,1,2\n", "utf-8")
    source = str(tmp_path / "r")
    sequences = vae(4, 2, data=DataKind.SEQUENCE)
    load_values(source, sequences)
    assert not recwarn.list
    for known, windowing, whose in (
        (replace(sequences, rate_hz=100), Windowing(), "of the training data"),
        (sequences, Windowing(usual_rate_hz=100.0), "of those that were calibrated with"),
    ):
        with pytest.warns(DataWarning) as told:
            load_values(source, known, windowing)
        assert [str(warning.message) for warning in told] == [
            f"2 of 3 recordings are without a column of times, so that neither gaps nor the rate {whose} were checked: "
            f"a.csv, b.csv"
        ]
    with warnings.catch_warnings(record=True) as told:
        # As the command line does. A cluster reads its source twice, from two places.
        warnings.simplefilter("default")
        load_values(source, replace(sequences, rate_hz=100))
        (lambda: load_values(source, replace(sequences, rate_hz=100)))()
    assert len(told) == 1
    np.save(tmp_path / "a.npy", np.ones((8, 2)))
    recwarn.clear()
    load_values(str(tmp_path / "a.npy"), replace(sequences, rate_hz=100))
    assert not recwarn.list


def test_labels_stay_those_of_the_files_that_can_be_read(tmp_path):
    for name in ("a/0.csv", "b/0.csv", "b/1.csv", "c/0.csv", "odd/0.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("t,ax,ay\n" + "".join(f"{step},{len(name)},2\n" for step in range(8)), "utf-8")
    sequences = replace(vae(4, 2, data=DataKind.SEQUENCE), conditions=class_label(3))
    for torn in ("b/0.csv", "b/1.csv", "odd/0.csv"):
        (tmp_path / torn).write_text("t,ax,ay\n0,1,2\n1,1", "utf-8")
    skipped = {}
    found = load_values(str(tmp_path), sequences, Windowing(usual_truth="odd/"), skipped)
    assert (found.classes, found.labels.tolist()) == (("a", "b", "c"), [0, 0, 2, 2])
    assert found.names == ("a/0.csv:0", "a/0.csv:4", "c/0.csv:0", "c/0.csv:4")
    assert sorted(path.relative_to(tmp_path).as_posix() for path in skipped) == ["b/0.csv", "b/1.csv", "odd/0.csv"]
