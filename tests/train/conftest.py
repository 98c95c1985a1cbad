"""The smallest data and networks that train: 8x8 digits, a few dozen weights, a second per run."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest


@pytest.fixture(scope="session")
def small_npz(made_once) -> Path:
    """160 labelled MNIST images, every third pixel of their middle, as an .npz; 128 of them are for training."""
    from pocketvae.data.image_files import read_mnist

    def make(path: Path) -> None:
        (images, labels), _ = read_mnist()
        np.savez(path, images=images[:160, 2:26:3, 2:26:3, 0], labels=labels[:160])

    return made_once("small.npz", make)


@pytest.fixture(scope="session")
def small_data(small_npz):
    """The same as splits."""
    from pocketvae.data.dataset import load_splits

    return load_splits(str(small_npz))


def small_values(**changes) -> dict[str, object]:
    values = {
        "architecture": "mlp",
        "channels": [],
        "hidden_units": 8,
        "latent_dim": 2,
        "epochs": 2,
        "batch_size": 8,
        "warmup_steps": 5,
    }
    return {**values, **changes}


@pytest.fixture(scope="session")
def small_config():
    """Makes a configuration of the smallest network from changes to it; 16 steps are an epoch of `small_data`."""
    from pocketvae.train import TrainConfig, with_overrides

    def make(**changes) -> Any:
        return with_overrides(TrainConfig(), small_values(**changes))

    return make


@pytest.fixture(scope="session")
def small_words():
    """Returns the same as words of the command line."""

    def make(**changes) -> list[str]:
        def text(value: object) -> str:
            return str(value).lower() if isinstance(value, bool) else str(value)

        values = small_values(**changes)
        return [word for key, value in values.items() for word in ("--set", f"{key}={text(value)}")]

    return make


@dataclass(frozen=True)
class Parts:
    """What one training works with, without a folder."""

    config: Any
    model: Any
    trainer: Any
    evaluator: Any

    def step(self, data: Any, number: int = 0, *, count: int = 16, **knobs: Any) -> float:
        """Takes a step on the first training images and returns its loss.

        Args:
            data: `small_data`.
            number: Determines the noise: the same number on the same weights is the same loss.
            count: B, how many images.
            knobs: Of `StepKnobs`, in place of a rate of 0.01 and a beta of 1.
        """
        from pocketvae.train.trainer import StepKnobs

        batch = data.train.take(slice(count))
        settings = StepKnobs(**{"learning_rate": 0.01, "beta": 1.0, **knobs})
        return float(self.trainer.step(batch.images, batch.labels, number, settings))


@pytest.fixture(scope="session")
def make_parts(small_config, small_data):
    """Builds a model and its trainer for `small_data`."""

    def make(**changes) -> Parts:
        from pocketvae.train.distribution import Workers
        from pocketvae.train.pipeline import _Session

        config = small_config(**changes)
        session = _Session.begin(config, small_data, Workers(None))
        return Parts(config, session.model, session.trainer, session.evaluator)

    return make


@pytest.fixture(scope="session")
def weights_of():
    """Loads every weight of a run's models."""

    def load(run: Path) -> dict[str, list[np.ndarray]]:
        from pocketvae.keras.io import load_model

        return {file.stem: load_model(file).get_weights() for file in sorted(Path(run).glob("*.keras"))}

    return load


def stored_weights(file: Path) -> list[np.ndarray]:
    """Reads the weights of a `.keras` file in the order of their names, in a fraction of the time of loading it."""
    import h5py

    arrays: list[np.ndarray] = []
    with zipfile.ZipFile(file) as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as weights:
        weights.visititems(lambda _, item: arrays.append(item[()]) if isinstance(item, h5py.Dataset) else None)
    assert arrays
    return arrays


@pytest.fixture(scope="session")
def assert_same_run():
    """Asserts that two runs hold the same weights, bit for bit, and the same figures apart from times."""
    import json

    def check(first: Path, second: Path) -> None:
        one, other = ({file.stem: stored_weights(file) for file in run.glob("*.keras")} for run in (first, second))
        assert one.keys() == other.keys()
        for name, weights in one.items():
            for a, b in zip(weights, other[name], strict=True):
                np.testing.assert_array_equal(a, b, err_msg=name)
        records = [json.loads((run / "run.json").read_text()) for run in (first, second)]
        lines = [[json.loads(line) for line in (run / "metrics.jsonl").open()] for run in (first, second)]
        for record in records:
            del record["metrics"]["training_s"], record["config"]["checkpoint_steps"], record["git_commit"]
        for line in (*lines[0], *lines[1]):
            del line["elapsed_s"]
        assert lines[0] == lines[1]
        assert records[0] == records[1]

    return check


@pytest.fixture(scope="session")
def small_run(made_once, small_npz, small_config) -> Path:
    """A run of the smallest network with a learned prior and averaged weights. Do not change it."""

    def make(path: Path) -> None:
        from pocketvae.train import train

        config = small_config(prior="realnvp", couplings=2, coupling_units=4, ema_decay=0.9)
        train(source=str(small_npz), out=path, config=config, preset="small")

    return made_once("small", make)
