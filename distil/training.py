"""Training of students on their teacher's outputs: Adam, a cosine, batches that follow from the seed and the step."""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pocketvae.distil.config import DistilConfig
from pocketvae.distil.examples import Batch, Examples, draw_items
from pocketvae.distil.latents import CHOICE, START, TRAINING, draw
from pocketvae.distil.losses import distance
from pocketvae.distil.networks import build_student
from pocketvae.distil.record import Candidate
from pocketvae.distil.students import Student
from pocketvae.distil.teacher import Teacher, joined
from pocketvae.distil.warm_start import start_from_teacher
from pocketvae.errors import TrainingError
from pocketvae.keras.io import import_keras, import_tensorflow
from pocketvae.progress import Progress, ProgressCallback

_WARMUP_STEPS, _WARMUP_SHARE = 100, 20
_FINAL_RATE = 0.01
# A short training takes this share of all steps, and not more than so many.
_SHORT_SHARE, _MOST_SHORT = 20, 500
# Of the last steps, whose mean is shown and recorded.
_RECENT = 100
_PROGRESS_EVERY_STEPS = 10
_CHOICE_LATENTS, _START_LATENTS = 512, 4096


class Learner:
    """A student that is being trained.

    Attributes:
        student: Its shapes.
        model: The Keras model, without head.
        optimizer: Its optimizer.
    """

    def __init__(self, student: Student, teacher: Teacher, config: DistilConfig) -> None:
        """Builds the student and compiles its step."""
        keras = import_keras()
        self.student, self._vae, self._config = student, teacher.vae, config
        self.model = build_student(student, teacher.vae, config.seed)
        if teacher.network is not None:
            drawn = joined(draw(teacher, _START_LATENTS, seed=config.seed, stream=START, number=0))
            start_from_teacher(self.model, student, teacher.network, teacher.given(drawn))
        self.optimizer = keras.optimizers.Adam(config.learning_rate, jit_compile=False)
        self._weights = self.model.trainable_variables
        self.optimizer.build(self._weights)
        self._step, self._evaluate = self._compiled()

    def learn(self, batch: Batch, step: int) -> float:
        """Takes one step and returns the mean loss of the batch.

        Args:
            batch: Latents and what the teacher makes of them.
            step: Its number, from 0.

        Raises:
            TrainingError: the loss is not finite.
        """
        latents, targets = batch
        loss = float(self._step(np.float32(rate(self._config, step)), latents.z, latents.labels, *targets))
        if not math.isfinite(loss):
            raise TrainingError(f"the loss became {loss} at step {step} ({self.student.text()}): choose another --seed")
        return loss

    def loss(self, batch: Batch) -> float:
        """Returns the mean loss of a batch."""
        latents, targets = batch
        return float(np.mean(self._evaluate(latents.z, latents.labels, *targets)))

    def _compiled(self) -> tuple[Any, Any]:
        """Returns the step and the evaluation as graphs for any number of latents.

        They are traced once here: TensorFlow would take several students for one function that is traced too often.
        """
        tf, vae = import_tensorflow(), self._vae
        data = [tf.TensorSpec((None, *vae.data_shape), tf.float32)] * vae.likelihood.decoder_outputs
        given = (tf.TensorSpec((None, vae.latent_dim), tf.float32), tf.TensorSpec((None,), tf.int32), *data)
        step = tf.function(self._take_step, autograph=False)
        evaluate = tf.function(self._distances, autograph=False)
        scalar = tf.TensorSpec((), tf.float32)
        return step.get_concrete_function(scalar, *given), evaluate.get_concrete_function(*given)

    def _distances(self, z: Any, labels: Any, *targets: Any) -> Any:
        outputs = self.model([z, labels] if self._vae.label_count else z, training=True)
        return distance(self._vae, outputs if isinstance(outputs, (list, tuple)) else [outputs], targets)

    def _take_step(self, learning_rate: Any, z: Any, labels: Any, *targets: Any) -> Any:
        tf = import_tensorflow()
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(self._distances(z, labels, *targets))
        self.optimizer.learning_rate.assign(learning_rate)
        self.optimizer.apply_gradients(zip(tape.gradient(loss, self._weights), self._weights, strict=True))
        return loss


