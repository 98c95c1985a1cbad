"""Tails of layers: biases, scales, batch normalization and activation that can be computed with the layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.export.rewrites.frozen import FrozenGraph
from pocketvae.keras.io import import_tensorflow

FloatArray = npt.NDArray[np.float64]

# Each maps a value to a value, so it may come before or after values are moved.
ACTIVATIONS = frozenset({"Relu", "Relu6", "LeakyRelu", "Elu", "Selu", "Softplus", "Sigmoid", "Tanh"})
# Runtimes compute these with the layer itself.
FUSED_ACTIVATIONS = frozenset({"Relu", "Relu6"})
_NORMALIZATIONS = frozenset({"FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"})


@dataclass(frozen=True, kw_only=True)
class Tail:
    """What follows a layer, as `activation(y * scale + shift)`.

    Attributes:
        scale: `[C]`.
        shift: `[C]`.
        activation: The operator; None where there is none.
        end: The last tensor.
        is_scaled: Whether there is more than biases.
    """

    scale: FloatArray
    shift: FloatArray
    activation: Any
    end: Any
    is_scaled: bool

    def activate(self, value: Any) -> Any:
        """Adds the activation behind another tensor."""
        tf = import_tensorflow()
        if self.activation is None:
            return value
        kind = self.activation.type
        if kind == "LeakyRelu":
            return tf.nn.leaky_relu(value, self.activation.get_attr("alpha"))
        return getattr(tf.raw_ops, kind)(**{"x" if kind in ("Sigmoid", "Tanh") else "features": value})


def read_tail(graph: FrozenGraph, tensor: Any, channels: int, activations: frozenset[str] = ACTIVATIONS) -> Tail:
    """Returns what follows a tensor, up to its first activation or to where others read it.

    Args:
        graph: The tensor's.
        tensor: `[..., C]`.
        channels: C.
        activations: Kinds to take in.
    """
    scale, shift, is_scaled, activation = np.ones(channels), np.zeros(channels), False, None
    while (operator := graph.only_consumer(tensor)) is not None:
        if operator.type in activations:
            activation, tensor = operator, operator.outputs[0]
            break
        affine = _affine(graph, operator, tensor, channels)
        if affine is None:
            break
        factor, term = affine
        is_scaled |= bool(np.any(factor != 1))
        scale, shift, tensor = scale * factor, shift * factor + term, operator.outputs[0]
    return Tail(scale=scale, shift=shift, activation=activation, end=tensor, is_scaled=is_scaled)


def _affine(graph: FrozenGraph, operator: Any, tensor: Any, channels: int) -> tuple[FloatArray, FloatArray] | None:
    """Returns the scale and shift that an operator means to a tensor; None where it means something else."""
    ones, zeros = np.ones(channels), np.zeros(channels)
    if operator.type == "Identity":
        return ones, zeros
    if operator.type in _NORMALIZATIONS:
        return _normalization(graph, operator, tensor)
    if operator.type not in ("BiasAdd", "Add", "AddV2", "Sub", "Mul", "RealDiv"):
        return None
    if operator.type == "BiasAdd" and operator.get_attr("data_format") != b"NHWC":
        return None
    is_first = operator.inputs[0].name == tensor.name
    value = _per_channel(graph.constant(operator.inputs[1 if is_first else 0]), tensor, channels)
    if value is None or (operator.type == "RealDiv" and not is_first):
        return None
    if operator.type == "Mul":
        return value, zeros
    if operator.type == "RealDiv":
        return 1 / value, zeros
    if operator.type == "Sub":
        return (ones, -value) if is_first else (-ones, value)
    return ones, value


def _normalization(graph: FrozenGraph, operator: Any, tensor: Any) -> tuple[FloatArray, FloatArray] | None:
    values = [graph.constant(source) for source in operator.inputs[1:]]
    is_data = operator.inputs[0].name == tensor.name and operator.get_attr("data_format") == b"NHWC"
    if operator.get_attr("is_training") or not is_data or any(value is None for value in values):
        return None
    gamma, beta, mean, variance = (np.asarray(value, np.float64) for value in values)
    scale = gamma / np.sqrt(variance + operator.get_attr("epsilon"))
    return scale, beta - mean * scale


def _per_channel(value: npt.NDArray[Any] | None, tensor: Any, channels: int) -> FloatArray | None:
    """Returns a constant as one number per channel; None where it varies over anything else."""
    if value is None or not np.issubdtype(value.dtype, np.floating) or value.ndim > tensor.shape.rank:
        return None
    if value.size not in (1, channels) or (value.size > 1 and value.shape[-1] != channels):
        return None
    return np.broadcast_to(value.reshape(-1).astype(np.float64), (channels,))
