"""The line from a table of time steps to alarms, as a newcomer types it."""

import csv
import json

import numpy as np
import pytest

from pocketvae.cli.main import main
from tests.signals import machine, write_parts_table, write_recording

pytestmark = pytest.mark.slow
SMALL = {"epochs": 20, "kl_warmup_epochs": 5, "warmup_steps": 20, "channels": "[4,8]", "hidden_units": 16}
CALIBRATED = ["--formats", "tflite", "--precisions", "float32,int8_io,int16x8", "--components", "encoder,decoder"]


def run(*words):
    assert main([str(word) for word in words] + ["--quiet"]) == 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run on a machine that runs well, its bundle and its calibration."""
    folder = tmp_path_factory.mktemp("pump")
    write_recording(folder / "pump.csv", machine(80))
    assignments = [word for key, value in SMALL.items() for word in ("--set", f"{key}={value}")]
    signals = ["--preset", "sensor-tiny", "--window", 32, "--stride", 8, *assignments]
    run("train", "--data", folder / "pump.csv", *signals, "--out", folder / "run")
    run("export", folder / "run", "--out", folder / "bundle", *CALIBRATED)
    return folder


def test_every_artifact_is_verified_in_units_of_the_model(folder):
    run("verify", folder / "bundle", "--json", folder / "verify.json")
    document = json.loads((folder / "verify.json").read_text())
    metrics = {(check["artifact"], check["metric"]) for check in document["checks"]}
    assert ("decoder.int16x8.tflite", "elbo_change") in metrics
    assert ("encoder.int8_io.tflite", "kl_mean") in metrics
    manifest = json.loads((folder / "bundle" / "manifest.json").read_text())
    assert [channel["name"] for channel in manifest["vae"]["channels"]] == ["acceleration", "current", "temperature"]
    golden = np.load(folder / "bundle" / "golden" / "decoder.observed.x.npy")
    assert (golden.dtype, golden.shape[1:]) == (np.float32, (32, 3))
    assert np.abs(golden).mean() < 3


def test_a_worn_bearing_is_an_anomaly(folder, capsys):
    options = ["--calibration", folder / "normal.json"]
    run("score", folder / "bundle", folder / "pump.csv", "--stride", 8, "--calibrate", *options)
    worn = write_recording(folder / "worn.csv", machine(20, seed=1, worn=4.0))
    fine = write_recording(folder / "fine.csv", machine(20, seed=2))
    words = ["score", folder / "bundle", worn, *options, "--normal", fine, "--score", "reconstruction"]
    run(*words, "--json", folder / "score.json")
    assert json.loads((folder / "score.json").read_text())["auroc"]["reconstruction"] > 0.7


def test_calibration_holds_out_what_training_held_out(folder):
    """With other windows the split is another: those of training would be among those that thresholds are fitted to."""
    for name, words in (("usual", ()), ("same", ("--stride", 8)), ("other", ("--stride", 16))):
        source = (folder / "bundle", folder / "pump.csv", "--calibrate", *words)
        run("score", *source, "--calibration", folder / f"{name}.json")
    usual, same, other = (json.loads((folder / f"{name}.json").read_text()) for name in ("usual", "same", "other"))
    assert usual == same != other


def test_recordings_make_the_threshold_of_a_scorer_of_a_run(folder):
    words = ("--components", "scorer", "--formats", "tflite", "--precisions", "float32", "--rewrites", "none")
    normal = ("--calibrate-scores", folder / "pump.csv", "--stride", 4)
    run("export", folder / "run", "--out", folder / "scorer", *words, *normal)
    (artifact,) = json.loads((folder / "scorer" / "manifest.json").read_text())["artifacts"]
    rows = len((folder / "pump.csv").read_text().splitlines()) - 1
    assert artifact["scoring"]["fitted_items"] == (rows - 32) // 4 + 1


def test_reconstructions_are_written_in_the_unit_of_the_sensor(folder):
    run("reconstruct", folder / "bundle", folder / "pump.csv", "--out", folder / "r.csv", "--count", 20)
    rows = list(csv.DictReader((folder / "r.csv").open()))
    assert len(rows) == 20
    temperatures = np.array([float(row["step_3_temperature"]) for row in rows])
    assert (temperatures > 35).all()
    assert (temperatures < 75).all()


def test_columns_of_a_table_are_exported_as_probabilities(tmp_path):
    table = write_parts_table(tmp_path / "parts.csv", 300)
    run("train", "--data", table, "--preset", "table", "--set", "epochs=15", "--out", tmp_path / "run")
    run("export", tmp_path / "run", "--out", tmp_path / "bundle", *CALIBRATED)
    run("verify", tmp_path / "bundle")
    run("reconstruct", tmp_path / "bundle", table, "--out", tmp_path / "r.csv")
    with (tmp_path / "r.csv").open() as file:
        rows = list(csv.DictReader(file))
    materials = [[float(row[f"material={name}"]) for name in ("aluminium", "brass", "steel")] for row in rows]
    np.testing.assert_allclose(np.sum(materials, axis=1), 1, atol=1e-4)
    lengths = np.array([float(row["length_mm"]) for row in rows])
    assert 40 < lengths.mean() < 60