@dataclass(frozen=True, kw_only=True)
class Material:
    """What students learn from.

    Attributes:
        teacher: Whose outputs they learn.
        examples: Real items, of which half of each batch are then; None for none.
    """

    teacher: Teacher
    examples: Examples | None = None

    def batch(self, count: int, config: DistilConfig, stream: int, number: int) -> Batch:
        """Returns `count` latents and what a student has to return for each; the number of the batch determines it."""
        of_items = count // 2 if self.examples is not None else 0
        drawn = draw(self.teacher, count - of_items, seed=config.seed, stream=stream, number=number)
        latents = joined(drawn)
        targets = self.teacher.targets(latents)
        if self.examples is None:
            return latents, targets
        items = self.examples.unseen if stream == CHOICE else self.examples.learned
        others, wanted = draw_items(self.teacher, items, of_items, seed=config.seed, stream=stream, number=number)
        pairs = zip(targets, wanted, strict=True)
        return joined({"made": latents, "given": others}), tuple(np.concatenate(pair) for pair in pairs)


@dataclass(frozen=True, kw_only=True)
class Reached:
    """How far the training of the chosen student is.

    Attributes:
        step: Steps taken.
        recent: Losses of the last steps.
    """

    step: int
    recent: tuple[float, ...] = ()

    @property
    def loss(self) -> float:
        """Mean of the last steps; infinite before the first."""
        return float(np.mean(self.recent)) if self.recent else math.inf


def rate(config: DistilConfig, step: int) -> float:
    """Returns the learning rate of a step: a linear warm-up, then a cosine to a hundredth."""
    warm = min(1.0, (step + 1) / max(1, min(_WARMUP_STEPS, config.steps // _WARMUP_SHARE)))
    fall = 0.5 * (1 + math.cos(math.pi * min(1.0, step / config.steps)))
    return config.learning_rate * warm * (_FINAL_RATE + (1 - _FINAL_RATE) * fall)


def choose(
    candidates: tuple[Candidate, ...], material: Material, config: DistilConfig, progress: ProgressCallback
) -> tuple[Learner, Reached, tuple[Candidate, ...]]:
    """Trains candidates for a short time, keeps the better half, and so on until one is left (successive halving).

    All learn from the same batches.

    Returns:
        The one that is left, the steps it has taken, and all candidates with their losses, the chosen one first.

    Raises:
        TrainingError: a loss is not finite.
    """
    unseen = material.batch(_CHOICE_LATENTS, config, CHOICE, 0)
    short = max(1, min(config.steps // _SHORT_SHARE, _MOST_SHORT))
    known = {candidate.student: candidate for candidate in candidates}
    left = [Learner(candidate.student, material.teacher, config) for candidate in candidates]
    rounds = math.ceil(math.log2(len(left)))
    order = list(known)
    for number in range(rounds):
        for step, batch in _batches(material, config, range(number * short, (number + 1) * short)):
            for learner in left:
                learner.learn(batch, step)
            done, total = step + 1, rounds * short
            if done % _PROGRESS_EVERY_STEPS == 0 or done == total:
                detail = f"{len(left)} candidates, round {number + 1} of {rounds}"
                progress(Progress(stage="choosing a student", done=done, total=total, detail=detail))
        losses = {learner.student: learner.loss(unseen) for learner in left}
        known |= {
            student: replace(known[student], losses=(*known[student].losses, loss)) for student, loss in losses.items()
        }
        left.sort(key=lambda learner: losses[learner.student])
        places = [learner.student for learner in left]
        order = [*places, *(student for student in order if student not in places)]
        left = left[: math.ceil(len(left) / 2)]
    return left[0], Reached(step=rounds * short), tuple(known[student] for student in order)


def train(
    learner: Learner, material: Material, config: DistilConfig, reached: Reached, progress: ProgressCallback
) -> Iterator[Reached]:
    """Trains the chosen student to the end and yields how far it is after every step.

    Raises:
        TrainingError: the loss is not finite.
    """
    for step, batch in _batches(material, config, range(reached.step, config.steps)):
        loss = learner.learn(batch, step)
        reached = Reached(step=step + 1, recent=(*reached.recent, loss)[-_RECENT:])
        if reached.step % _PROGRESS_EVERY_STEPS == 0 or reached.step == config.steps:
            detail = f"loss {reached.loss:.4g}"
            progress(Progress(stage="training", done=reached.step, total=config.steps, detail=detail))
        yield reached


def _batches(material: Material, config: DistilConfig, steps: range) -> Iterator[tuple[int, Batch]]:
    """Yields the batch of each step. The next one is made while the student learns, which takes about as long."""
    with ThreadPoolExecutor(1) as pool:
        coming = [pool.submit(material.batch, config.batch_size, config, TRAINING, step) for step in steps[:1]]
        for step in steps:
            batch = coming.pop().result()
            if step + 1 in steps:
                coming.append(pool.submit(material.batch, config.batch_size, config, TRAINING, step + 1))
            yield step, batch
