"""Runs on signals and tables: what they hold, that they repeat and resume bit for bit, and what evaluation says."""

import json

import numpy as np
import pytest
from PIL import Image

from pocketvae.bundle.run import open_run
from pocketvae.cli.main import main
from pocketvae.data import recordings, rows, window_values
from pocketvae.errors import DataError, SpecError
from pocketvae.fields import ChannelKind
from pocketvae.train import evaluate, preset, train, with_overrides
from pocketvae.vae_spec import DataKind
from tests.signals import machine, write_parts_table, write_recording

pytestmark = pytest.mark.slow
SMALL = {"epochs": 2, "hidden_units": 8, "latent_dim": 2, "warmup_steps": 2, "batch_size": 32}
SEQUENCE = {**SMALL, "window": 16, "stride": 8, "channels": [4]}


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    return str(write_recording(tmp_path_factory.mktemp("signals") / "pump.csv", machine(30)))


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    return str(write_parts_table(tmp_path_factory.mktemp("tables") / "parts.csv", 300))


def trained(source, out, name, **changes):
    config = with_overrides(preset(name), changes)
    return train(source=source, out=out, config=config, preset=name)


@pytest.fixture(scope="module")
def run(tmp_path_factory, recording):
    out = tmp_path_factory.mktemp("signals") / "run"
    trained(recording, out, "sensor-tiny", **SEQUENCE)
    return out


def test_recordings_that_stay_on_disk_train_the_same_model(run, recording, tmp_path, monkeypatch, weights_of):
    streamed = tmp_path / "streamed"
    monkeypatch.setattr(recordings, "LARGE_BYTES", 0)
    monkeypatch.setattr(window_values, "HELD_BYTES", 100 * 16 * 3 * 4)
    reads, read = [], rows.FileRows.__getitem__
    monkeypatch.setattr(rows.FileRows, "__getitem__", lambda self, part: reads.append(part) or read(self, part))
    trained(recording, streamed, "sensor-tiny", **SEQUENCE)
    assert len(reads) > 100
    one, other = (open_run(path) for path in (run, streamed))
    assert other.record.vae == one.record.vae
    for name, value in one.record.metrics.items():
        assert name == "training_s" or other.record.metrics[name] == value
    for name, array in one.reference_images().arrays().items():
        np.testing.assert_array_equal(other.reference_images().arrays()[name], array)
    weights, others = weights_of(run), weights_of(streamed)
    assert weights.keys() == others.keys() == {"encoder", "decoder"}
    for name, arrays in weights.items():
        for a, b in zip(arrays, others[name], strict=True):
            np.testing.assert_array_equal(a, b, err_msg=name)


def test_a_run_on_signals_holds_what_the_data_are(run):
    opened = open_run(run)
    vae, metrics = opened.record.vae, opened.record.metrics
    assert (vae.data, vae.data_shape, vae.rate_hz) == (DataKind.SEQUENCE, (16, 3), pytest.approx(100))
    assert [channel.name for channel in vae.channels] == ["acceleration", "current", "temperature"]
    assert all(0 < channel.noise_scale < 1.5 for channel in vae.channels)
    assert metrics["test_sequences"] > 0
    assert -1 < metrics["test_explained_variance"] < 1
    assert "test_psnr_db" not in metrics
    reference = opened.reference_images()
    assert reference.calibration.dtype == np.float32
    assert reference.calibration.shape[1:] == (16, 3)
    assert np.abs(reference.calibration.mean(axis=(0, 1))).max() < 0.2
    for name in ("samples.png", "reconstructions.png", "curves.png"):
        with Image.open(run / name) as picture:
            assert np.asarray(picture).std() > 1


def test_the_same_seed_gives_the_same_run(tmp_path, run, recording, assert_same_run):
    trained(recording, tmp_path / "again", "sensor-tiny", **SEQUENCE)
    assert_same_run(run, tmp_path / "again")


@pytest.mark.parametrize("changes", [{}, {"likelihood": "student_t"}])
def test_an_interrupted_run_goes_on_bit_for_bit(tmp_path, recording, assert_same_run, changes):
    config = with_overrides(preset("sensor-tiny"), {**SEQUENCE, "epochs": 3, "checkpoint_steps": 3, **changes})

    def interrupt(told):
        if told.stage == "training" and told.done == 20:
            raise KeyboardInterrupt

    options = {"source": recording, "config": config, "preset": "x"}
    train(out=tmp_path / "whole", **options)
    with pytest.raises(KeyboardInterrupt):
        train(out=tmp_path / "run", progress=interrupt, **options)
    train(out=tmp_path / "run", resume=True, **options)
    assert_same_run(tmp_path / "whole", tmp_path / "run")


def test_evaluation_reads_the_same_test_windows(run, recording, tmp_path, capsys):
    found = evaluate(run, source=recording, importance_samples=20)
    record = open_run(run).record
    assert found.log_likelihood.images == record.metrics["test_sequences"]
    assert found.elbo.negative_elbo_nats == pytest.approx(record.metrics["test_negative_elbo_nats"], rel=1e-3)
    assert (found.elbo.psnr_db, found.bits_per_dim) == (None, None)
    assert main(["evaluate", str(run), "--data", recording, "--importance-samples", "5", "--images", "3"]) == 0
    out = capsys.readouterr().out
    assert "3 test sequences of pump.csv, gaussian" in out
    assert "variance that reconstructions explain" in out


def test_samples_of_signals_are_not_compared(run, recording):
    with pytest.raises(SpecError, match="--samples compares images, but the run is of sequences"):
        evaluate(run, source=recording, sample_count=100)


