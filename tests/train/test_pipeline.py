import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from pocketvae.bundle.run import open_run
from pocketvae.cli.main import main
from pocketvae.errors import DataError, OutputExistsError, SpecError, TrainingError
from pocketvae.train import TrainConfig, train

pytestmark = pytest.mark.slow
# All that a checkpoint has to bring back: averages, a learned prior, a fitted variance; and images that steps change.
FULL = {
    "likelihood": "gaussian",
    "prior": "realnvp",
    "couplings": 2,
    "coupling_units": 4,
    "ema_decay": 0.9,
    "shift_pixels": 1,
}


@pytest.fixture(scope="module")
def full_run(tmp_path_factory, small_npz, small_config):
    """An uninterrupted training of 2 epochs of 16 steps."""
    out = tmp_path_factory.mktemp("full") / "run"
    train(source=str(small_npz), out=out, config=small_config(**FULL), preset="x")
    return out


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def interrupt_at(step):
    """Progress is told at every tenth step."""

    def progress(told):
        if told.stage == "training" and told.done == step:
            raise KeyboardInterrupt

    return progress


def test_a_run_holds_all_that_it_promises(small_run):
    run = open_run(small_run)
    metrics = run.record.metrics
    parts = metrics["test_reconstruction_nats"] + metrics["test_kl_nats"]
    assert metrics["test_negative_elbo_nats"] == pytest.approx(parts)
    lines = [json.loads(line) for line in (small_run / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2]
    assert [line["step"] for line in lines] == [16, 32]
    best = min(lines, key=lambda line: line["validation_negative_elbo_nats"])
    assert metrics["best_epoch"] == best["epoch"]
    assert metrics["validation_negative_elbo_nats"] == best["validation_negative_elbo_nats"]
    for name in ("samples.png", "reconstructions.png", "curves.png"):
        with Image.open(small_run / name) as picture:
            picture.verify()
    images = run.reference_images()
    assert images.golden.shape == (16, 8, 8, 1)
    assert images.calibration.shape == (128, 8, 8, 1)
    assert set(images.golden_labels) <= set(range(10))
    assert run.record.ended == "all epochs were trained"
    assert names(small_run) == [
        *("checkpoints", "curves.png", "decoder.keras", "encoder.keras", "metrics.jsonl", "prior.keras"),
        *("reconstructions.png", "reference.npz", "run.json", "samples.png", "tensorboard"),
    ]


def test_tensorboard_gets_every_epoch(small_run):
    import tensorflow as tf

    (file,) = (small_run / "tensorboard").iterdir()
    events = [tf.compat.v1.Event.FromString(record.numpy()) for record in tf.data.TFRecordDataset(str(file))]
    values = [
        (event.step, float(tf.make_ndarray(value.tensor)))
        for event in events
        for value in event.summary.value
        if value.tag == "validation_negative_elbo_nats"
    ]
    lines = [json.loads(line) for line in (small_run / "metrics.jsonl").read_text().splitlines()]
    expected = [(line["step"], pytest.approx(line["validation_negative_elbo_nats"], rel=1e-6)) for line in lines]
    assert values == expected


def test_training_learns_more_than_the_mean_image(tiny_run, mnist_npz):
    # The best model without latents: one probability per pixel, the training mean.
    from pocketvae.data.dataset import load_splits, to_unit_interval

    data = load_splits(str(mnist_npz))
    mean = np.clip(to_unit_interval(data.train.images).mean(axis=0), 1e-3, 1 - 1e-3)
    test = to_unit_interval(data.test.images)
    without_latents = -(test * np.log(mean) + (1 - test) * np.log(1 - mean)).sum(axis=(1, 2, 3)).mean()
    assert open_run(tiny_run).record.metrics["test_negative_elbo_nats"] < without_latents


def test_the_same_seed_gives_the_same_run_bit_for_bit(
    tmp_path, full_run, small_npz, small_config, weights_of, assert_same_run
):
    train(source=str(small_npz), out=tmp_path / "again", config=small_config(**FULL), preset="x")
    assert_same_run(full_run, tmp_path / "again")
    train(source=str(small_npz), out=tmp_path / "other", config=small_config(seed=1, **FULL), preset="x")
    assert not np.array_equal(weights_of(tmp_path / "other")["decoder"][0], weights_of(full_run)["decoder"][0])


@pytest.mark.parametrize(
    ("checkpoint_steps", "step", "kept"),
    [
        pytest.param(0, 20, "step-16", id="after an epoch"),
        pytest.param(5, 10, "step-5", id="in the first epoch"),
        pytest.param(3, 30, "step-27", id="in the last epoch"),
    ],
)
def test_an_interrupted_training_goes_on_bit_for_bit(
    tmp_path, full_run, small_npz, small_config, assert_same_run, checkpoint_steps, step, kept
):
    options = {
        "source": str(small_npz),
        "out": tmp_path / "run",
        "config": small_config(checkpoint_steps=checkpoint_steps, **FULL),
        "preset": "x",
    }
    with pytest.raises(KeyboardInterrupt):
        train(**options, progress=interrupt_at(step))
    assert names(tmp_path) == ["run.unfinished"]
    assert json.loads((tmp_path / "run.unfinished" / "checkpoints" / "state.json").read_text())["latest"] == kept
    train(**options, resume=True)
    assert names(tmp_path) == ["run"]
    assert_same_run(full_run, tmp_path / "run")


def test_a_training_interrupted_twice_goes_on_too(tmp_path, full_run, small_npz, small_config, assert_same_run):
    config = small_config(checkpoint_steps=4, **FULL)
    options = {"source": str(small_npz), "out": tmp_path / "run", "config": config, "preset": "x"}
    for step in (10, 30):
        with pytest.raises(KeyboardInterrupt):
            train(**options, resume=True, progress=interrupt_at(step))
    train(**options, resume=True)
    assert_same_run(full_run, tmp_path / "run")


def test_a_killed_process_is_resumed_and_equals_an_uninterrupted_one(tmp_path, small_npz, small_words, assert_same_run):
    data, values = ["--data", str(small_npz)], {"epochs": 8, **FULL}
    words = [*data, *small_words(checkpoint_steps=7, **values)]
    command = [sys.executable, "-m", "pocketvae.cli.main", "train", "--out", "run", *words]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        milestone = tmp_path / "run.unfinished" / "checkpoints" / "state.json"
        while process.poll() is None and not milestone.exists():
            time.sleep(0.01)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert names(tmp_path) == ["run.unfinished"]
    done = subprocess.run([*command, "--resume"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "ended: all epochs were trained" in done.stdout
    assert main(["train", "--out", str(tmp_path / "whole"), "--quiet", *data, *small_words(**values)]) == 0
    assert names(tmp_path) == ["run", "whole"]
    assert_same_run(tmp_path / "run", tmp_path / "whole")


@pytest.fixture(scope="module")
def interrupted_folder(tmp_path_factory, small_npz, small_words):
    """What a training leaves that is interrupted after one epoch."""
    from pocketvae.train import parse_assignments, with_overrides

    out = tmp_path_factory.mktemp("interrupted") / "run"
    config = with_overrides(TrainConfig(), parse_assignments(small_words()[1::2]))
    with pytest.raises(KeyboardInterrupt):
        train(source=str(small_npz), out=out, config=config, preset="mnist-tiny", progress=interrupt_at(20))
    return out.with_name("run.unfinished")


@pytest.fixture
def unfinished(tmp_path, interrupted_folder, small_npz, small_words):
    """Leaves `run.unfinished` after one epoch; returns the words that began it."""
    shutil.copytree(interrupted_folder, tmp_path / "run.unfinished")
    return ["train", "--data", str(small_npz), "--out", str(tmp_path / "run"), "--quiet", *small_words()]


def refused(capsys, message, words):
    capsys.readouterr()
    assert main(words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert len(captured.err.strip().splitlines()) == 1


def test_an_unfinished_training_is_neither_lost_nor_mixed_up(tmp_path, unfinished, small_data, capsys):
    def kept():
        return {path: path.read_bytes() for path in (tmp_path / "run.unfinished").rglob("*") if path.is_file()}

    before = kept()
    refused(capsys, "run.unfinished holds an interrupted run: pass --resume to continue it", unfinished)
    refused(
        capsys,
        "started with learning_rate = 0.002 (now 0.01): resume it with the same configuration",
        [*unfinished, "--resume", "--set", "learning_rate=0.01"],
    )
    np.savez(tmp_path / "small.npz", images=255 - small_data.train.images[..., 0])
    other = [word if not word.endswith("small.npz") else str(tmp_path / "small.npz") for word in unfinished]
    refused(capsys, "started on other data (small.npz, 128 items for training)", [*other, "--resume"])
    # What was there is there still, but for the event files that a look at it opened.
    after = kept()
    assert {path: after[path] for path in before} == before
    assert {path.parent.name for path in after.keys() - before.keys()} <= {"tensorboard"}
    assert main([*unfinished, "--resume"]) == 0
    assert names(tmp_path) == ["run", "small.npz"]


def test_force_begins_an_unfinished_training_anew(tmp_path, unfinished, capsys):
    assert main([*unfinished, "--force", "--set", "seed=5"]) == 0
    assert open_run(tmp_path / "run").record.seed == 5
    assert names(tmp_path) == ["run"]


def test_a_second_process_is_locked_out(tmp_path, unfinished, capsys):
    from pocketvae.system import folders
    from pocketvae.train.checkpoints import MILESTONE

    first = folders.resumable_directory(tmp_path / "run", force=False, resume=True, milestone=MILESTONE)
    with contextlib.suppress(ZeroDivisionError), first:
        refused(capsys, "another process is using", [*unfinished, "--resume"])
        refused(capsys, "another process is using", [*unfinished, "--force"])
        raise ZeroDivisionError
    assert main([*unfinished, "--resume"]) == 0


def test_resuming_where_nothing_is_begins_anew(tmp_path, full_run, small_npz, small_config, assert_same_run):
    train(source=str(small_npz), out=tmp_path / "run", config=small_config(**FULL), preset="x", resume=True)
    assert_same_run(full_run, tmp_path / "run")


# A limit on the size of a file stands for a full disk: both fail in the middle of a write.
LIMITED = """
import resource, signal, sys
from pocketvae.cli.main import main
import tensorflow
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
sys.exit(main(sys.argv[1:]))
"""


def test_a_full_disk_is_told_and_the_last_checkpoint_goes_on(
    tmp_path, unfinished, small_npz, small_words, assert_same_run
):
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, *unfinished, "--resume"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stderr
    line = done.stderr.strip().splitlines()[-1]
    assert line.startswith(f"pocketvae: {tmp_path / 'run.unfinished' / 'checkpoints' / 'step-32'} cannot be written")
    assert line.endswith("File too large; run.unfinished keeps the progress: continue with --resume")
    assert "Traceback" not in done.stderr
    assert main([*unfinished, "--resume"]) == 0
    assert main([word if word != str(tmp_path / "run") else str(tmp_path / "whole") for word in unfinished]) == 0
    assert_same_run(tmp_path / "run", tmp_path / "whole")


def test_an_interruption_before_the_first_checkpoint_leaves_nothing(tmp_path, small_npz, small_config):
    with pytest.raises(KeyboardInterrupt):
        train(
            source=str(small_npz),
            out=tmp_path / "run",
            config=small_config(),
            preset="x",
            progress=interrupt_at(10),
        )
    assert names(tmp_path) == []


def test_the_command_says_where_an_interrupted_training_is_kept(tmp_path, unfinished, monkeypatch, capsys):
    from pocketvae.train.trainer import Trainer

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "step", interrupt)
    assert main([*unfinished, "--resume"]) == 130
    assert "interrupted; run.unfinished keeps the progress: continue with --resume" in capsys.readouterr().err


def test_an_unfinished_training_is_refused_before_its_data_are_read(unfinished, capsys):
    other = [word if not word.endswith("small.npz") else "nothing.npz" for word in unfinished]
    refused(capsys, "run.unfinished holds an interrupted run: pass --resume to continue it", other)
    words = [*other, "--resume", "--set", "learning_rate=0.01"]
    refused(capsys, "started with learning_rate = 0.002 (now 0.01): resume it with the same configuration", words)


def test_a_run_that_was_killed_before_its_last_line_has_it(tmp_path, small_npz, small_config, monkeypatch):
    from pocketvae.train import pipeline

    lines, write = [], pipeline._write_metrics

    def killed(state, folder):
        lines.append(len(state.epochs))
        if lines == [1, 2]:
            raise KeyboardInterrupt
        write(state, folder)

    monkeypatch.setattr(pipeline, "_write_metrics", killed)
    options = {"source": str(small_npz), "out": tmp_path / "run", "config": small_config(), "preset": "x"}
    with pytest.raises(KeyboardInterrupt):
        train(**options)
    train(**options, resume=True)
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == 2


@pytest.fixture
def break_step(monkeypatch):
    """Makes the loss of one step NaN."""

    def at(number):
        from pocketvae.train.trainer import Trainer

        real = Trainer.step

        def step(self, images, labels, this, knobs):
            loss = real(self, images, labels, this, knobs)
            return float("nan") if this == number else loss

        monkeypatch.setattr(Trainer, "step", step)

    return at


def test_a_loss_that_is_not_finite_ends_with_the_best_checkpoint(
    tmp_path, small_npz, small_words, break_step, weights_of, capsys
):
    break_step(20)
    words = ["train", "--data", str(small_npz), "--quiet", *small_words()]
    assert main([*words, "--out", str(tmp_path / "run")]) == 0
    ended = "the loss became nan at step 20; the weights are those of epoch 1"
    assert f"ended: {ended}" in capsys.readouterr().out
    record = open_run(tmp_path / "run").record
    assert record.ended == ended
    assert record.metrics["best_epoch"] == 1
    assert np.isfinite(record.metrics["test_negative_elbo_nats"])
    assert all(np.isfinite(weight).all() for part in weights_of(tmp_path / "run").values() for weight in part)
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == 1


def test_a_loss_that_is_not_finite_before_the_first_checkpoint_leaves_nothing(
    tmp_path, small_npz, small_config, break_step
):
    break_step(3)
    with pytest.raises(TrainingError, match="the loss became nan at step 3: lower the rate with --set learning_rate"):
        train(source=str(small_npz), out=tmp_path / "run", config=small_config(), preset="x")
    assert names(tmp_path) == []


def test_a_rate_that_is_far_too_high_is_noticed(tmp_path, small_npz, small_config):
    config = small_config(learning_rate=1e30, warmup_steps=0, objective="iwae", importance_samples=2)
    with pytest.raises(TrainingError, match="the (loss|validation ELBO) became .* at step"):
        train(source=str(small_npz), out=tmp_path / "run", config=config, preset="x")
    assert names(tmp_path) == []


@pytest.fixture
def validations(monkeypatch):
    """Replaces the validation figures by given ones and returns the weights at each evaluation."""

    def replace_by(*values):
        from pocketvae.train.evaluation import Evaluator

        real, seen, left = Evaluator.elbo, [], list(values)

        def elbo(self, images):
            seen.append([weight.numpy() for weight in self._model.trainable_variables()])
            estimate = real(self, images)
            return replace(estimate, negative_elbo_nats=left.pop(0)) if left else estimate

        monkeypatch.setattr(Evaluator, "elbo", elbo)
        return seen

    return replace_by


@pytest.mark.parametrize("ema_decay", [0.0, 0.9])
def test_the_best_epoch_s_weights_are_exported(tmp_path, small_npz, small_config, validations, weights_of, ema_decay):
    seen = validations(50.0, 40.0, 45.0)
    config = small_config(epochs=3, ema_decay=ema_decay)
    record = train(source=str(small_npz), out=tmp_path / "run", config=config, preset="x")
    assert record.metrics["best_epoch"] == 2
    assert record.metrics["validation_negative_elbo_nats"] == 40
    exported = weights_of(tmp_path / "run")
    for weight, expected in zip([*exported["encoder"], *exported["decoder"]], seen[1], strict=True):
        np.testing.assert_array_equal(weight, expected)
    assert not np.array_equal(seen[1][0], seen[2][0])


def test_training_that_stopped_early_says_so(tmp_path, small_npz, small_config, validations):
    validations(50.0, 51.0, 52.0)
    config = small_config(epochs=9, patience_epochs=2)
    record = train(source=str(small_npz), out=tmp_path / "run", config=config, preset="x")
    assert record.ended == "the validation ELBO had not improved for 2 epochs"
    assert record.metrics["best_epoch"] == 1
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == 3


def test_a_posterior_that_says_nothing_is_a_warning(tmp_path, small_npz, small_words, capsys):
    words = ["train", "--data", str(small_npz), "--out", str(tmp_path / "run"), "--quiet"]
    assert main([*words, *small_words(beta=10000.0, epochs=6, learning_rate=0.02)]) == 0
    (warning,) = open_run(tmp_path / "run").record.warnings
    assert warning.startswith("posterior collapse: 0 of 2 latent dimensions are active and the KL divergence is ")
    assert "kl_warmup_epochs" in warning
    assert warning in " ".join(capsys.readouterr().err.split())


def test_a_posterior_that_says_something_is_none(tiny_run):
    assert open_run(tiny_run).record.warnings == ()


def write_classes(folder, count=24):
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
        for index in range(count):
            Image.fromarray(rng.integers(0, 256, (8, 8), np.uint8)).save(folder / name / f"{index:02d}.png")


def test_a_folder_of_classes_trains_a_conditional_model_and_tells_what_it_left_out(tmp_path, small_words, capsys):
    write_classes(tmp_path / "images")
    (tmp_path / "images" / "b" / "07.png").write_bytes(b"no image")
    words = ["train", "--data", str(tmp_path / "images"), "--out", str(tmp_path / "run"), "--quiet"]
    words += small_words(conditional=True, epochs=1)
    refused(capsys, "07.png cannot be read as an image", words)
    assert main([*words, "--skip-corrupt"]) == 0
    record = open_run(tmp_path / "run").record
    assert record.vae.label_count == 2
    assert record.metrics["training_images"] + record.metrics["test_images"] == 37 + 5
    assert any(warning.startswith("skipped: ") and "07.png" in warning for warning in record.warnings)


@pytest.mark.parametrize(
    "changes",
    [
        {"architecture": "conv", "channels": [4, 4]},
        {"architecture": "conv", "channels": [4, 4], "latent_maps": [1, 0], "latent_dim": 2},
        {"architecture": "residual", "channels": [4], "blocks": 1, "likelihood": "discretized_logistic"},
        {"likelihood": "gaussian", "prior": "vamp", "components": 4},
    ],
    ids=lambda changes: "-".join(map(str, changes.values())),
)
def test_colour_images_of_an_odd_size_are_trained_too(tmp_path, small_config, changes):
    images = np.random.default_rng(0).integers(0, 256, (40, 9, 11, 3), np.uint8)
    np.save(tmp_path / "x.npy", images)
    config = small_config(epochs=1, **changes)
    record = train(source=str(tmp_path / "x.npy"), out=tmp_path / "run", config=config, preset="x")
    assert record.vae.image_shape == (9, 11, 3)
    assert (record.vae.noise_scale is not None) == (config.likelihood == "gaussian")


def test_static_binarization_trains_on_black_and_white(tmp_path, small_npz, small_config):
    config = small_config(epochs=1, binarization="static")
    train(source=str(small_npz), out=tmp_path / "run", config=config, preset="x")
    images = open_run(tmp_path / "run").reference_images()
    assert set(np.unique(images.calibration)) == {0, 255}


def test_an_existing_run_is_kept(small_run, small_npz, small_config):
    before = (small_run / "run.json").read_bytes()
    with pytest.raises(OutputExistsError, match="--force"):
        train(source=str(small_npz), out=small_run, config=small_config(), preset="x")
    assert (small_run / "run.json").read_bytes() == before


def test_images_smaller_than_the_network_are_refused(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((40, 3, 8), np.uint8))
    with pytest.raises(DataError, match="at least 4x4 for these channels, got 8x3"):
        train(source=str(tmp_path / "x.npy"), out=tmp_path / "run", config=TrainConfig(), preset="x")
    assert names(tmp_path) == ["x.npy"]


def test_a_conditional_model_without_labels_is_refused(tmp_path, small_config):
    np.save(tmp_path / "x.npy", np.zeros((40, 8, 8), np.uint8))
    with pytest.raises(DataError, match="conditional = true needs labels: sort images into one subfolder per class"):
        train(source=str(tmp_path / "x.npy"), out=tmp_path / "run", config=small_config(conditional=True), preset="x")


def test_a_conditional_model_whose_test_images_have_no_labels_is_refused(tmp_path, small_config):
    write_classes(tmp_path / "images" / "train")
    (tmp_path / "images" / "test").mkdir()
    for index in range(3):
        Image.new("L", (8, 8)).save(tmp_path / "images" / "test" / f"{index}.png")
    with pytest.raises(DataError, match="conditional = true needs labels, but the test images do not have any"):
        train(source=str(tmp_path / "images"), out=tmp_path / "run", config=small_config(conditional=True), preset="x")


def test_labels_that_are_no_classes_are_refused(tmp_path, small_config):
    labels = np.full(40, 1_000_000)
    np.savez(tmp_path / "x.npz", images=np.zeros((40, 8, 8), np.uint8), labels=labels)
    with pytest.raises(DataError, match="labels must be 0 to 65535, got 1000000"):
        train(source=str(tmp_path / "x.npz"), out=tmp_path / "run", config=small_config(conditional=True), preset="x")


def test_more_components_than_images_are_refused(tmp_path, small_npz, small_config):
    config = small_config(prior="vamp", components=129)
    with pytest.raises(SpecError, match="components must be at most the 128 training images, got 129"):
        train(source=str(small_npz), out=tmp_path / "run", config=config, preset="x")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"epochs": 1, "warmup_steps": 200}, "hardly trained: 16 steps are fewer than the 200 of the learning rate's"),
        ({"epochs": 2, "kl_warmup_epochs": 5}, "hardly trained: 2 epochs are fewer than the 5 over which the KL"),
        ({"epochs": 1, "learning_rate": 1e-7}, "nothing learned: reconstructions have a PSNR of "),
    ],
)
def test_what_is_hardly_trained_is_warned_of_for_that_reason(tmp_path, small_npz, small_config, changes, expected):
    record = train(source=str(small_npz), out=tmp_path / "run", config=small_config(**changes), preset="x")
    (warning,) = record.warnings
    assert warning.startswith(expected)
    assert "free_bits" not in warning
