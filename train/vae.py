"""The trainable VAE: encoder, reparameterization, decoder and optimizer as two compiled steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.keras_io import import_keras, import_tensorflow
from pocketvae.train import objective
from pocketvae.train.config import TrainConfig
from pocketvae.train.networks import build_decoder, build_encoder

# Noise streams of one seed: the first word of the stateless seed says what the noise is for.
_BINARIZE, _LATENT = 0, 1


@dataclass(frozen=True, kw_only=True)
class ElboTerms:
    """Sums over the images of a batch, in nats: their mean over a data set is the negative ELBO."""

    reconstruction: npt.NDArray[np.float64]
    kl: npt.NDArray[np.float64]


class Vae:
    """Owns both networks and the optimizer. Sampling lives here and is never exported."""

    def __init__(self, config: TrainConfig, image_shape: tuple[int, int, int]) -> None:
        """Builds both networks with weights drawn from `config.seed`."""
        keras, tf = import_keras(), import_tensorflow()
        self.config = config
        self.encoder = build_encoder(config, image_shape)
        self.decoder = build_decoder(config, image_shape)
        self.optimizer = keras.optimizers.Adam(config.learning_rate, global_clipnorm=config.max_gradient_norm)
        self.optimizer.build(self._weights())
        batch = tf.TensorSpec((None, *image_shape), tf.uint8)
        scalar, pair = tf.TensorSpec((), tf.float32), tf.TensorSpec((2,), tf.int64)
        self._step = tf.function(self._train_step, input_signature=[batch, pair, scalar], autograph=False)
        self._evaluate = tf.function(self._elbo_terms, input_signature=[batch, pair], autograph=False)

    def train_step(self, images: npt.NDArray[np.uint8], step: int, learning_rate: float) -> float:
        """Takes one optimizer step and returns the batch's mean negative ELBO in nats.

        Args:
            images: `[B, H, W, C] uint8`.
            step: Number of the step since the run began; decides its noise.
            learning_rate: Of this step.
        """
        loss = self._step(images, self._noise_seed(step), np.float32(learning_rate))
        return float(loss)

    def elbo_terms(self, images: npt.NDArray[np.uint8], batch: int) -> ElboTerms:
        """Returns both terms of the negative ELBO of every image, `[B]` in nats; changes nothing.

        Args:
            images: `[B, H, W, C] uint8`.
            batch: Number of the batch; decides its noise, apart from all training noise.
        """
        reconstruction, kl = self._evaluate(images, self._noise_seed(-1 - batch))
        return ElboTerms(
            reconstruction=reconstruction.numpy().astype(np.float64),
            kl=kl.numpy().astype(np.float64),
        )

    def reparameterize(self, z_mean: Any, z_log_var: Any, eps: Any) -> Any:
        """Returns z = mean + sigma * eps (Kingma and Welling 2014, section 2.4)."""
        return z_mean + import_tensorflow().exp(0.5 * z_log_var) * eps

    def _weights(self) -> list[Any]:
        return [*self.encoder.trainable_variables, *self.decoder.trainable_variables]

    def _noise_seed(self, step: int) -> npt.NDArray[np.int64]:
        return np.array([self.config.seed, step], np.int64)

    def _elbo_terms(self, images: Any, seed: Any, training: bool = False) -> tuple[Any, Any]:
        tf = import_tensorflow()
        intensities = tf.cast(images, tf.float32) / 255.0
        x = objective.binarize(intensities, _uniform(tf.shape(intensities), seed, _BINARIZE))
        z_mean, z_log_var = self.encoder(x, training=training)
        z = self.reparameterize(z_mean, z_log_var, _normal(tf.shape(z_mean), seed, _LATENT))
        logits = self.decoder(z, training=training)
        return (
            -objective.bernoulli_log_likelihood(x, logits),
            objective.kl_to_standard_normal(z_mean, z_log_var),
        )

    def _train_step(self, images: Any, seed: Any, learning_rate: Any) -> Any:
        tf = import_tensorflow()
        with tf.GradientTape() as tape:
            reconstruction, kl = self._elbo_terms(images, seed, training=True)
            loss = tf.reduce_mean(reconstruction + kl)
        weights = self._weights()
        self.optimizer.learning_rate.assign(learning_rate)
        self.optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        return loss


def _uniform(shape: Any, seed: Any, purpose: int) -> Any:
    tf = import_tensorflow()
    return tf.random.stateless_uniform(shape, tf.stack([seed[0] * 2 + purpose, seed[1]]))


def _normal(shape: Any, seed: Any, purpose: int) -> Any:
    tf = import_tensorflow()
    return tf.random.stateless_normal(shape, tf.stack([seed[0] * 2 + purpose, seed[1]]))