def test_evaluation_finds_columns_by_their_names(run, recording, tmp_path):
    path = write_recording(tmp_path / "pump.csv", machine(30)[:, [1, 0, 2]])
    path.write_text(path.read_text().replace("acceleration,current", "current,acceleration"), "utf-8")
    found = evaluate(run, source=str(path), importance_samples=5)
    assert found.elbo == evaluate(run, source=recording, importance_samples=5).elbo


def test_windows_without_names_are_refused_for_a_run_with_named_columns(run, tmp_path):
    for name, shape in (("windows", (40, 16, 3)), ("recording", (640, 3))):
        np.save(tmp_path / f"{name}.npy", np.zeros(shape, np.float32))
        with pytest.raises(
            DataError, match=rf"columns acceleration, current, temperature, and .*{name}.npy has no name"
        ):
            evaluate(run, source=str(tmp_path / f"{name}.npy"))
    with pytest.raises(DataError, match="no.npz do not exist"):
        evaluate(run, source=str(tmp_path / "no.npz"))


def test_windows_are_not_cut_again_whatever_stride_the_run_was_trained_with(tmp_path):
    values = machine(60)
    np.save(tmp_path / "recording.npy", values)
    record = trained(str(tmp_path / "recording.npy"), tmp_path / "run", "sensor-tiny", **SEQUENCE)
    windows = values[: len(values) // 16 * 16].reshape(-1, 16, values.shape[1]).astype(np.float32)
    np.save(tmp_path / "windows.npy", windows)
    found = evaluate(tmp_path / "run", source=str(tmp_path / "windows.npy"), importance_samples=5)
    assert found.log_likelihood.images == round(len(windows) / 10)
    assert found.elbo.negative_elbo_nats == pytest.approx(record.metrics["test_negative_elbo_nats"], rel=0.5)


def test_outliers_have_a_likelihood_of_their_own(tmp_path):
    rng = np.random.default_rng(0)
    waves = np.sin(np.arange(16) * 0.6 + rng.uniform(0, 2 * np.pi, (800, 1))) + rng.normal(0, 0.05, (800, 16))
    waves[rng.random(waves.shape) < 0.02] += 8
    np.savez(tmp_path / "waves.npz", x=waves[..., None])
    source, changes = str(tmp_path / "waves.npz"), {**SMALL, "epochs": 15, "hidden_units": 16, "latent_dim": 3}
    changes |= {"window": 16, "channels": [4, 8], "warmup_steps": 10}
    student = trained(source, tmp_path / "t", "sensor-tiny", **changes, likelihood="student_t")
    assert 1 <= student.vae.degrees_of_freedom < 10
    gaussian = trained(source, tmp_path / "g", "sensor-tiny", **changes)
    assert student.metrics["test_negative_elbo_nats"] < gaussian.metrics["test_negative_elbo_nats"]


def test_degrees_of_freedom_can_be_fixed(tmp_path, recording):
    changes = {**SEQUENCE, "epochs": 1, "likelihood": "student_t", "degrees_of_freedom": 5.0}
    assert trained(recording, tmp_path / "run", "sensor-tiny", **changes).vae.degrees_of_freedom == 5.0


def test_a_table_of_mixed_columns_is_trained(tmp_path, parts):
    record = trained(parts, tmp_path / "run", "table", epochs=60, batch_size=32, warmup_steps=20)
    vae = record.vae
    assert (vae.data, vae.data_shape) == (DataKind.VECTOR, (6,))
    assert [channel.kind for channel in vae.channels] == [
        ChannelKind.REAL,
        ChannelKind.REAL,
        ChannelKind.CATEGORY,
        ChannelKind.BINARY,
    ]
    assert record.metrics["test_explained_variance"] > 0.3
    found = evaluate(tmp_path / "run", source=parts, importance_samples=10)
    assert found.elbo.negative_elbo_nats == pytest.approx(record.metrics["test_negative_elbo_nats"], rel=1e-3)
    np.save(tmp_path / "parts.npy", np.zeros((40, 6), np.float32))
    with pytest.raises(DataError, match=r"trained on the columns [^(]*, and .*parts.npy has no names: pass .csv or"):
        evaluate(tmp_path / "run", source=str(tmp_path / "parts.npy"))


def test_labels_of_arrays_are_conditions(tmp_path):
    rng = np.random.default_rng(0)
    labels = np.arange(200) % 2
    values = rng.normal(size=(200, 5)) + 5 * labels[:, None]
    np.savez(tmp_path / "v.npz", x=values, labels=labels)
    changes = {**SMALL, "conditional": True, "likelihood": "gaussian"}
    record = trained(str(tmp_path / "v.npz"), tmp_path / "run", "table", **changes)
    assert record.vae.label_count == 2
    np.savez(tmp_path / "w.npz", x=values)
    with pytest.raises(
        DataError, match="conditional = true needs labels: sort recordings .*or give an .npz with labels"
    ):
        trained(str(tmp_path / "w.npz"), tmp_path / "other", "table", **changes)


def test_options_of_the_command_are_keys(tmp_path, recording, capsys):
    words = ["train", "--data", recording, "--out", str(tmp_path / "run"), "--preset", "sensor-tiny", "--quiet"]
    words += ["--window", "8", "--stride", "8", "--channels", "temperature,current"]
    small = {**SMALL, "epochs": 1, "channels": [4]}
    words += [word for key, value in small.items() for word in ("--set", f"{key}={value}")]
    assert main(words) == 0
    assert "test sequences" in capsys.readouterr().out
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (record["config"]["window"], record["config"]["columns"]) == (8, ["temperature", "current"])
    assert [channel["name"] for channel in record["vae"]["channels"]] == ["temperature", "current"]
    assert main(["train", "--data", recording, "--out", str(tmp_path / "x"), "--quiet"]) == 2
    assert "choose --preset sensor-tiny (sequences) or table (vectors)" in capsys.readouterr().err
