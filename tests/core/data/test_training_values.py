"""Signals and tables are split without a shared time step and normalized by their training part alone."""

import numpy as np
import pytest

from pocketvae.data import training_values
from pocketvae.data.training_values import Reading, load_training_values
from pocketvae.data.windows import Windowing
from pocketvae.errors import DataError
from pocketvae.fields import ChannelKind
from pocketvae.numerics.normalization import in_own_unit
from pocketvae.numerics.spectrogram import spectrogram
from pocketvae.vae_spec import DataKind
from tests.signals import write_parts_table, write_recording
from tests.sounds import front_end, hum, write_sound

WINDOW = 8


def sequences(**changes):
    return Reading(**{"data": DataKind.SEQUENCE, "window": WINDOW, "windowing": Windowing(stride=2), **changes})


def vectors(**changes):
    return Reading(**{"data": DataKind.VECTOR, "windowing": Windowing(), "real_alone": False, **changes})


def counting(length, start):
    """Values that tell which time step they are of."""
    steps = np.arange(start, start + length, dtype=np.float32)
    return np.stack([steps, -steps, np.sin(steps)], axis=1)


def folder_of(path, *lengths):
    for index, length in enumerate(lengths):
        write_recording(path / f"r{index}.csv", counting(length, 1000 * index))
    return path


def steps_of(part, channels):
    return set(np.rint(in_own_unit(part.values, channels)[..., 0]).astype(int).ravel().tolist())


