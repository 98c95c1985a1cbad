"""The trainer: optimizer, averaged weights and the compiled training step of a VAE."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.errors import SpecError
from pocketvae.fields import Channel, ChannelKind
from pocketvae.keras.io import import_tensorflow
from pocketvae.numerics.likelihoods import places
from pocketvae.train import objective
from pocketvae.train.augmentation import augment
from pocketvae.train.config import Objective, TrainConfig
from pocketvae.train.distribution import Workers
from pocketvae.train.mixed_precision import bfloat16_products, check_devices
from pocketvae.train.model import Noise, Terms, VaeModel
from pocketvae.train.optimizer import make_optimizer
from pocketvae.vae_spec import DataKind, Likelihood, PriorKind


@dataclass(frozen=True, kw_only=True)
class StepKnobs:
    """Settings that change from step to step.

    Attributes:
        learning_rate: Learning rate of the optimizer.
        beta: Weight of the KL divergence.
        shared_noise: How far the channels of signals share one variance: 1 all of them, 0 each has its own.
        single_sample: Take one latent sample in place of the bound's K.
        augmented: Change images as the configuration says.
    """

    learning_rate: float
    beta: float
    shared_noise: float = 0.0
    single_sample: bool = False
    augmented: bool = True


class Trainer:
    """Takes optimizer steps on a model."""

    def __init__(self, config: TrainConfig, model: VaeModel, workers: Workers) -> None:
        """Prepares optimizer and averages; nothing is compiled before the first step.

        Args:
            config: The training configuration.
            model: The model to train, created in the scope of `workers`.
            workers: The replicas that share the work.

        Raises:
            SpecError: the configuration asks for bfloat16, and a GPU would train; for an optimizer without effect; or
                for XLA with several workers.
        """
        check_devices(config.bfloat16)
        tf = import_tensorflow()
        self.config, self.model, self._workers = config, model, workers
        self._weights = model.trainable_variables()
        self.optimizer = make_optimizer(config, self._weights)
        self._decayed = _kernels(config, model)
        # So that a checkpoint can be read before the first step.
        self.optimizer._create_all_weights(self._weights)
        mean_of_replicas = tf.VariableAggregation.MEAN
        self.averages = [
            tf.Variable(weight, trainable=False, name=f"average_{index}", aggregation=mean_of_replicas)
            for index, weight in enumerate(self._weights if config.ema_decay else ())
        ]
        if config.jit_compile and workers.count > 1:
            # XLA compiles no collective operations.
            raise SpecError("jit_compile has no effect with several workers: set jit_compile = false")
        self._step = tf.function(self._global_step, jit_compile=config.jit_compile, autograph=False)

    def step(self, items: npt.NDArray[Any], labels: npt.NDArray[np.int32], number: int, knobs: StepKnobs) -> float:
        """Takes one optimizer step and returns the batch's mean loss in nats.

        Args:
            items: `[B, *data_shape]`, the whole batch: uint8 of images, else float32.
            labels: `[B] int32`.
            number: Number of the step since the run began; determines its noise.
            knobs: Settings of this step.
        """
        # A new average would still hold the initial weights, so it forgets faster at first.
        decay = min(self.config.ema_decay, (1 + number) / (10 + number))
        values = np.array([knobs.learning_rate, knobs.beta, decay, knobs.shared_noise], np.float32)
        seed = np.array([self.config.seed, number], np.int64)
        parts = self._workers.scatter(items, labels)
        samples = 1 if knobs.single_sample else self.config.importance_samples
        with bfloat16_products(self.config.bfloat16):
            return float(self._step(*parts, seed, values, samples, knobs.augmented))

    @contextlib.contextmanager
    def averaged_weights(self) -> Iterator[None]:
        """Uses the averaged weights in the model for the block; does nothing if there are none."""
        current = [weight.numpy() for weight in self._weights] if self.averages else []
        for weight, average in zip(self._weights, self.averages, strict=False):
            weight.assign(average.numpy())
        try:
            yield
        finally:
            for weight, value in zip(self._weights, current, strict=False):
                weight.assign(value)

    def tracked(self) -> dict[str, Any]:
        """Returns everything that a checkpoint to resume from has to contain, by name."""
        tracked = {**self.tracked_weights(), "optimizer": self.optimizer}
        return {**tracked, "averages": self.averages} if self.averages else tracked

    def tracked_weights(self) -> dict[str, Any]:
        """Returns everything that a checkpoint of only the model has to contain, by name."""
        model = self.model
        parts = {
            "encoder": model.encoder,
            "decoder": model.decoder,
            "prior": model.prior,
            "pseudo_inputs": model.pseudo_inputs,
            "variance": model.variance,
            "degrees_of_freedom": model.degrees_of_freedom,
        }
        return {name: part for name, part in parts.items() if part is not None}

    def _global_step(self, items: Any, labels: Any, first: Any, seed: Any, values: Any, *variant: Any) -> Any:
        """Takes a step, compiled for each variant: the number of samples, and whether images are changed."""
        return self._workers.run(self._replica_step, (items, labels, first, seed, values, *variant))

    def _replica_step(
        self, items: Any, labels: Any, first: Any, seed: Any, values: Any, samples: int, augmented: bool
    ) -> Any:
        """Takes one worker's part of a step and returns its part of the mean loss."""
        tf = import_tensorflow()
        learning_rate, beta, decay, shared_noise = tf.unstack(values)
        shared = self._workers.count > 1
        noise = Noise(seed=seed, first=first, whole=items.shape[0] * self._workers.count if shared else None)
        path = objective.WeightedPath() if self.config.doubly_reparameterized else None
        with tf.GradientTape() as tape:
            terms = self.model.terms(
                augment(items, self.config, noise) if augmented else items,
                labels,
                noise,
                samples=samples,
                training=True,
                fit_variance=lambda optimal: self._fit_variance(optimal, shared_noise),
                path=path,
            )
            loss = (self._loss(terms, beta, path) + self._penalty(terms)) / self._workers.count
        self.optimizer.learning_rate.assign(learning_rate)
        self._decay_weights(learning_rate)
        self.optimizer.apply_gradients(zip(tape.gradient(loss, self._weights), self._weights, strict=True))
        for average, weight in zip(self.averages, self._weights, strict=False):
            average.assign_sub((1.0 - decay) * (average - weight))
        return loss

    def _decay_weights(self, learning_rate: Any) -> None:
        if self.config.weight_decay:
            for weight in self._decayed:
                weight.assign_sub(learning_rate * self.config.weight_decay * weight)

    def _loss(self, terms: Terms, beta: Any, path: objective.WeightedPath | None) -> Any:
        tf = import_tensorflow()
        if self.config.objective is Objective.IWAE:
            bound = objective.importance_bound if path is None else path.bound
            return -tf.reduce_mean(bound(terms.log_weights()))
        reconstruction = -tf.reduce_mean(terms.log_likelihood)
        if not self.model.is_kl_analytic():
            return reconstruction + beta * tf.reduce_mean(terms.log_posterior - terms.log_prior)
        if self.config.free_bits_nats > 0:
            charged = objective.with_free_bits(terms.kl, self.config.free_bits_nats, self._workers.mean)
            return reconstruction + beta * charged
        return reconstruction + beta * tf.reduce_mean(tf.reduce_sum(terms.kl, axis=-1))

    def _penalty(self, terms: Terms) -> Any:
        """Returns what logits or posteriors outside their bounds cost, where bounds are asked for."""
        if not self.config.quantization_friendly:
            return 0.0
        if self.model.spec.data is not DataKind.IMAGE:
            return objective.sharpness_penalty(terms.z_log_var)
        is_binary = self.model.spec.likelihood is Likelihood.BERNOULLI
        return objective.excess_penalty(terms.outputs) if is_binary else 0.0

    def _fit_variance(self, optimal: Any, shared_noise: Any) -> Any:
        """Returns the variance of a step: the optimal one of the whole batch. Evaluation fits its own, see `fit`.

        Channels that are easily fitted have large gradients, most of which are noise, and the others would not be
        learned beside them. So they begin with the mean variance of all, and come into their own on the way.
        """
        tf = import_tensorflow()
        # At its optimum the ELBO has no gradient by it. A bound of several samples has one, through all of them,
        # of which the weights of single samples say nothing.
        variances = tf.stop_gradient(self._workers.mean(optimal))
        if self.model.spec.data is DataKind.IMAGE:
            return variances
        real = [place for channel, part in places(self.model.spec.channels) for place in _real_places(channel, part)]
        if not real:
            return variances
        shared = tf.reduce_mean(tf.gather(variances, real))
        return tf.exp((1 - shared_noise) * tf.math.log(variances) + shared_noise * tf.math.log(shared))


def _kernels(config: TrainConfig, model: VaeModel) -> list[Any]:
    """Returns what weight decay is for: kernels of networks, not biases, and not the parameters of a mixture."""
    networks = [model.encoder, model.decoder, *([model.prior] if config.prior is PriorKind.REALNVP else [])]
    return [weight for network in networks for weight in network.trainable_variables if len(weight.shape) > 1]


def _real_places(channel: Channel, part: slice) -> list[int]:
    return [part.start] if channel.kind is ChannelKind.REAL else []
