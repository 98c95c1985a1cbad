"""The training loop: epochs of shuffled batches with validation after each, without disk access or printing."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.data.items import ItemSet, Splits
from pocketvae.errors import TrainingError
from pocketvae.progress import Progress, ProgressCallback
from pocketvae.train.config import TrainConfig
from pocketvae.train.evaluation import Evaluator
from pocketvae.train.schedule import kl_weight, learning_rate, shared_noise
from pocketvae.train.trainer import StepKnobs, Trainer

_PROGRESS_EVERY_STEPS = 10


class NotFiniteError(TrainingError):
    """The loss is NaN or infinite; the message says where."""


@dataclass(frozen=True, kw_only=True)
class EpochMetrics:
    """The results of one epoch, in nats per item.

    The training loss is the objective that was optimized; the validation figures are those of the ELBO, computed with
    the averaged weights if there are any. Where the objective is the bound of several samples, `validation_bound_nats`
    is that of the validation items, and where `beta` is not 1, `validation_weighted_nats` is their negative ELBO with
    that weight of the KL divergence; None for all others.
    """

    epoch: int
    step: int
    train_loss_nats: float
    validation_negative_elbo_nats: float
    validation_reconstruction_nats: float
    validation_kl_nats: float
    validation_active_units: int
    learning_rate: float
    elapsed_s: float
    validation_bound_nats: float | None = None
    validation_weighted_nats: float | None = None

    def figures(self) -> dict[str, Any]:
        """Returns every figure that there is, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @property
    def validation_loss_nats(self) -> float:
        """What training minimizes, of the validation items; several samples can gain where the ELBO loses."""
        others = (self.validation_bound_nats, self.validation_weighted_nats)
        return next((value for value in others if value is not None), self.validation_negative_elbo_nats)


@dataclass(frozen=True, kw_only=True)
class LoopState:
    """The progress of training; together with the weights it is all that is needed to continue.

    Attributes:
        step: Number of steps taken.
        losses: Losses of the steps of the current epoch so far.
        epochs: Metrics of the finished epochs.
        elapsed_s: Training time so far, without interruptions.
    """

    step: int = 0
    losses: tuple[float, ...] = ()
    epochs: tuple[EpochMetrics, ...] = ()
    elapsed_s: float = 0.0

    @property
    def best(self) -> EpochMetrics | None:
        """The epoch with the lowest validation loss; the first one if several tie."""
        return min(self.epochs, key=lambda epoch: epoch.validation_loss_nats, default=None)


def fit(
    trainer: Trainer,
    evaluator: Evaluator,
    data: Splits,
    state: LoopState,
    progress: ProgressCallback,
) -> Iterator[LoopState]:
    """Trains from a state to the end and yields every state that should be saved.

    A state is yielded after each epoch, and every `checkpoint_steps` within one.

    Raises:
        NotFiniteError: the loss or the validation ELBO is NaN or infinite.
    """
    config = trainer.config
    steps_per_epoch = steps_of_epoch(config, data.train)
    total = steps_per_epoch * config.epochs
    clock = _Clock(state.elapsed_s)
    while state.step < total and not is_stopped_early(config, state):
        epoch = state.step // steps_per_epoch + 1
        order = _epoch_order(config, epoch, len(data.train), steps_per_epoch)
        losses = list(state.losses)  # a tuple that grew with every step would be copied with every step
        for items, labels in _batches(data.train, order[state.step % steps_per_epoch :]):
            rate = learning_rate(config, state.step, total)
            beta = kl_weight(config, state.step / steps_per_epoch)
            knobs = StepKnobs(
                learning_rate=rate,
                beta=beta,
                shared_noise=shared_noise(state.step / total),
                single_sample=epoch <= config.importance_warmup_epochs,
                augmented=not 0 < config.augmented_epochs < epoch,
            )
            loss = trainer.step(items, labels, state.step, knobs)
            _check_finite(loss, "loss", state.step)
            losses.append(loss)
            state = replace(state, step=state.step + 1)
            _tell(progress, state, losses, config, total)
            if _is_checkpoint(config, state, steps_per_epoch):
                state = replace(state, losses=tuple(losses), elapsed_s=clock.elapsed_s())
                yield state
        state = replace(state, losses=tuple(losses))
        metrics = _end_of_epoch(trainer, evaluator, data, state, rate, clock)
        state = replace(state, losses=(), epochs=(*state.epochs, metrics), elapsed_s=metrics.elapsed_s)
        yield state


