"""A RealNVP flow fitted to latents by maximum likelihood."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.export.external.labels import LabelledLatents
from pocketvae.keras.flows import LABEL_CODES, build_realnvp, realnvp_log_density
from pocketvae.keras.io import import_keras, import_tensorflow
from pocketvae.keras.loading import one_or_all

DoubleArray = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int32]

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
        return f"a RealNVP flow of {_COUPLINGS} couplings{' that depend on the label' if self.takes_label else ''}"

    @property
    def takes_label(self) -> bool:
        """Whether it is p(z|label)."""
        return len(self.model.inputs) > 1

    def log_density(self, z: DoubleArray, labels: Labels | None = None) -> DoubleArray:
        """Returns log p(z) in nats, `[N]`, of latents `[N, D]`; log p(z|label) of a flow that takes labels `[N]`."""
        rows = ((z - self.centre) / self.scale).astype(np.float32)
        found = realnvp_log_density(self.model, rows, labels if self.takes_label else None)
        return np.asarray(found, np.float64) - float(np.log(self.scale).sum())

    def sample(self, count: int, rng: np.random.Generator, labels: Labels | None = None) -> DoubleArray:
        """Returns `[count, D]` latents; of labels `[count]` if the flow takes them."""
        eps = rng.standard_normal((count, len(self.centre))).astype(np.float32)
        given = [eps, labels] if self.takes_label else [eps]
        return self.centre + self.scale * np.asarray(self.model(one_or_all(given), training=False), np.float64)

    def build(self, shape: tuple[int, ...]) -> Any:
        """Returns the sampling model: `eps [N, D] (, label [N] int32) -> z [N, *shape]`."""
        keras = import_keras()
        # With a variance of 1 and a mean of 0 it is a product and a sum.
        moved = keras.layers.BatchNormalization(epsilon=0.0, trainable=False, name="scale_and_shift")
        z = keras.layers.Reshape(shape, name="z")(moved(self.model.output))
        moved.set_weights([*(np.asarray(v, np.float32) for v in (self.scale, self.centre)), *_still(len(self.scale))])
        return keras.Model(one_or_all(list(self.model.inputs)), z, name="prior")


def _still(dim: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    return np.zeros(dim, np.float32), np.ones(dim, np.float32)


def fit_flow(train: DoubleArray, validation: DoubleArray, seed: int) -> Flow:
    """Fits a flow that takes no labels to latents `[N, D]`, see `fit_labelled_flow`."""
    first, others = (
        LabelledLatents(latents=part, labels=np.zeros(len(part), np.int32)) for part in (train, validation)
    )
    return fit_labelled_flow(first, others, seed)


def fit_labelled_flow(train: LabelledLatents, validation: LabelledLatents, seed: int) -> Flow:
    """Fits a flow with Adam, until 400 steps have not made other latents likelier, and keeps the best weights.

    Labels of too few latents have the mean code of the others. A flow of no label with enough takes none.

    Args:
        train: `[N, D]` latents to fit to; D is even.
        validation: `[M, D]` other latents.
        seed: Of the first weights and of the batches.
    """
    tf, keras = import_tensorflow(), import_keras()
    centre, scale = train.latents.mean(axis=0), np.maximum(train.latents.std(axis=0), 1e-6)
    rows, held_out = (((part.latents - centre) / scale).astype(np.float32) for part in (train, validation))
    dim, count = rows.shape[1], train.label_count if train.frequent else 0
    model = build_realnvp(dim, _COUPLINGS, min(_MOST_UNITS, max(_LEAST_UNITS, 2 * dim)), seed, labels=count)
    optimizer = keras.optimizers.Adam(_LEARNING_RATE, clipnorm=1.0)

    @tf.function  # type: ignore[untyped-decorator]
    def step(batch: Any, labels: Any) -> None:
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(realnvp_log_density(model, batch, labels))
        weights = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))

    rng, best, kept, failed = np.random.default_rng([seed, 7]), -np.inf, model.get_weights(), 0
    for _ in range(_MOST_ROUNDS):
        for _ in range(_ROUND_STEPS):
            chosen = rng.integers(0, len(rows), _BATCH)
            step(tf.constant(rows[chosen]), tf.constant(train.labels[chosen]) if count else None)
        found = float(np.mean(realnvp_log_density(model, held_out, validation.labels if count else None)))
        failed = 0 if found > best else failed + 1
        best, kept = (found, model.get_weights()) if found > best else (best, kept)
        if failed == _PATIENCE:
            break
    model.set_weights(kept)
    if count:
        _share_codes(model, train)
    return Flow(model=model, centre=centre, scale=scale)


def _share_codes(model: Any, train: LabelledLatents) -> None:
    """Gives the labels of too few latents the mean code of the others."""
    (codes,) = model.get_layer(LABEL_CODES).get_weights()
    frequent = sorted(train.frequent)
    rare = [label for label in range(train.label_count) if label not in train.frequent]
    codes[rare] = codes[frequent].mean(axis=0)
    model.get_layer(LABEL_CODES).set_weights([codes])
