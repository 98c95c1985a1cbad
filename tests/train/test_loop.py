"""The loop with a trainer that only records: which images, in which order, with which rates, and when it stops."""

import contextlib
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from pocketvae.data.dataset import ImageSet, ImageSplits
from pocketvae.progress import ignore_progress
from pocketvae.train.evaluation import ElboEstimate, LikelihoodEstimate
from pocketvae.train.loop import LoopState, NotFiniteError, fit, is_stopped_early, steps_of_epoch

pytestmark = pytest.mark.slow
COUNT, BATCH = 130, 8
STEPS = COUNT // BATCH


def part(count):
    """Image i has the value i everywhere, and the label i."""
    images = np.arange(count, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 1), np.uint8)
    return ImageSet(images=images, labels=np.arange(count, dtype=np.int32))


DATA = ImageSplits(name="x", train=part(COUNT), validation=part(3), test=part(3))


class Recorder:
    """A trainer and an evaluator in one; a loss is the number of its step."""

    def __init__(self, config, elbos=(), losses=None):
        self.config, self.elbos, self.losses = config, list(elbos), losses or {}
        self.steps, self.evaluated, self.bounds, self.inside = [], [], [], False

    def step(self, images, labels, number, knobs):
        np.testing.assert_array_equal(images[:, 0, 0, 0], labels)
        self.steps.append((number, labels.tolist(), knobs))
        return self.losses.get(number, float(number))

    @contextlib.contextmanager
    def averaged_weights(self):
        self.inside = True
        yield
        self.inside = False

    def fit_noise(self, items):
        assert self.inside

    def elbo(self, images):
        assert self.inside
        self.evaluated.append(len(images))
        value = self.elbos[len(self.evaluated) - 1] if self.elbos else 50.0
        return ElboEstimate(
            negative_elbo_nats=value,
            standard_error_nats=0.1,
            reconstruction_nats=value - 10,
            kl_nats=10.0,
            active_units=2,
            psnr_db=9.0,
        )

    def log_likelihood(self, images, samples):
        assert self.inside
        self.bounds.append(samples)
        return LikelihoodEstimate(
            negative_log_likelihood_nats=30.0 - len(self.bounds),
            standard_error_nats=0.1,
            importance_samples=samples,
            images=len(images),
        )


def states(recorder, state=None, progress=ignore_progress):
    return list(fit(recorder, recorder, DATA, state or LoopState(), progress))


def test_every_epoch_takes_every_image_once_and_drops_the_last_part_of_a_batch(small_config):
    recorder = Recorder(small_config(epochs=3))
    states(recorder)
    numbers = [number for number, _, _ in recorder.steps]
    assert numbers == list(range(3 * STEPS))
    epochs = [
        [label for _, labels, _ in recorder.steps[start : start + STEPS] for label in labels]
        for start in (0, STEPS, 2 * STEPS)
    ]
    for labels in epochs:
        assert len(set(labels)) == len(labels) == STEPS * BATCH
    # Another epoch has other batches, and leaves others out.
    assert len({tuple(labels) for labels in epochs}) == 3
    assert set().union(*epochs) == set(range(COUNT))


def test_the_seed_decides_the_batches(small_config):
    one, same, other = (Recorder(small_config(seed=seed, epochs=1)) for seed in (0, 0, 1))
    for recorder in (one, same, other):
        states(recorder)
    assert one.steps == same.steps
    assert one.steps != other.steps


def test_the_rate_and_the_weight_of_the_divergence_are_those_of_the_step(small_config):
    from pocketvae.train.schedule import kl_weight, learning_rate

    config = small_config(epochs=4, beta=2.0, kl_warmup_epochs=2)
    recorder = Recorder(config)
    states(recorder)
    for number, _, knobs in recorder.steps:
        assert knobs.learning_rate == learning_rate(config, number, 4 * STEPS)
        assert knobs.beta == kl_weight(config, number / STEPS)
    assert recorder.steps[0][2].beta == 0
    assert recorder.steps[-1][2].beta == 2


