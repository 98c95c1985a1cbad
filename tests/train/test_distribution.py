import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest

from pocketvae.errors import SpecError
from pocketvae.train import Strategy, train
from pocketvae.train.distribution import Workers

pytestmark = pytest.mark.slow
# One epoch of 16 steps in which everything is shared: averages, a fitted variance, a learned prior.
SHARED = {
    "epochs": 1,
    "likelihood": "gaussian",
    "prior": "realnvp",
    "couplings": 2,
    "coupling_units": 4,
    "ema_decay": 0.9,
}
CONVOLVED = {"epochs": 1, "architecture": "conv", "channels": [8, 16], "optimizer": "muon"}
# Ends a deadlock, and nothing that is merely slow.
_LIMIT_S = 900


@pytest.fixture(scope="module")
def alone(tmp_path_factory, small_npz, small_config):
    """The same training in one process."""
    out = tmp_path_factory.mktemp("alone") / "run"
    train(source=str(small_npz), out=out, config=small_config(**SHARED), preset="x")
    return out


def assert_nearly_the_same_run(weights_of, shared, alone):
    one, other = weights_of(shared), weights_of(alone)
    assert one.keys() == other.keys() == {"encoder", "decoder", "prior"}
    for name, weights in one.items():
        for a, b in zip(weights, other[name], strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5, err_msg=name)
    figures = [json.loads((run / "run.json").read_text()) for run in (shared, alone)]
    assert figures[0]["vae"]["noise_scale"] == pytest.approx(figures[1]["vae"]["noise_scale"], rel=1e-4)
    for key in ("test_negative_elbo_nats", "validation_negative_elbo_nats"):
        assert figures[0]["metrics"][key] == pytest.approx(figures[1]["metrics"][key], rel=1e-4)


def free_addresses(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    return addresses


def test_two_processes_train_the_same_model_as_one_and_the_chief_alone_writes(
    tmp_path, small_npz, small_words, alone, weights_of
):
    words = ["train", "--data", str(small_npz), "--out", "run", "--quiet", "--strategy", "multi_worker"]
    addresses = free_addresses(2)
    processes = []
    for index in range(2):
        cluster = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        # A folder each: what a worker writes is seen.
        (tmp_path / str(index)).mkdir()
        process = subprocess.Popen(
            [sys.executable, "-m", "pocketvae.cli.main", *words, *small_words(**SHARED)],
            cwd=tmp_path / str(index),
            env={**os.environ, "TF_CONFIG": json.dumps(cluster)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
    try:
        outputs = [process.communicate(timeout=_LIMIT_S) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert [path.name for path in (tmp_path / "0").iterdir()] == ["run"]
    assert list((tmp_path / "1").iterdir()) == []
    assert_nearly_the_same_run(weights_of, tmp_path / "0" / "run", alone)


@pytest.fixture
def train_on_two_devices(small_npz, warm_command):
    """Trains in a process with two devices and returns what it printed."""

    def run(out, config):
        words = (str(small_npz), str(out), json.dumps(config.as_dict()))
        command = [*warm_command("two_devices"), *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT_S, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_two_devices_train_the_same_model_as_one(tmp_path, small_config, train_on_two_devices, alone, weights_of):
    said = train_on_two_devices(tmp_path / "run", small_config(**SHARED))
    assert "refused: batch_size must be a multiple of the 2 replicas, got 9" in said
    assert_nearly_the_same_run(weights_of, tmp_path / "run", alone)


def test_kernels_are_orthogonalized_for_all_devices_together(
    tmp_path, small_npz, small_config, train_on_two_devices, weights_of
):
    """Of a gradient's parts, not of each part: the sum of two orthogonal matrices is not one."""
    config = small_config(**CONVOLVED)
    train(source=str(small_npz), out=tmp_path / "alone", config=config, preset="x")
    train_on_two_devices(tmp_path / "run", config)
    one, other = weights_of(tmp_path / "run"), weights_of(tmp_path / "alone")
    assert one.keys() == other.keys() == {"encoder", "decoder"}
    for name, weights in one.items():
        for a, b in zip(weights, other[name], strict=True):
            np.testing.assert_allclose(a, b, atol=1e-3, err_msg=name)


def test_free_bits_are_those_of_the_whole_batch(tmp_path, small_npz, small_config, train_on_two_devices, weights_of):
    config = small_config(epochs=1, free_bits_nats=0.2)
    train(source=str(small_npz), out=tmp_path / "alone", config=config, preset="x")
    train_on_two_devices(tmp_path / "run", config)
    one, other = weights_of(tmp_path / "run"), weights_of(tmp_path / "alone")
    assert one.keys() == other.keys() == {"encoder", "decoder"}
    for name, weights in one.items():
        for a, b in zip(weights, other[name], strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5, err_msg=name)


def test_trainings_of_one_process_share_a_strategy():
    """With two, TensorFlow fails where the second model has other shapes than the first."""
    assert Workers.start(Strategy.MIRRORED, 8)._strategy is Workers.start(Strategy.MIRRORED, 4)._strategy


def test_one_device_is_a_single_replica(tmp_path, small_npz, small_config, alone, weights_of):
    config = small_config(**SHARED)
    options = {"source": str(small_npz), "config": config, "preset": "x", "strategy": Strategy.MIRRORED}
    train(**options, out=tmp_path / "run")
    assert_nearly_the_same_run(weights_of, tmp_path / "run", alone)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "strategy multi_worker needs TF_CONFIG, for example .*, got ''"),
        ("{", "strategy multi_worker needs TF_CONFIG, for example .*, got '{'"),
        ("[]", r"needs TF_CONFIG, .*, got '\[\]'"),
        ('{"cluster": {"worker": ["a:1"]}}', "needs TF_CONFIG"),
        ('{"cluster": {"ps": ["a:1"]}, "task": {"index": 0}}', "needs TF_CONFIG"),
        (
            '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 2}}',
            "TF_CONFIG's task index must be one of its 2 workers, got 2",
        ),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"index": -1}}', "must be one of its 1 workers, got -1"),
    ],
)
def test_a_bad_tf_config_is_refused_before_anything_waits(monkeypatch, text, message):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if text is not None:
        monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(SpecError, match=message):
        Workers.start(Strategy.MULTI_WORKER, 8)


def test_an_unknown_strategy_gets_a_close_match(small_npz, tmp_path, capsys):
    from pocketvae.cli.main import main

    words = ["train", "--data", str(small_npz), "--out", str(tmp_path / "run"), "--strategy", "miror"]
    assert main(words) == 2
    assert "unknown strategy 'miror': did you mean 'mirrored'" in capsys.readouterr().err


def test_without_a_strategy_the_whole_batch_is_one_part():
    workers = Workers.start(Strategy.NONE, 7)
    images, labels = np.zeros((7, 2, 2, 1), np.uint8), np.arange(7, dtype=np.int32)
    part, part_labels, first = workers.scatter(images, labels)
    assert (workers.count, workers.is_chief, int(first)) == (1, True, 0)
    assert part is images
    assert part_labels is labels
    assert workers.mean(3.0) == 3.0
    assert workers.run(lambda a, b: a + b, (1, 2)) == 3