def steps_of_epoch(config: TrainConfig, items: ItemSet) -> int:
    """Returns the number of full batches in one pass over the items, at least one."""
    return len(items) // min(config.batch_size, len(items))


def is_stopped_early(config: TrainConfig, state: LoopState) -> bool:
    """Whether the validation loss has not improved for `patience_epochs`.

    Those of changed images, of single samples and of a KL divergence that counts less do not count: what comes after
    them is another training.
    """
    if not config.patience_epochs or state.best is None:
        return False
    phases = config.augmented_epochs, config.importance_warmup_epochs, config.kl_warmup_epochs
    since = max(state.best.epoch, *phases)
    return state.epochs[-1].epoch - since >= config.patience_epochs


def _epoch_order(config: TrainConfig, epoch: int, count: int, steps: int) -> npt.NDArray[np.int64]:
    order = np.random.default_rng([config.seed, epoch]).permutation(count)
    size = min(config.batch_size, count)
    # Sorted indices read memory in order; the order of items within a batch does not matter.
    return np.sort(order[: steps * size].reshape(steps, size), axis=1)


def _batches(items: ItemSet, order: npt.NDArray[np.int64]) -> Iterator[tuple[npt.NDArray[Any], npt.NDArray[np.int32]]]:
    """Gathers one batch after another, so that only one is in memory, however many items there are.

    A tf.data pipeline with a prefetch was tried: its threads compete with those of the step, and a step of 11 ms took
    24 ms. Gathering takes 0.1 ms.
    """
    labels = items.labels_or_zeros()
    for indices in order:
        yield np.ascontiguousarray(items.items[indices]), labels[indices]


def _end_of_epoch(
    trainer: Trainer, evaluator: Evaluator, data: Splits, state: LoopState, rate: float, clock: _Clock
) -> EpochMetrics:
    samples, epoch, bound = trainer.config.importance_samples, len(state.epochs) + 1, None
    beta = trainer.config.beta
    with trainer.averaged_weights():
        evaluator.fit_noise(data.train)
        estimate = evaluator.elbo(data.validation)
        if samples > 1 and epoch > trainer.config.importance_warmup_epochs:
            bound = evaluator.log_likelihood(data.validation, samples).negative_log_likelihood_nats
    _check_finite(estimate.negative_elbo_nats, "validation ELBO", state.step)
    return EpochMetrics(
        epoch=epoch,
        step=state.step,
        train_loss_nats=float(np.mean(state.losses)),
        validation_negative_elbo_nats=estimate.negative_elbo_nats,
        validation_reconstruction_nats=estimate.reconstruction_nats,
        validation_kl_nats=estimate.kl_nats,
        validation_active_units=estimate.active_units,
        learning_rate=rate,
        elapsed_s=clock.elapsed_s(),
        validation_bound_nats=bound,
        validation_weighted_nats=estimate.reconstruction_nats + beta * estimate.kl_nats if beta != 1 else None,
    )


def _is_checkpoint(config: TrainConfig, state: LoopState, steps_per_epoch: int) -> bool:
    within = state.step % steps_per_epoch != 0
    return within and config.checkpoint_steps > 0 and state.step % config.checkpoint_steps == 0


def _tell(progress: ProgressCallback, state: LoopState, losses: list[float], config: TrainConfig, total: int) -> None:
    if state.step % _PROGRESS_EVERY_STEPS and state.step != total:
        return
    detail = f"epoch {len(state.epochs) + 1}/{config.epochs}, loss {np.mean(losses[-100:]):.1f} nats"
    if state.epochs:
        detail += f", validation {state.epochs[-1].validation_negative_elbo_nats:.2f}"
    progress(Progress(stage="training", done=state.step, total=total, detail=detail))


def _check_finite(value: float, what: str, step: int) -> None:
    if not math.isfinite(value):
        raise NotFiniteError(f"the {what} became {value} at step {step}")


class _Clock:
    """Measures the seconds trained, over all parts of an interrupted training run."""

    def __init__(self, before_s: float) -> None:
        self._started = time.perf_counter() - before_s

    def elapsed_s(self) -> float:
        return time.perf_counter() - self._started