def test_the_first_epochs_take_one_sample_and_changed_images(small_config):
    iwae = {"objective": "iwae", "importance_samples": 4, "importance_warmup_epochs": 2}
    recorder = Recorder(small_config(epochs=3, shift_pixels=1, augmented_epochs=1, **iwae))
    states(recorder)
    knobs = [recorder.steps[epoch * STEPS + place][2] for epoch in range(3) for place in (0, STEPS - 1)]
    assert [knob.single_sample for knob in knobs] == [True] * 4 + [False] * 2
    assert [knob.augmented for knob in knobs] == [True] * 2 + [False] * 4
    # Without the keys, all epochs are alike.
    recorder = Recorder(small_config(epochs=1, shift_pixels=1))
    states(recorder)
    assert {(knob.single_sample, knob.augmented) for _, _, knob in recorder.steps} == {(False, True)}


def test_an_epoch_ends_with_its_figures(small_config):
    recorder = Recorder(small_config(epochs=2), elbos=[60, 55])
    first, second = states(recorder)
    assert [epoch.epoch for epoch in second.epochs] == [1, 2]
    assert first.epochs == second.epochs[:1]
    assert (first.step, second.step) == (STEPS, 2 * STEPS)
    assert second.epochs[1].train_loss_nats == np.mean(range(STEPS, 2 * STEPS))
    assert second.epochs[1].validation_negative_elbo_nats == 55
    assert second.epochs[1].validation_reconstruction_nats == 45
    assert second.epochs[1].learning_rate == recorder.steps[-1][2].learning_rate
    assert second.epochs[1].elapsed_s == second.elapsed_s >= first.elapsed_s > 0
    assert second.losses == ()
    assert recorder.evaluated == [3, 3]


def test_states_within_an_epoch_are_yielded_too_and_none_twice(small_config):
    recorder = Recorder(small_config(epochs=2, checkpoint_steps=4))
    reached = states(recorder)
    # The 16th step ends the first epoch.
    assert [state.step for state in reached] == [4, 8, 12, 16, 20, 24, 28, 32]
    assert [len(state.losses) for state in reached] == [4, 8, 12, 0, 4, 8, 12, 0]
    assert [len(state.epochs) for state in reached] == [0, 0, 0, 1, 1, 1, 1, 2]


def test_going_on_from_any_state_takes_the_remaining_steps_exactly(small_config):
    config = small_config(epochs=2, checkpoint_steps=5)
    whole = Recorder(config)
    reached = states(whole)
    for index, state in enumerate(reached):
        rest = Recorder(config)
        again = states(rest, state)
        assert rest.steps == whole.steps[state.step :]

        def without_times(state):
            return replace(state, elapsed_s=0, epochs=tuple(replace(epoch, elapsed_s=0) for epoch in state.epochs))

        assert [without_times(state) for state in again] == [without_times(state) for state in reached[index + 1 :]]


def test_time_goes_on_where_it_was(small_config):
    state = replace(states(Recorder(small_config(epochs=2)))[0], elapsed_s=1000.0)
    assert states(Recorder(small_config(epochs=2)), state)[-1].elapsed_s > 1000


def test_training_stops_early_when_the_validation_does_not_improve(small_config):
    config = small_config(epochs=9, patience_epochs=2)
    recorder = Recorder(config, elbos=[60, 50, 50, 51, 40])
    reached = states(recorder)
    # The third is no better than the second, and neither is the fourth.
    assert len(reached[-1].epochs) == 4
    assert reached[-1].best.epoch == 2
    assert is_stopped_early(config, reached[-1])
    assert not is_stopped_early(config, reached[-2])
    assert states(Recorder(config), reached[-1]) == []


def test_the_best_epoch_of_several_samples_is_that_of_their_bound(small_config):
    iwae = {"objective": "iwae", "importance_samples": 4, "importance_warmup_epochs": 2}
    recorder = Recorder(small_config(epochs=5, **iwae), elbos=[60, 50, 51, 52, 53])
    last = states(recorder)[-1]
    assert recorder.bounds == [4, 4, 4]
    assert [epoch.validation_bound_nats for epoch in last.epochs] == [None, None, 29.0, 28.0, 27.0]
    assert last.best.epoch == 5
    assert last.epochs[0].figures().keys() == last.epochs[4].figures().keys() - {"validation_bound_nats"}


def test_the_best_epoch_is_that_of_the_loss_with_its_weight_of_the_divergence(small_config):
    # The recorder's divergence is 10 nats.
    last = states(Recorder(small_config(epochs=2, beta=0.1), elbos=[50, 51]))[-1]
    assert [epoch.validation_loss_nats for epoch in last.epochs] == [41.0, 42.0]
    assert [epoch.validation_weighted_nats for epoch in last.epochs] == [41.0, 42.0]
    plain = states(Recorder(small_config(epochs=2), elbos=[50, 51]))[-1]
    assert [epoch.validation_loss_nats for epoch in plain.epochs] == [50.0, 51.0]
    assert "validation_weighted_nats" not in plain.epochs[0].figures()


