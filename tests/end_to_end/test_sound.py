"""The line from sound files to alarms: files take samples, and make the spectrogram themselves."""

import csv
import json

import numpy as np
import pytest
import soundfile

import pocketvae
from pocketvae.benchmarks.latency.measure.original import original_call
from pocketvae.benchmarks.latency.messages import OriginalCall
from pocketvae.bundle.run import open_run
from pocketvae.cli.main import main
from pocketvae.numerics.spectrogram import model_items
from pocketvae.spec import Component
from tests.sounds import RATE_HZ, hum, write_sound

pytestmark = pytest.mark.slow
SMALL = {
    "epochs": 8,
    "kl_warmup_epochs": 2,
    "warmup_steps": 10,
    "channels": "[4,8]",
    "hidden_units": 16,
    "latent_dim": 2,
    "mel_bands": 8,
    "frame": 64,
    "hop": 32,
    "ema_decay": 0,
}
WINDOW = ["--window", 256, "--stride", 64]
COMPONENTS = ["--components", "encoder,decoder,reconstructor,scorer", "--precisions", "float32,int8,int8_io"]


def run(*words, code=0):
    assert main([str(word) for word in words] + ["--quiet"]) == code


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run on sounds of a machine that runs well, and its bundle."""
    folder = tmp_path_factory.mktemp("sound")
    for index in range(4):
        write_sound(folder / "normal" / f"{index}.wav", hum(20, seed=index))
    assignments = [word for key, value in SMALL.items() for word in ("--set", f"{key}={value}")]
    run("train", "--data", folder / "normal", "--preset", "sound", *WINDOW, *assignments, "--out", folder / "run")
    calibrated = ["--calibrate-scores", folder / "normal", "--false-positive-rate", "0.05"]
    run("export", folder / "run", "--out", folder / "bundle", *COMPONENTS, *calibrated)
    return folder


@pytest.fixture(scope="module")
def bundle(folder):
    with pocketvae.open(folder / "bundle") as bundle:
        yield bundle


def windows(samples):
    return samples[: len(samples) // 256 * 256].reshape(-1, 256, 1)


def test_a_run_keeps_samples_and_says_how_spectrograms_are_made(folder):
    opened = open_run(folder / "run")
    vae = opened.record.vae
    assert (vae.data_shape, vae.input_shape, vae.rate_hz) == ((7, 8), (256, 1), RATE_HZ / 32)
    assert (vae.log_mel.rate_hz, vae.log_mel.low_hz, vae.log_mel.high_hz) == (RATE_HZ, 50, RATE_HZ / 2)
    assert [channel.name for channel in vae.channels] == list(vae.log_mel.names)
    reference = opened.reference_images()
    assert reference.calibration.shape[1:] == (256, 1)
    # Normalization was fitted to spectrograms of the training part.
    spectrograms = model_items(reference.calibration, vae)
    assert np.abs(spectrograms.mean(axis=(0, 1))).max() < 0.15
    assert np.abs(spectrograms.std(axis=(0, 1)) - 1).max() < 0.15


def test_every_file_does_what_the_original_does(folder):
    run("verify", folder / "bundle", "--json", folder / "verify.json")
    checks = json.loads((folder / "verify.json").read_text())["checks"]
    metrics = {(check["artifact"], check["metric"]) for check in checks}
    assert ("encoder.int8.onnx", "kl_mean") in metrics
    assert ("scorer.int8_io.tflite", "decisions_changed") in metrics
    manifest = json.loads((folder / "bundle" / "manifest.json").read_text())
    taken = {
        artifact["file"]["path"]: [(item["name"], item["dtype"], item["shape"]) for item in artifact["inputs"]]
        for artifact in manifest["artifacts"]
    }
    samples = ("float32", [1, 256, 1])
    assert taken["encoder.int8.tflite"] == taken["encoder.int8_io.tflite"] == [("x", *samples)]
    assert taken["reconstructor.float32.onnx"] == [("x", *samples)]
    assert taken["scorer.int8.onnx"] == taken["scorer.int8_io.tflite"] == [("window", *samples)]


@pytest.mark.parametrize("precision", ["float32", "int8", "int8_io"])
@pytest.mark.parametrize("format", ["tflite", "onnx"])
def test_scorers_hear_a_tone_and_a_sample_that_is_no_number(bundle, precision, format):
    if (precision, format) == ("int8_io", "onnx"):
        with pytest.raises(pocketvae.PocketVaeError):
            bundle.scorer(precision=precision, format=format)
        return
    scorer = bundle.scorer(precision=precision, format=format)
    fine, broken = windows(hum(20, seed=50)), windows(hum(20, seed=51, whistle=0.05))
    assert scorer.score(fine).alarm.mean() < 0.2
    found = scorer.score(broken)
    assert found.alarm.all()
    loudest = int(np.argmin([abs(float(name.split()[0]) - 330) for name in bundle.vae.log_mel.names]))
    assert found.contributions.shape == (len(broken), 8)
    assert (found.contributions.argmax(axis=1) == loudest).mean() > 0.8
    silent = fine.copy()
    silent[0, 100] = np.nan
    assert scorer.score(silent).alarm[0]


def test_the_score_of_a_scorer_is_that_of_score(folder, bundle):
    write_sound(folder / "broken.wav", hum(10, seed=60, whistle=0.05))
    calibration = ["--calibration", folder / "normal.json"]
    rate = ["--false-positive-rate", "0.05"]
    run("score", folder / "bundle", folder / "normal", "--stride", 64, "--calibrate", *calibration, *rate)
    outputs = ["--score", "elbo_at_mean", "--csv", folder / "scores.csv", "--timeline", folder / "score.svg"]
    run("score", folder / "bundle", folder / "broken.wav", *calibration, *outputs)
    rows = list(csv.DictReader((folder / "scores.csv").open()))
    samples, _ = soundfile.read(folder / "broken.wav", dtype="float32")
    # The last window of the command ends with the recording.
    items = np.concatenate([windows(samples), samples[None, -windows(samples).shape[1] :].reshape(1, -1, 1)])
    assert rows[-1]["name"] == f"broken.wav:{len(samples) - items.shape[1]}"
    expected = bundle.scorer().score(items).score
    np.testing.assert_allclose([float(row["elbo_at_mean"]) for row in rows], expected, rtol=1e-4, atol=1e-2)
    assert all(row["anomalous"] == "1" for row in rows)
    assert "sound" in (folder / "score.svg").read_text()


def test_reconstructions_are_spectrograms_in_decibels(folder, bundle):
    samples = windows(hum(4, seed=70))
    found = bundle.reconstructor().reconstruct(samples)
    vae = bundle.vae
    z = bundle.encoder().encode(samples).z_mean
    scales, means = ([getattr(channel, name) for channel in vae.channels] for name in ("scale", "mean"))
    np.testing.assert_allclose(found, bundle.decoder().decode(z) * scales + means, atol=1e-2)
    write_sound(folder / "short.wav", hum(4, seed=70))
    run("reconstruct", folder / "bundle", folder / "short.wav", "--out", folder / "r.csv")
    header = (folder / "r.csv").read_text().splitlines()[0].split(",")
    assert header[1] == f"step_0_{vae.log_mel.names[0]}"
    run("generate", folder / "bundle", "--seed", 1, "--count", 2, "--out", folder / "made.csv")


def test_a_run_is_evaluated_on_its_sounds(folder, capsys):
    run("evaluate", folder / "run", "--data", folder / "normal", "--importance-samples", 2, "--json", folder / "e.json")
    found, own = json.loads((folder / "e.json").read_text()), json.loads((folder / "run" / "run.json").read_text())
    assert found["elbo"]["negative_elbo_nats"] == pytest.approx(own["metrics"]["test_negative_elbo_nats"], rel=0.02)


@pytest.mark.parametrize("how", list(OriginalCall))
def test_the_original_that_bench_times_takes_samples_too(folder, bundle, how):
    import tensorflow as tf

    samples = windows(hum(1, seed=80))
    threads = tf.config.threading.get_intra_op_parallelism_threads()
    path = folder / "bundle" / "original" / "encoder.keras"
    call = original_call(path, Component.ENCODER, bundle.vae, how, {"x": samples}, threads)
    np.testing.assert_allclose(call()[0], bundle.encoder().encode(samples).z_mean, atol=1e-4)


def test_code_for_apps_keeps_samples(folder):
    guide = (folder / "bundle" / "EMBED.md").read_text()
    assert "256 samples of sound in -1 to 1, 1000 of them a second; the file makes the spectrogram" in guide
    assert "`Watcher` keeps the last 256 samples of a stream" in guide
    card = (folder / "bundle" / "MODEL_CARD.md").read_text()
    assert "of which the file makes the spectrogram in float32" in card


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["generate", "BUNDLE", "--seed", 1, "--count", 2, "--out", "made.wav"],
            "what this model makes is spectro",
        ),
        (["compress", "BUNDLE", "normal", "--fit"], "which of sounds is spectrograms and not the sound"),
        (["verify", "BUNDLE", "--thorough"], "this decoder makes spectrograms, and the encoder takes samples"),
        (
            ["encode", "BUNDLE", "fast.wav", "--out", "z.npz"],
            "must have the rate of the training data, 1000 Hz, but fast.wav has 2000 Hz",
        ),
        (["encode", "BUNDLE", "stereo.wav", "--out", "z.npz"], "has 2 channels, but the model takes 1"),
        (["evaluate", "RUN", "--data", "fast"], "sounds must have the rate of the training data, 1000 Hz"),
    ],
)
def test_what_makes_no_sense_of_sounds_is_refused(folder, monkeypatch, capsys, words, message):
    monkeypatch.chdir(folder)
    write_sound(folder / "fast.wav", hum(4), rate_hz=2000)
    write_sound(folder / "stereo.wav", np.stack([hum(4), hum(4)], axis=1))
    for index in range(4):
        write_sound(folder / "fast" / f"{index}.wav", hum(20, seed=index), rate_hz=2000)
    named = {"BUNDLE": folder / "bundle", "RUN": folder / "run"}
    run(*[named.get(word, word) for word in words], code=2)
    assert message in capsys.readouterr().err


def test_a_smaller_decoder_is_distilled_of_a_run_and_of_its_bundle(folder, tmp_path):
    for source in ("run", "bundle"):
        student = tmp_path / source
        words = ["--data", folder / "normal", "--max-kb", 10, "--steps", 40, "--budget-db", 50]
        run("distil", folder / source, *words, "--out", student)
        record = json.loads((student / "distilled.json").read_text("utf-8"))
        # What the decoder makes are spectrograms, which the encoder does not take.
        assert [item["kind"] for item in record["closeness"]] == ["prior", "tails"]
        elbo, psnr = record["losses"]
        assert elbo["count"] >= 20
        assert abs(psnr["value"]) < 3
        assert open_run(student).reference_images().golden.shape[1:] == (256, 1)
