"""Folders say the class of recordings, or that they hold anomalies; what they do not say is named."""

import numpy as np
import pytest

from pocketvae.data.recording_folders import anomalous_files, classes_of, names_folders, numbers_of
from pocketvae.data.recordings import Wanted, read_recordings
from pocketvae.data.training_values import Reading, load_training_values
from pocketvae.data.values import load_value_splits, load_values
from pocketvae.data.windows import Windowing
from pocketvae.errors import DataError
from pocketvae.fields import Channel
from pocketvae.vae_spec import DataKind, VaeSpec, class_label, vector_latent

WINDOW = 8


def folder_of(path, **lengths):
    """A recording of counted steps for each `class__number=length`."""
    for index, (name, length) in enumerate(lengths.items()):
        file = path / f"{name.replace('__', '/')}.npy"
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(file, (1000 * index + np.arange(length))[:, None].astype(np.float32))
    return path


def reading(**changes):
    windowing = Windowing(stride=4, **changes)
    return Reading(data=DataKind.SEQUENCE, window=WINDOW, windowing=windowing, labelled=True)


def test_subfolders_are_classes_below_those_that_are_splits(tmp_path):
    names = ["run/a.csv", "rest/b.csv", "train/run/deep/c.csv", "test/rest/d.csv"]
    assert classes_of(tmp_path, names) == (("rest", "run"), (1, 0, 1, 0))
    assert numbers_of([*names, "broken/a.csv", "a.csv"], ("rest", "run")) == (1, 0, 1, 0, -1, -1)
    with pytest.raises(DataError, match="each of several classes, got none$"):
        classes_of(tmp_path, [])
    with pytest.raises(DataError, match="one folder of recordings for each class, but a.csv lies in none"):
        classes_of(tmp_path, ["a.csv", "run/b.csv"])
    with pytest.raises(DataError, match="each of several classes, got run alone"):
        classes_of(tmp_path, ["run/a.csv", "test/run/b.csv"])
    with pytest.raises(DataError, match="x.csv is no folder"):
        classes_of(tmp_path / "x.csv", ["x.csv"])


def test_a_class_may_have_the_name_of_a_split(tmp_path):
    names = ["bus/a.wav", "car/a.wav", "train/a.wav", "train/day/b.wav"]
    assert classes_of(tmp_path, names) == (("bus", "car", "train"), (0, 1, 2, 2))
    assert numbers_of(names, ("bus", "car", "train")) == (0, 1, 2, 2)
    with pytest.raises(DataError, match="train/a.wav lies in none"):
        classes_of(tmp_path, ["train/a.wav", "train/run/b.wav", "test/rest/a.wav"])


def test_a_model_of_classes_is_trained_on_all_of_them(tmp_path):
    source = folder_of(tmp_path, rest__a=200, rest__b=60, run__a=90, walk__a=300)
    found = load_training_values(str(source), reading())
    for part in (found.train, found.validation, found.test):
        assert set(part.labels.tolist()) == {0, 1, 2}
        starts = [name.split("/")[0] for name in part.names]
        assert [("rest", "run", "walk")[label] for label in part.labels] == starts
    assert found.label_count() == 3


def spec(count):
    return VaeSpec(
        data=DataKind.SEQUENCE,
        data_shape=(WINDOW, 1),
        latents=vector_latent(2),
        conditions=class_label(count),
        channels=(Channel(mean=1.0, scale=2.0),),
        range_is_strict=False,
    )


def test_commands_find_the_same_labels_and_hold_out_the_same_windows(tmp_path):
    source = folder_of(tmp_path, rest__a=200, rest__b=60, run__a=90, walk__a=300)
    windowing = Windowing(stride=4)
    trained = load_training_values(str(source), reading())
    splits = load_value_splits(str(source), spec(3), windowing)
    assert splits.test.names == trained.test.names
    np.testing.assert_array_equal(splits.test.labels, trained.test.labels)
    items = load_values(str(source), spec(3), windowing)
    assert items.classes == ("rest", "run", "walk")
    assert load_values(str(source), spec(0), windowing).labels is None
    assert load_values(str(source / "rest"), spec(3), windowing).labels is None


def test_folders_of_anomalies_are_a_truth(tmp_path):
    source = folder_of(tmp_path, good__a=80, good__b=200, broken__a=40, deep__worn__c=40)
    assert (names_folders("broken/"), names_folders("fault")) == (True, False)
    found = read_recordings(source, Wanted(truth="broken/,worn/"))
    assert {part.name: part.truth.all() for part in found} == {
        "broken/a.npy": True,
        "deep/worn/c.npy": True,
        "good/a.npy": False,
        "good/b.npy": False,
    }
    items = load_values(str(source), spec(0), Windowing(truth="broken/"))
    anomalous = items.timeline.anomalous()
    assert [name for name, flag in zip(items.names, anomalous, strict=True) if flag] == [
        f"broken/a.npy:{first}" for first in range(0, 40, WINDOW)
    ]


def test_recordings_of_anomalies_are_not_trained_on_and_are_no_class(tmp_path):
    source = folder_of(tmp_path, rest__a=200, run__a=200, broken__a=100)
    found = load_training_values(str(source), reading(truth="broken/"))
    assert not any("broken" in name for part in (found.train, found.validation, found.test) for name in part.names)
    assert found.label_count() == 2
    windowing = Windowing(stride=4, truth="broken/")
    splits = load_value_splits(str(source), spec(2), windowing)
    assert splits.test.names == found.test.names
    np.testing.assert_array_equal(splits.test.labels, found.test.labels)
    assert set(splits.train.names) >= {*found.train.names, *found.validation.names}
    assert not any("broken" in name for name in splits.train.names)
    items = load_values(str(source), spec(2), windowing)
    numbers = {name.split("/")[0]: label for name, label in zip(items.names, items.labels.tolist(), strict=True)}
    assert (items.classes, numbers) == (("rest", "run"), {"rest": 0, "run": 1, "broken": -1})
    folder_of(tmp_path / "new", broken__a=100)
    assert load_values(str(tmp_path / "new"), spec(2), windowing).labels is None


def test_an_anomaly_in_a_folder_of_normal_recordings_has_their_class(tmp_path):
    source = folder_of(tmp_path, rest__a=80, run__a=80, run__broken__b=80)
    items = load_values(str(source), spec(2), Windowing(truth="broken/"))
    assert (items.classes, items.labels.tolist()) == (("rest", "run"), [0] * 10 + [1] * 20)


def test_folders_that_are_not_there_are_named(tmp_path):
    folder_of(tmp_path, good__a=80)
    with pytest.raises(DataError, match="must have recordings in a folder 'bad', which --truth names, got good"):
        anomalous_files(tmp_path, ["good/a.npy"], "bad/")
    with pytest.raises(DataError, match="--truth bad/ names folders of recordings, but .*a.npy is no folder"):
        read_recordings(tmp_path / "good" / "a.npy", Wanted(truth="bad/"))
    with pytest.raises(DataError, match="leave it out, or name a folder of anomalies, such as bad/"):
        read_recordings(tmp_path, Wanted(truth="bad"))