@pytest.mark.parametrize(
    "first",
    [
        {"augmented_epochs": 5, "shift_pixels": 1},
        {"importance_warmup_epochs": 5, "objective": "iwae", "importance_samples": 2},
        {"kl_warmup_epochs": 5},
    ],
)
def test_epochs_of_another_kind_do_not_count_for_stopping(small_config, first):
    config = small_config(epochs=20, patience_epochs=2, **first)
    recorder = Recorder(config, elbos=[50, 60, 60, 60, 60, 60, 60, *[60] * 13])
    # Every bound of the recorder is better than the one before.
    expected = 20 if "objective" in first else 7
    assert len(states(recorder)[-1].epochs) == expected


def test_without_patience_it_goes_on_to_the_end(small_config):
    reached = states(Recorder(small_config(epochs=4), elbos=[50, 60, 70, 80]))
    assert len(reached[-1].epochs) == 4
    assert reached[-1].best.epoch == 1


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_loss_that_is_not_finite_stops_at_its_step(small_config, value):
    recorder = Recorder(small_config(), losses={5: value})
    with pytest.raises(NotFiniteError, match=f"the loss became {value} at step 5"):
        states(recorder)
    assert len(recorder.steps) == 6


def test_a_validation_that_is_not_finite_stops_too(small_config):
    with pytest.raises(NotFiniteError, match=f"the validation ELBO became nan at step {STEPS}"):
        states(Recorder(small_config(), elbos=[float("nan")]))


def test_fewer_images_than_a_batch_are_one_batch(small_config):
    recorder = Recorder(small_config(batch_size=500, epochs=2))
    states(recorder)
    assert [len(labels) for _, labels, _ in recorder.steps] == [COUNT, COUNT]
    assert steps_of_epoch(recorder.config, DATA.train) == 1


def test_progress_tells_steps_epoch_and_loss(small_config):
    told = []
    states(Recorder(small_config(epochs=2), elbos=[60, 55]), progress=told.append)
    assert [step.done for step in told] == [10, 20, 30, 32]
    assert {(step.stage, step.total) for step in told} == {("training", 32)}
    assert told[0].detail == "epoch 1/2, loss 4.5 nats"
    assert told[-1].detail == "epoch 2/2, loss 23.5 nats, validation 60.00"


# Everything that touches all training images: reading the folder, its identity, the batches of one epoch.
WHOLE_EPOCH = """
import sys
import numpy as np
from pocketvae.data.dataset import load_splits
from pocketvae.train import TrainConfig
from pocketvae.train.data import identify
from pocketvae.train.loop import _batches, _epoch_order, steps_of_epoch

def anonymous_kb():
    with open("/proc/self/status") as status:
        return int(next(line for line in status if line.startswith("RssAnon")).split()[1])

config = TrainConfig(batch_size=16)
def run(data):
    steps = steps_of_epoch(config, data.train)
    count = sum(len(images) for images, _ in _batches(data.train, _epoch_order(config, 1, len(data.train), steps)))
    return identify(data), count

run(load_splits(sys.argv[1]))
before = anonymous_kb()
data = load_splits(sys.argv[2])
_, count = run(data)
base = data.train.images
while base.base is not None and not isinstance(base, np.memmap):
    base = base.base
print(isinstance(base, np.memmap), count, data.train.images.nbytes // 1024, anonymous_kb() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_an_epoch_over_a_large_folder_keeps_memory_bounded(tmp_path):
    from PIL import Image

    for name, count in (("few", 40), ("many", 3000)):
        folder = tmp_path / name
        folder.mkdir()
        Image.linear_gradient("L").resize((96, 96)).convert("RGB").save(folder / "0000.png")
        for index in range(1, count):
            (folder / f"{index:04d}.png").hardlink_to(folder / "0000.png")
    done = subprocess.run(
        [sys.executable, "-c", WHOLE_EPOCH, str(tmp_path / "few"), str(tmp_path / "many")],
        capture_output=True,
        text=True,
        check=True,
    )
    mapped, count, decoded_kb, grown_kb = done.stdout.split()
    assert mapped == "True"
    assert int(count) == 2400
    assert int(decoded_kb) == 2400 * 27
    assert int(grown_kb) < int(decoded_kb) / 2
