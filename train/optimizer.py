"""The optimizers: Adam, and Muon for the kernels of convolutions beside it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from pocketvae.errors import SpecError
from pocketvae.keras.io import import_keras, import_tensorflow
from pocketvae.train.config import Optimizer, TrainConfig

_MOMENTUM = 0.95
# Newton-Schulz iterations of an odd polynomial of degree 5 that takes singular values to about 1: after five of them
# those above 0.0015 of the matrix's norm lie between 0.68 and 1.2 (Jordan et al. 2024, Muon).
_ITERATIONS = 5
_POLYNOMIAL = (3.4445, -4.7750, 2.0315)
# Root mean square of a step's changes, as parts of the learning rate: about that of Adam's steps, so that one rate
# suits both (Liu et al. 2025, equation 4).
_STEP_SIZE = 0.2
# Matrices with fewer rows or columns, such as the last layer of a decoder of images, have few directions.
_NARROWEST = 16


def is_orthogonalized(weight: Any) -> bool:
    """Whether Muon is for a weight: a kernel of a convolution, height x width x inputs and outputs at least 16 each."""
    return len(weight.shape) == 4 and min(_matrix(weight.shape)) >= _NARROWEST


def orthogonalized(matrix: Any) -> Any:
    """Returns about the nearest orthogonal matrix to one of any shape.

    Its singular values become 0.68 to 1.2, those below 0.0015 of the matrix's norm less.

    Args:
        matrix: `[R, C] float32`; zeros stay zeros.
    """
    tf = import_tensorflow()
    rows, columns = matrix.shape
    x = tf.transpose(matrix) if rows > columns else matrix
    x /= tf.norm(x) + 1e-7
    first, third, fifth = _POLYNOMIAL
    for _ in range(_ITERATIONS):
        square = tf.matmul(x, x, transpose_b=True)
        x = first * x + tf.matmul(third * square + fifth * tf.matmul(square, square), x)
    return tf.transpose(x) if rows > columns else x


def make_optimizer(config: TrainConfig, weights: Sequence[Any]) -> Any:
    """Builds the optimizer of a configuration.

    Keras's older Adam computes the same step in one pass over the weights, where the newer takes eight.

    Args:
        config: Says which one.
        weights: What it will change.

    Raises:
        SpecError: none of the weights is for Muon, which the configuration asks for.
    """
    if config.optimizer is Optimizer.MUON and not any(map(is_orthogonalized, weights)):
        raise SpecError(
            f"optimizer has no effect with channels = {list(config.channels)}, whose kernels are smaller than "
            f"{_NARROWEST}x{_NARROWEST}: set optimizer = 'adam'"
        )
    adam = import_keras().optimizers.legacy.Adam
    kind = adam if config.optimizer is Optimizer.ADAM else _with_muon(adam)
    return kind(config.learning_rate, global_clipnorm=config.max_gradient_norm)


def _with_muon(adam: Any) -> Any:
    """Returns Adam's class with Muon for the kernels that it is for; the rate, clipping and checkpoints are Adam's."""
    tf = import_tensorflow()

    class Muon(adam):  # type: ignore[misc]
        def _create_slots(self, weights: Any) -> None:
            kernels = [weight for weight in weights if is_orthogonalized(weight)]
            others = [weight for weight in weights if not is_orthogonalized(weight)]
            super()._create_slots(others)
            for kernel in kernels:
                self.add_slot(kernel, "momentum")

        def _resource_apply_dense(self, grad: Any, var: Any, apply_state: Any = None) -> Any:
            if not is_orthogonalized(var):
                return super()._resource_apply_dense(grad, var, apply_state)
            momentum = self.get_slot(var, "momentum")
            total = momentum.assign(_MOMENTUM * momentum + grad)
            size = _matrix(var.shape)
            step = orthogonalized(tf.reshape(grad + _MOMENTUM * total, size))
            rate = self._decayed_lr(var.dtype.base_dtype) * _STEP_SIZE * max(size) ** 0.5
            return var.assign_sub(rate * tf.reshape(step, var.shape))

    return Muon


def _matrix(shape: Any) -> tuple[int, int]:
    """Returns a kernel's rows, what an output is summed over, and columns."""
    *rows, columns = shape
    return math.prod(rows), columns
