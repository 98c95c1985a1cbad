"""Plain Keras: pocketvae's networks in a `keras.Model` with its own `train_step`, trained with `fit`."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tf_keras

from pocketvae.train import Objective, TrainConfig
from pocketvae.train.model import VaeModel

_WARMUP_STEPS = 5
_LOSS_TOLERANCE = 1e-4
_ENDLESS_EPOCHS = 1_000_000
_LOG_TWO_PI = math.log(2 * math.pi)


class KerasFit:
    """Trains with `fit` as its users do: one array of images, Keras's own shuffling and its default settings."""

    def __init__(
        self,
        config: TrainConfig,
        model: VaeModel,
        images: npt.NDArray[np.uint8],
        reference: Mapping[str, npt.NDArray[Any]],
    ) -> None:
        """Compiles, proves that the step is pocketvae's, and warms up.

        Raises:
            ValueError: the losses are not those of the reference.
        """
        self._size = config.batch_size
        # Full batches alone, as all the others have.
        self._images = images[: len(images) // self._size * self._size]
        initial = [weight.numpy() for weight in model.trainable_variables()]
        self.facts: dict[str, Any] = {"checks": {"relative_loss_deviation": _check(config, model, reference)}}
        for weight, value in zip(model.trainable_variables(), initial, strict=True):
            weight.assign(value)
        self._model = _compiled(config, model)
        self.measure(0.0, _WARMUP_STEPS)

    def measure(self, seconds: float, warmup_steps: int) -> tuple[int, float]:
        """Takes steps for at least so many seconds, one at the least; returns how many, and the exact time.

        The clock runs from step to step inside `fit`, so that what `fit` does before its first step is not counted.
        """
        stopwatch = _Stopwatch(seconds, max(1, warmup_steps))
        self._model.fit(self._images, batch_size=self._size, epochs=_ENDLESS_EPOCHS, verbose=0, callbacks=[stopwatch])
        return stopwatch.steps, stopwatch.elapsed_s


class KerasVae(tf_keras.Model):
    """Networks, loss and step."""

    def __init__(self, config: TrainConfig, model: VaeModel) -> None:
        super().__init__()
        self.encoder, self.decoder, self.prior = model.encoder, model.decoder, model.prior
        self._log_prior, self._config = model.log_prior, config

    def train_step(self, images: Any) -> dict[str, Any]:
        """Draws binary pixels and latent noise and takes an optimizer step."""
        intensities = tf.cast(images, tf.float32) / 255.0
        x = tf.cast(tf.random.uniform(tf.shape(intensities)) < intensities, tf.float32)
        samples, latent_dim = self._config.importance_samples, self._config.latent_dim
        return {"loss": self.update(x, tf.random.normal((samples, tf.shape(x)[0], latent_dim)))}

    def update(self, x: Any, eps: Any) -> Any:
        """Takes an optimizer step and returns the batch's mean loss in nats.

        Args:
            x: `[N, H, W, C]` of 0 and 1.
            eps: `[K, N, D]` standard normal noise.
        """
        with tf.GradientTape() as tape:
            loss = self._loss(x, eps)
        weights = self.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        return loss

    def _loss(self, x: Any, eps: Any) -> Any:
        z_mean, z_log_var = self.encoder(x, training=True)
        z = z_mean + tf.exp(0.5 * z_log_var) * eps
        logits = self.decoder(tf.reshape(z, (-1, z.shape[-1])), training=True)
        logits = tf.reshape(logits, tf.concat([tf.shape(eps)[:1], tf.shape(x)], 0))
        log_likelihood = tf.reduce_sum(x * logits - tf.nn.softplus(logits), (-3, -2, -1))
        iwae = self._config.objective is Objective.IWAE
        if self.prior is None and not iwae:
            kl = 0.5 * tf.reduce_sum(tf.exp(z_log_var) + tf.square(z_mean) - 1.0 - z_log_var, -1)
            return tf.reduce_mean(kl) - tf.reduce_mean(log_likelihood)
        log_posterior = -0.5 * tf.reduce_sum(_LOG_TWO_PI + z_log_var + tf.square(eps), -1)
        log_weights = log_likelihood + self._log_prior(z) - log_posterior
        if iwae:
            return math.log(eps.shape[0]) - tf.reduce_mean(tf.reduce_logsumexp(log_weights, 0))
        return -tf.reduce_mean(log_weights)


class _Stopwatch(tf_keras.callbacks.Callback):
    """Times the steps after the warm-up and ends the training."""

    def __init__(self, seconds: float, warmup_steps: int) -> None:
        super().__init__()
        self._seconds, self._warmup_steps, self._started = seconds, warmup_steps, 0.0
        self.steps, self.elapsed_s = -warmup_steps, 0.0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Looks at the clock after every step."""
        now = time.perf_counter()
        self.steps += 1
        if self.steps == 0:
            self._started = now
        elif self.steps > 0:
            self.elapsed_s = now - self._started
            self.model.stop_training = self.elapsed_s >= self._seconds


def _compiled(config: TrainConfig, model: VaeModel) -> KerasVae:
    optimizer = tf_keras.optimizers.Adam(
        config.learning_rate,
        global_clipnorm=config.max_gradient_norm,
        use_ema=config.ema_decay > 0,
        ema_momentum=config.ema_decay,
    )
    keras_model = KerasVae(config, model)
    keras_model.compile(optimizer)
    return keras_model


def _check(config: TrainConfig, model: VaeModel, reference: Mapping[str, npt.NDArray[Any]]) -> float:
    """Returns how far the losses of the first steps are from the reference's, in parts of their values."""
    keras_model, worst = _compiled(config, model), 0.0
    for x, eps, expected in zip(*(reference[name] for name in ("xs", "noise", "losses")), strict=True):
        loss = float(keras_model.update(tf.constant(x), tf.constant(eps)))
        worst = max(worst, abs(loss - float(expected)) / abs(float(expected)))
    if worst >= _LOSS_TOLERANCE:
        raise ValueError(f"the losses of the first steps differ by {worst:.1e} of their values")
    return worst
