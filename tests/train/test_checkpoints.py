import json
from dataclasses import replace

import numpy as np
import pytest

from pocketvae.errors import DataError, ManifestError, SpecError, TrainingError
from pocketvae.train.checkpoints import MILESTONE, Checkpoints
from pocketvae.train.data import identify
from pocketvae.train.loop import EpochMetrics, LoopState

pytestmark = pytest.mark.slow
FULL = {"likelihood": "gaussian", "prior": "realnvp", "couplings": 2, "coupling_units": 4, "ema_decay": 0.9}
MUON = {"architecture": "conv", "channels": [8, 16], "optimizer": "muon"}


def epoch(number, elbo):
    return EpochMetrics(
        epoch=number,
        step=16 * number,
        train_loss_nats=0.1 + 0.2,
        validation_negative_elbo_nats=elbo,
        validation_reconstruction_nats=elbo,
        validation_kl_nats=1 / 3,
        validation_active_units=1,
        learning_rate=1e-3,
        elapsed_s=1.5,
    )


def reached(*elbos, losses=()):
    epochs = tuple(epoch(number, elbo) for number, elbo in enumerate(elbos, start=1))
    return LoopState(step=16 * len(elbos) + len(losses), losses=losses, epochs=epochs, elapsed_s=2.5)


def take_steps(parts, data, numbers):
    return [parts.step(data, number, count=8) for number in numbers]


def everything(parts):
    """All numbers that a checkpoint has to bring back."""
    trainer, model = parts.trainer, parts.model
    variables = [*model.trainable_variables(), *trainer.optimizer.variables(), *trainer.averages, model.variance]
    return [variable.numpy() for variable in variables]


def checkpoints(folder, parts, data):
    return Checkpoints(folder, parts.trainer, identify(data))


@pytest.mark.parametrize(
    "changes", [{}, FULL, {"prior": "vamp", "components": 3}, MUON], ids=["plain", "full", "vamp", "muon"]
)
def test_a_training_goes_on_from_a_checkpoint_bit_for_bit(make_parts, small_data, tmp_path, changes):
    first = make_parts(**changes)
    take_steps(first, small_data, range(3))
    state = reached(50.0, losses=(1 / 3, 0.1 + 0.2, 1e-30))
    checkpoints(tmp_path, first, small_data).save(state)
    saved = everything(first)
    expected = take_steps(first, small_data, range(3, 6))

    second = make_parts(**changes)
    assert checkpoints(tmp_path, second, small_data).restore() == state
    for a, b in zip(saved, everything(second), strict=True):
        np.testing.assert_array_equal(a, b)
    assert take_steps(second, small_data, range(3, 6)) == expected
    for a, b in zip(everything(first), everything(second), strict=True):
        np.testing.assert_array_equal(a, b)


def test_without_a_checkpoint_a_training_begins(make_parts, small_data, tmp_path):
    assert checkpoints(tmp_path, make_parts(), small_data).restore() == LoopState()


def test_only_the_latest_and_the_best_are_kept(make_parts, small_data, tmp_path):
    parts = make_parts()
    kept = checkpoints(tmp_path, parts, small_data)

    def names():
        return sorted({file.name.partition(".")[0] for file in (tmp_path / "checkpoints").iterdir()})

    kept.save(reached(losses=(1.0,)))
    assert names() == ["state", "step-1"]
    for elbos, expected in (
        ([60.0], ["best-1", "state", "step-16"]),
        ([60.0, 50.0], ["best-2", "state", "step-32"]),
        ([60.0, 50.0, 55.0], ["best-2", "state", "step-48"]),
    ):
        kept.save(reached(*elbos))
        assert names() == expected


def test_what_a_killed_writer_left_is_cleared_away(make_parts, small_data, tmp_path):
    kept = checkpoints(tmp_path, make_parts(), small_data)
    (tmp_path / "checkpoints" / "step-9_temp").mkdir()
    (tmp_path / "checkpoints" / "step-9_temp" / "part-00000-of-00001.index").write_text("half")
    (tmp_path / "checkpoints" / "step-9.data-00000-of-00001").write_text("half")
    kept.save(reached(60.0))
    assert {file.name.partition(".")[0] for file in (tmp_path / "checkpoints").iterdir()} == {
        *("best-1", "state", "step-16")
    }


