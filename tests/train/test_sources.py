"""A source of another kind than the preset is refused in one line that names a fitting preset."""

import numpy as np
import pytest
from PIL import Image

from pocketvae.errors import DataError
from pocketvae.train import preset, with_overrides
from pocketvae.train.sources import load_data
from tests.signals import machine, write_parts_table, write_recording


@pytest.fixture
def sources(tmp_path):
    write_recording(tmp_path / "recordings" / "a.csv", machine(30))
    write_parts_table(tmp_path / "parts.csv")
    (tmp_path / "images").mkdir()
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "images" / "a.png")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "source", "message"),
    [
        (
            "mnist-tiny",
            "recordings",
            r"is a folder of recordings, but .* mnist-tiny is for images: .* sensor-tiny \(seq",
        ),
        ("mnist-tiny", "parts.csv", r"is a table, .* choose --preset sensor-tiny \(sequences\) or table \(vectors\)"),
        ("sensor-tiny", "images", r"is a folder of images, but the preset sensor-tiny is for sequences: .* mnist-tiny"),
        ("sensor-tiny", "mnist", "mnist is a set of images, but the preset sensor-tiny is for sequences"),
        ("table", "recordings", "is a folder of recordings, but the preset table is for vectors"),
    ],
)
def test_another_kind_of_data_is_named_with_its_preset(sources, name, source, message):
    path = source if source == "mnist" else str(sources / source)
    with pytest.raises(DataError, match=message):
        load_data(path, preset(name), name)


def test_every_kind_is_read_as_its_preset_asks(sources):
    signals = load_data(str(sources / "recordings"), preset("sensor-tiny"), "sensor-tiny")
    assert signals.train.items.shape[1:] == (64, 3)
    table = load_data(str(sources / "parts.csv"), preset("table"), "table")
    assert table.train.items.shape == (320, 6)
    with pytest.raises(DataError, match="--skip-corrupt is for folders of images or recordings, but table is for"):
        load_data(str(sources / "parts.csv"), preset("table"), "table", skip_corrupt=True)


def test_validation_keeps_as_many_images_as_the_configuration_says():
    config = with_overrides(preset("mnist"), {"validation_images": 1000})
    splits = load_data("mnist", config, "mnist")
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (59_000, 1_000, 10_000)


def test_recordings_that_cannot_be_read_are_left_out_if_asked_for(sources):
    torn = write_recording(sources / "recordings" / "b.csv", machine(2))
    torn.write_bytes(torn.read_bytes().rpartition(b",")[0])
    words = str(sources / "recordings"), preset("sensor-tiny"), "sensor-tiny"
    with pytest.raises(DataError, match=r"b\.csv, row \d+: every row must have 4 columns"):
        load_data(*words)
    found = load_data(*words, skip_corrupt=True)
    assert found.train.items.shape[1:] == (64, 3)
    assert [text.startswith(f"skipped: {torn}, row ") for text in found.warnings] == [True]