@pytest.mark.parametrize("lengths", [(400,), (200, 200), (60, 400, 80), (100,) * 12])
def test_no_two_splits_share_a_time_step(tmp_path, lengths):
    data = load_training_values(str(folder_of(tmp_path / "r", *lengths)), sequences())
    parts = [steps_of(part, data.channels) for part in (data.train, data.validation, data.test)]
    assert all(parts)
    assert not parts[0] & parts[1]
    assert not parts[0] & parts[2]
    assert not parts[1] & parts[2]
    assert len(data.train) > 0.4 * sum((length - WINDOW) // 2 for length in lengths)
    assert data.rate_hz == pytest.approx(100)


def test_folders_of_splits_are_kept(tmp_path):
    for index, name in enumerate(("train", "validation", "test")):
        write_recording(tmp_path / name / "a.csv", counting(200, 1000 * index))
    data = load_training_values(str(tmp_path), sequences())
    parts = [steps_of(part, data.channels) for part in (data.train, data.validation, data.test)]
    assert [min(part) // 1000 for part in parts] == [max(part) // 1000 for part in parts] == [0, 1, 2]


def test_mean_and_scale_are_those_of_the_training_windows_alone(tmp_path):
    data = load_training_values(str(folder_of(tmp_path / "r", 400)), sequences())
    assert [channel.name for channel in data.channels] == ["acceleration", "current", "temperature"]
    np.testing.assert_allclose(data.train.values.mean(axis=(0, 1)), 0, atol=1e-5)
    np.testing.assert_allclose(data.train.values.std(axis=(0, 1)), 1, atol=1e-5)
    own = in_own_unit(data.train.values, data.channels)[..., 0]
    assert data.channels[0].mean == pytest.approx(own.mean(), rel=1e-5)
    # The last steps are for testing, and larger than all others.
    assert data.test.values[..., 0].min() > data.train.values[..., 0].max()


def test_columns_can_be_named(tmp_path):
    source = str(folder_of(tmp_path / "r", 400))
    windowing = Windowing(stride=2, channels=("temperature", "current"))
    data = load_training_values(source, sequences(windowing=windowing))
    assert [channel.name for channel in data.channels] == ["temperature", "current"]
    assert data.train.values.shape[1:] == (WINDOW, 2)


def test_arrays_are_windows_already(tmp_path):
    values = np.random.default_rng(0).normal(5, 3, (60, WINDOW, 2)).astype(np.float32)
    np.savez(tmp_path / "s.npz", x=values, labels=np.arange(60) % 3)
    data = load_training_values(str(tmp_path / "s.npz"), sequences(windowing=Windowing()))
    assert (len(data.train), len(data.validation), len(data.test)) == (48, 6, 6)
    assert data.label_count() == 3
    everything = np.concatenate([in_own_unit(part.values, data.channels) for part in (data.train, data.test)])
    assert np.abs(values[:, None] - everything[None]).max(axis=(2, 3)).min(axis=0).max() < 1e-5
    with pytest.raises(DataError, match="holds sequences of 8 time steps, but the window is 16: pass --window 8"):
        load_training_values(str(tmp_path / "s.npz"), sequences(windowing=Windowing(), window=16))


def test_an_array_has_no_columns_that_could_be_categories(tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(60, 3)))
    with pytest.raises(DataError, match=r"categories names columns of tables, but .*x.npy is an array: set categories"):
        load_training_values(str(tmp_path / "x.npy"), vectors(categories=("a",)))


def test_a_table_has_a_channel_for_each_column(tmp_path):
    data = load_training_values(str(write_parts_table(tmp_path / "t.csv", 100)), vectors())
    kinds = [channel.kind for channel in data.channels]
    assert kinds == [ChannelKind.REAL, ChannelKind.REAL, ChannelKind.CATEGORY, ChannelKind.BINARY]
    assert data.train.values.shape == (80, 6)
    np.testing.assert_allclose(data.train.values[:, :2].std(axis=0), 1, atol=1e-5)
    np.testing.assert_array_equal(data.train.values[:, 2:5].sum(axis=1), 1)
    with pytest.raises(DataError, match=r"column 'material' is no real number \(category\): pass --set likelihood=mix"):
        load_training_values(str(tmp_path / "t.csv"), vectors(real_alone=True))


def test_another_model_s_units_are_taken(tmp_path):
    source = str(folder_of(tmp_path / "r", 400))
    data = load_training_values(source, sequences())
    longer = load_training_values(str(folder_of(tmp_path / "s", 600)), sequences())
    moved = longer.in_units_of(data.channels)
    np.testing.assert_allclose(
        in_own_unit(moved.test.values, data.channels), in_own_unit(longer.test.values, longer.channels), rtol=1e-4
    )
    other = load_training_values(source, sequences(windowing=Windowing(stride=2, channels=("current",))))
    with pytest.raises(DataError, match="must have the channels that the model was trained on, 'acceleration'"):
        other.in_units_of(data.channels[:1])


def test_what_cannot_be_learned_from_is_named(tmp_path):
    constant = counting(400, 0)
    constant[:, 1] = 3
    write_recording(tmp_path / "c.csv", constant)
    with pytest.raises(
        DataError, match=r"'current' has the same value in all training items \(3.0\).* --channels acce"
    ):
        load_training_values(str(tmp_path / "c.csv"), sequences())
    with pytest.raises(DataError, match="at least the window of 8 time steps, but the longest, short.csv, has 5"):
        load_training_values(str(write_recording(tmp_path / "short.csv", counting(5, 0))), sequences())
    with pytest.raises(DataError, match="at least 32 windows of 8 time steps are needed, got 7: give more recordings"):
        load_training_values(str(write_recording(tmp_path / "few.csv", counting(20, 0))), sequences())
    with pytest.raises(DataError, match="do not exist"):
        load_training_values(str(tmp_path / "none.csv"), sequences())
    with pytest.raises(DataError, match="vectors must be a .csv or .parquet table with one row an example"):
        load_training_values(str(tmp_path), vectors())


def test_recordings_that_are_short_are_counted(tmp_path):
    data = load_training_values(str(folder_of(tmp_path / "r", 5, 400, 6)), sequences())
    assert data.warnings == (
        "2 of 3 recordings are shorter than a window of 8 time steps, so not used: r0.csv (5), r2.csv (6)",
    )


def test_sounds_that_are_silent_or_clipped_are_named(tmp_path):
    soundfile = pytest.importorskip("soundfile")
    time = np.arange(4000) / 8000
    tone = 0.9 * np.sin(2 * np.pi * 440.3 * time)
    for name, samples in {"a": tone, "clipped": np.clip(2 * tone, -0.9, 0.9), "silent": 0 * tone}.items():
        soundfile.write(tmp_path / f"{name}.wav", samples, 8000, subtype="PCM_16")
    data = load_training_values(str(tmp_path), sequences(window=64, windowing=Windowing()))
    assert data.rate_hz == 8000
    assert [warning.split(" is ")[1][:12] for warning in data.warnings] == ["silent: sile", "clipped (of "]
    assert "clipped.wav (67 %)" in data.warnings[1]


def sounds(**changes):
    usual = {"data": DataKind.SEQUENCE, "window": 256, "windowing": Windowing(stride=64)}
    return Reading(**{**usual, "front_end": lambda rate_hz: front_end(rate_hz=rate_hz), **changes})


def test_sounds_become_spectrograms_normalized_by_band_and_keep_their_samples(tmp_path):
    for index in range(4):
        write_sound(tmp_path / f"{index}.wav", hum(12, seed=index))
    data = load_training_values(str(tmp_path), sounds())
    assert data.log_mel == front_end()
    assert data.rate_hz == pytest.approx(1000 / 32)
    assert [channel.name for channel in data.channels] == list(front_end().names)
    for part in (data.train, data.validation, data.test):
        assert part.samples.shape == (len(part), 256, 1)
        assert part.given is part.samples
        own = in_own_unit(part.values, data.channels)
        np.testing.assert_allclose(own, spectrogram(part.samples, front_end()), atol=1e-3)
    np.testing.assert_allclose(data.train.values.mean(axis=(0, 1)), 0, atol=1e-4)
    np.testing.assert_allclose(data.train.values.std(axis=(0, 1)), 1, atol=1e-4)
    chosen = data.train.take(np.array([3, 1]))
    np.testing.assert_array_equal(chosen.samples, data.train.samples[[3, 1]])


def test_sounds_that_no_spectrogram_can_be_made_of_are_named(tmp_path):
    write_sound(tmp_path / "stereo" / "a.wav", np.stack([hum(30), hum(30)], axis=1))
    with pytest.raises(DataError, match=r"a\.wav has 2 channels, but a spectrogram is made of 1"):
        load_training_values(str(tmp_path / "stereo"), sounds())
    np.save(tmp_path / "a.npy", hum(30))
    with pytest.raises(DataError, match="need the samples in a second, which .*a.npy does not say"):
        load_training_values(str(tmp_path / "a.npy"), sounds())
    np.save(tmp_path / "b.npy", np.zeros((64, 256, 1), np.float32))
    with pytest.raises(DataError, match="spectrograms are made of recordings"):
        load_training_values(str(tmp_path / "b.npy"), sounds())
    write_sound(tmp_path / "silent.wav", np.zeros(30_000))
    with pytest.raises(DataError, match=r"all training windows are silent, the first in silent\.wav"):
        load_training_values(str(tmp_path / "silent.wav"), sounds())


def test_a_band_without_sound_is_named(tmp_path, monkeypatch):
    def without_one(values, front):
        found = spectrogram(values, front)
        found[..., 3] = -100
        return found

    write_sound(tmp_path / "a.wav", hum(30))
    monkeypatch.setattr(training_values, "spectrogram", without_one)
    with pytest.raises(DataError, match=r"there is no sound at \d+ Hz in any training window"):
        load_training_values(str(tmp_path / "a.wav"), sounds())