def test_the_best_weights_are_the_averages_of_the_best_epoch(make_parts, small_data, tmp_path):
    parts = make_parts(**FULL)
    kept = checkpoints(tmp_path, parts, small_data)
    take_steps(parts, small_data, range(3))
    kept.save(reached(50.0))
    expected = [average.numpy() for average in parts.trainer.averages]
    variance = float(parts.model.variance)
    take_steps(parts, small_data, range(3, 6))
    kept.save(reached(50.0, 60.0))
    kept.restore_best()
    for weight, average in zip(parts.model.trainable_variables(), expected, strict=True):
        np.testing.assert_array_equal(weight, average)
    assert float(parts.model.variance) == variance


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learning_rate": 1e-4}, r"started with learning_rate = 0\.002 \(now 0\.0001\): resume it with the same"),
        ({"seed": 3}, r"started with seed = 0 \(now 3\)"),
        ({"hidden_units": 9, "epochs": 5}, r"started with hidden_units = 8 \(now 9\), epochs = 2 \(now 5\)"),
        ({"likelihood": "gaussian"}, r"likelihood = bernoulli \(now gaussian\)"),
        ({"ema_decay": 0.5}, r"ema_decay = 0\.0 \(now 0\.5\)"),
        (
            {"architecture": "conv", "channels": [4, 4]},
            r"architecture = mlp \(now conv\), channels = \[\] \(now \[4, 4\]\)",
        ),
    ],
)
def test_another_configuration_is_refused_with_both_values(make_parts, small_data, tmp_path, changes, message):
    checkpoints(tmp_path, make_parts(), small_data).save(reached(60.0))
    other = checkpoints(tmp_path, make_parts(**changes), small_data)
    with pytest.raises(SpecError, match=message):
        other.restore()


def test_other_images_are_refused(make_parts, small_data, tmp_path):
    parts = make_parts()
    checkpoints(tmp_path, parts, small_data).save(reached(60.0))
    other = replace(small_data, train=small_data.train.take(slice(100)))
    with pytest.raises(DataError, match=r"started on other data \(small\.npz, 128 items for training\)"):
        checkpoints(tmp_path, parts, other).restore()


def test_the_optimizer_of_another_version_is_refused_before_its_state_is_read(make_parts, small_data, tmp_path):
    kept = checkpoints(tmp_path, make_parts(), small_data)
    kept.save(reached(60.0))
    record = json.loads((tmp_path / MILESTONE).read_text())
    del record["optimizer"]
    (tmp_path / MILESTONE).write_text(json.dumps(record))
    with pytest.raises(SpecError, match="another version of pocketvae.*--force to start over"):
        kept.restore()


def test_a_damaged_checkpoint_is_an_error_in_words(make_parts, small_data, tmp_path):
    parts = make_parts()
    kept = checkpoints(tmp_path, parts, small_data)
    kept.save(reached(60.0))
    data = tmp_path / "checkpoints" / "step-16.data-00000-of-00001"
    whole = data.read_bytes()
    for damaged in (whole[:100], bytes(len(whole))):
        data.write_bytes(damaged)
        with pytest.raises(TrainingError, match=r"the checkpoint .*step-16 is damaged: ") as caught:
            kept.restore()
        assert len(str(caught.value).splitlines()) == 1
    (tmp_path / "checkpoints" / "best-1.index").unlink()
    with pytest.raises(TrainingError, match=r"the checkpoint .*best-1 is damaged: "):
        kept.restore_best()


@pytest.mark.parametrize("content", ["", "{", '{"schema_version": 99}', '{"schema_version": 1}'])
def test_a_damaged_record_is_refused(make_parts, small_data, tmp_path, content):
    kept = checkpoints(tmp_path, make_parts(), small_data)
    (tmp_path / MILESTONE).write_text(content)
    with pytest.raises(ManifestError, match=r"state\.json"):
        kept.restore()


def test_the_record_is_written_after_the_weights_it_names(make_parts, small_data, tmp_path, monkeypatch):
    parts = make_parts()
    kept = checkpoints(tmp_path, parts, small_data)
    kept.save(reached(60.0))
    before = everything(parts)
    take_steps(parts, small_data, range(2))

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pocketvae.system.files.write_text", fail)
    with pytest.raises(OSError, match="No space left"):
        kept.save(reached(60.0, 50.0))
    monkeypatch.undo()
    assert json.loads((tmp_path / MILESTONE).read_text())["latest"] == "step-16"
    assert len(kept.restore().epochs) == 1
    for a, b in zip(before, everything(parts), strict=True):
        np.testing.assert_array_equal(a, b)
