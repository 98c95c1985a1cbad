"""The float part of a scorer as a graph: from an input and its reconstruction to score, alarm and contributions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pocketvae.export.convert.graphs import Graph, function_of
from pocketvae.keras.front_end import encoded_items
from pocketvae.keras.io import import_tensorflow
from pocketvae.numerics.normalization import scales_of
from pocketvae.numerics.scoring import Scoring, columns_of, kl_parts, reconstruction_parts
from pocketvae.spec import Component, TensorSpec
from pocketvae.vae_spec import ALARM, LOG_VAR_ENDING, MEAN_ENDING, SCORE, WINDOW, VaeSpec

# The output of a front end.
SPECTROGRAM = "spectrogram"


class TensorOperations:
    """`pocketvae.numerics.scoring.Operations` on tensors, in float32."""

    def __init__(self) -> None:
        self._tf = import_tensorflow()

    def log(self, values: Any) -> Any:
        """See `Operations.log`."""
        return self._tf.math.log(values)

    def exp(self, values: Any) -> Any:
        """See `Operations.exp`."""
        return self._tf.exp(values)

    def clip(self, values: Any, low: float, high: float) -> Any:
        """See `Operations.clip`."""
        return self._tf.minimum(self._tf.maximum(values, low), high)

    def total(self, values: Any, axes: tuple[int, ...], *, keep: bool = False) -> Any:
        """See `Operations.total`."""
        return self._tf.reduce_sum(values, axis=axes, keepdims=keep)

    def join(self, parts: Sequence[Any]) -> Any:
        """See `Operations.join`."""
        return self._tf.concat(list(parts), axis=1)

    def constant(self, values: Any) -> Any:
        """See `Operations.constant`."""
        return self._tf.constant(np.asarray(values, np.float32))


def scored(vae: VaeSpec, scoring: Scoring, values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a scorer's outputs as tensors.

    Args:
        vae: The interface.
        scoring: Has the threshold.
        values: `x` in units of the model, what the decoder returns, and the encoder's outputs, by name.
    """
    tf, operations = import_tensorflow(), TensorOperations()
    x, decoded = (_shaped(values[name], vae) for name in ("x", vae.output))
    parts = reconstruction_parts(operations, x, decoded, columns_of(vae, scoring.noise_scales))
    score = operations.total(parts, (1,))
    for latent in vae.latents if vae.has_posterior else ():
        names = f"{latent.name}{MEAN_ENDING}", f"{latent.name}{LOG_VAR_ENDING}"
        score = score + kl_parts(operations, *(values[name] for name in names))
    # A score that is no number, of a window that holds one, compares as false: it must not pass as normal. In floats,
    # because TensorFlow's graphs make `greater` of a `less_equal` that is negated, which is false of no number too.
    normal = tf.cast(tf.less_equal(score, np.float32(scoring.threshold)), tf.float32)
    found = {SCORE: score, ALARM: tf.cast(1.0 - normal, tf.int32)}
    return {name: found.get(name, parts) for name in vae.output_names(Component.SCORER)}


def _shaped(values: Any, vae: VaeSpec) -> Any:
    shape = tuple(vae.data_shape)
    return values if tuple(values.shape[1:]) == shape else import_tensorflow().reshape(values, (-1, *shape))


def normalized(window: Any, vae: VaeSpec) -> Any:
    """Returns `x` of `window`, a tensor `[N, ..., W]` in the unit of a user's data."""
    tf = import_tensorflow()
    means, scales = (tf.constant(np.asarray(values, np.float32)) for values in scales_of(vae.channels))
    return (window - means) / scales


def score_graph(vae: VaeSpec, scoring: Scoring) -> Graph:
    """Builds the graph `x, decoded, means, log-variances -> score, alarm, contributions` with batch size 1."""
    tensors = [vae.inputs(Component.RECONSTRUCTOR)[0], _decoded(vae)]
    for latent in vae.latents if vae.has_posterior else ():
        tensors += [
            TensorSpec(name=name, dtype="float32", shape=(1, *latent.shape)) for name in latent.encoded(vae.posterior)
        ]
    return _graph(lambda **values: scored(vae, scoring, values), tuple(tensors))


def normalization_graph(vae: VaeSpec) -> Graph:
    """Builds the graph `window -> x`."""
    window = vae.inputs(Component.SCORER)[0]
    return _graph(lambda **values: {"x": normalized(values[WINDOW], vae)}, (window,))


def front_end_graph(vae: VaeSpec, component: Component) -> Graph:
    """Builds the graph `x` or `window`, samples, `-> spectrogram` in units of the model, of what takes samples."""
    samples = vae.inputs(component)[0]
    return _graph(lambda **values: {SPECTROGRAM: encoded_items(values[samples.name], vae)}, (samples,))


def _decoded(vae: VaeSpec) -> TensorSpec:
    return TensorSpec(name=vae.output, dtype="float32", shape=(1, *vae.tensor_shape(Component.DECODER)))


def _graph(apply: Any, tensors: tuple[TensorSpec, ...]) -> Graph:
    function = function_of(apply, tensors)
    return Graph(function=function, model=import_tensorflow().Module(), inputs=tensors, fused_shuffles=0)
