import json

import numpy as np
import pytest

from pocketvae.errors import DataError, OutputExistsError, TrainingError
from pocketvae.run import open_run
from pocketvae.spec import Component
from pocketvae.train import TrainConfig, train

pytestmark = pytest.mark.slow


def test_a_run_holds_all_that_it_promises(tiny_run):
    from PIL import Image

    run = open_run(tiny_run)
    metrics = run.record.metrics
    parts = metrics["test_reconstruction_nats"] + metrics["test_kl_nats"]
    assert metrics["test_negative_elbo_nats"] == pytest.approx(parts)
    lines = [json.loads(line) for line in (tiny_run / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == list(range(1, 16))
    assert lines[-1]["validation_negative_elbo_nats"] < lines[0]["validation_negative_elbo_nats"]
    for name in ("samples.png", "reconstructions.png", "curves.png"):
        with Image.open(tiny_run / name) as picture:
            picture.verify()
    images = run.reference_images()
    assert images.golden.shape == (150, 28, 28, 1)
    assert images.calibration.shape == (512, 28, 28, 1)
    assert any((tiny_run / "checkpoints").iterdir())


def test_training_learns_more_than_the_mean_image(tiny_run, mnist_npz):
    # The best model without latents: one probability per pixel, the training mean.
    from pocketvae.images import load_splits, to_unit_interval

    data = load_splits(str(mnist_npz))
    mean = np.clip(to_unit_interval(data.train.images).mean(axis=0), 1e-3, 1 - 1e-3)
    test = to_unit_interval(data.test.images)
    without_latents = -(test * np.log(mean) + (1 - test) * np.log(1 - mean)).sum(axis=(1, 2, 3)).mean()
    assert open_run(tiny_run).record.metrics["test_negative_elbo_nats"] < without_latents


def test_the_same_seed_gives_the_same_weights_bit_for_bit(tmp_path, tiny_run, mnist_npz, tiny_config):
    from pocketvae.keras_io import load_model

    train(source=str(mnist_npz), out=tmp_path / "again", config=tiny_config, preset="mnist-tiny")
    for component in (Component.ENCODER, Component.DECODER):
        first, second = (load_model(run / f"{component}.keras").get_weights() for run in (tiny_run, tmp_path / "again"))
        assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_colour_images_of_an_odd_size_are_trained_too(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (60, 18, 22, 3), np.uint8)
    np.save(tmp_path / "x.npy", images)
    config = TrainConfig(latent_dim=2, channels=(4, 4), hidden_units=8, epochs=1, batch_size=8)
    record = train(source=str(tmp_path / "x.npy"), out=tmp_path / "run", config=config, preset="mnist-tiny")
    assert record.vae.image_shape == (18, 22, 3)


def test_an_interruption_leaves_no_run(tmp_path, mnist_npz, tiny_config):
    def interrupt(progress):
        if progress.stage == "training":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(source=str(mnist_npz), out=tmp_path / "run", config=tiny_config, preset="x", progress=interrupt)
    assert list(tmp_path.iterdir()) == []


def test_a_loss_that_is_not_finite_stops_training_and_leaves_no_run(tmp_path, mnist_npz):
    config = TrainConfig(latent_dim=2, channels=(4,), hidden_units=8, learning_rate=1e9, warmup_steps=0, epochs=1)
    with pytest.raises(TrainingError, match="the loss became .* at step"):
        train(source=str(mnist_npz), out=tmp_path / "run", config=config, preset="x")
    assert list(tmp_path.iterdir()) == []


def test_an_existing_run_is_kept(tiny_run, mnist_npz, tiny_config):
    before = (tiny_run / "run.json").read_bytes()
    with pytest.raises(OutputExistsError, match="--force"):
        train(source=str(mnist_npz), out=tiny_run, config=tiny_config, preset="x")
    assert (tiny_run / "run.json").read_bytes() == before


def test_images_smaller_than_the_network_are_refused(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((40, 3, 8), np.uint8))
    with pytest.raises(DataError, match="at least 4x4 for this preset, got 8x3"):
        train(source=str(tmp_path / "x.npy"), out=tmp_path / "run", config=TrainConfig(), preset="x")
