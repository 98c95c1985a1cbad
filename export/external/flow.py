"""A RealNVP flow fitted to latents by maximum likelihood."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.keras.flows import build_realnvp, realnvp_log_density
from pocketvae.keras.io import import_keras, import_tensorflow

DoubleArray = npt.NDArray[np.float64]

_COUPLINGS, _LEAST_UNITS, _MOST_UNITS = 8, 64, 256
_BATCH, _LEARNING_RATE = 256, 1e-3
_ROUND_STEPS, _MOST_ROUNDS, _PATIENCE = 100, 40, 4


@dataclass(frozen=True, kw_only=True)
class Flow:
    """A fitted flow, followed by a scale and a shift of every dimension.

    Attributes:
        model: The flow, for latents that were centred and scaled.
        centre: `[D]`.
        scale: `[D]`.
    """

    model: Any
    centre: DoubleArray
    scale: DoubleArray

    @property
    def description(self) -> str:
        """What it is, in words."""
        return f"a RealNVP flow of {_COUPLINGS} couplings"

    def log_density(self, z: DoubleArray) -> DoubleArray:
        """Returns log p(z) in nats, `[N]`, of latents `[N, D]`."""
        rows = ((z - self.centre) / self.scale).astype(np.float32)
        return np.asarray(realnvp_log_density(self.model, rows), np.float64) - float(np.log(self.scale).sum())

    def sample(self, count: int, rng: np.random.Generator) -> DoubleArray:
        """Returns `[count, D]` latents."""
        eps = rng.standard_normal((count, len(self.centre))).astype(np.float32)
        return self.centre + self.scale * np.asarray(self.model(eps, training=False), np.float64)

    def build(self, shape: tuple[int, ...]) -> Any:
        """Returns the sampling model: `eps [N, D] -> z [N, *shape]`."""
        keras = import_keras()
        # With a variance of 1 and a mean of 0 it is a product and a sum.
        moved = keras.layers.BatchNormalization(epsilon=0.0, trainable=False, name="scale_and_shift")
        z = keras.layers.Reshape(shape, name="z")(moved(self.model.output))
        moved.set_weights([*(np.asarray(v, np.float32) for v in (self.scale, self.centre)), *_still(len(self.scale))])
        return keras.Model(self.model.input, z, name="prior")


def _still(dim: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    return np.zeros(dim, np.float32), np.ones(dim, np.float32)


def fit_flow(train: DoubleArray, validation: DoubleArray, seed: int) -> Flow:
    """Fits a flow with Adam, until 400 steps have not made other latents likelier, and keeps the best weights.

    Args:
        train: `[N, D]` latents to fit to; D is even.
        validation: `[M, D]` other latents.
        seed: Of the first weights and of the batches.
    """
    tf, keras = import_tensorflow(), import_keras()
    centre, scale = train.mean(axis=0), np.maximum(train.std(axis=0), 1e-6)
    rows, held_out = (((part - centre) / scale).astype(np.float32) for part in (train, validation))
    dim = train.shape[1]
    model = build_realnvp(dim, _COUPLINGS, min(_MOST_UNITS, max(_LEAST_UNITS, 2 * dim)), seed)
    optimizer = keras.optimizers.Adam(_LEARNING_RATE, clipnorm=1.0)

    @tf.function  # type: ignore[untyped-decorator]
    def step(batch: Any) -> None:
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(realnvp_log_density(model, batch))
        weights = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))

    rng, best, kept, failed = np.random.default_rng([seed, 7]), -np.inf, model.get_weights(), 0
    for _ in range(_MOST_ROUNDS):
        for _ in range(_ROUND_STEPS):
            step(tf.constant(rows[rng.integers(0, len(rows), _BATCH)]))
        found = float(np.mean(realnvp_log_density(model, held_out)))
        failed = 0 if found > best else failed + 1
        best, kept = (found, model.get_weights()) if found > best else (best, kept)
        if failed == _PATIENCE:
            break
    model.set_weights(kept)
    return Flow(model=model, centre=centre, scale=scale)
