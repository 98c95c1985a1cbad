"""RealNVP flows (Dinh et al. 2017) as sampling models of standard layers, `eps [N, D] (, label [N]) -> z [N, D]`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from pocketvae.errors import ExportError
from pocketvae.keras.io import import_keras, import_tensorflow
from pocketvae.keras.loading import one_or_all

_SEED_OFFSET = 200
# What every coupling takes of a label: as many numbers as there are labels, and at most these.
_MOST_CODES = 16
LABEL_CODES = "label_codes"


def build_realnvp(dim: int, couplings: int, units: int, seed: int, *, labels: int = 0) -> Any:
    """Builds a flow of affine couplings: `eps [N, D] -> z [N, D]`, at first the identity.

    Couplings alternate in which half they change, and in whether the halves are contiguous or
    interleaved.

    Args:
        dim: D, even.
        couplings: Their number.
        units: Width of the two hidden layers of each.
        seed: Of the first weights.
        labels: How many there are, for a second input `label [N] int32` that every coupling depends on; 0 for none.
    """
    keras = import_keras()
    layers = keras.layers
    z = eps = layers.Input((dim,), name="eps")
    label = layers.Input((), dtype="int32", name="label") if labels else None
    codes = None if label is None else _label_codes(labels, seed)(label)
    for index in range(couplings):
        halves = _split_layers(index, dim)
        kept, changed = (half(z) for half in halves)
        shift, log_scale = _coupling(dim // 2, units, seed, index)(kept, codes)
        scale = layers.Activation("exponential", name=f"coupling_{index}_scale")(log_scale)
        changed = layers.Multiply(name=f"coupling_{index}_scaled")([changed, scale])
        changed = layers.Add(name=f"coupling_{index}_shifted")([changed, shift])
        z = _join_layers(index, dim)(kept, changed)
    return keras.Model(one_or_all([eps] if label is None else [eps, label]), z, name="prior")


def _label_codes(labels: int, seed: int) -> Any:
    keras = import_keras()
    first = keras.initializers.RandomUniform(-0.5, 0.5, seed=seed * 1000 + _SEED_OFFSET - 1)
    return keras.layers.Embedding(labels, min(labels, _MOST_CODES), first, name=LABEL_CODES)


def _coupling(half: int, units: int, seed: int, index: int) -> Callable[[Any, Any], tuple[Any, Any]]:
    layers = import_keras().layers
    first_seed = seed * 1000 + _SEED_OFFSET + 2 * index

    def apply(kept: Any, codes: Any) -> tuple[Any, Any]:
        x = kept if codes is None else layers.Concatenate(name=f"coupling_{index}_seen")([kept, codes])
        for number in range(2):
            initializer = import_keras().initializers.GlorotUniform(seed=first_seed + number)
            x = layers.Dense(units, "relu", kernel_initializer=initializer, name=f"coupling_{index}_hidden_{number}")(x)
        shift = layers.Dense(half, kernel_initializer="zeros", name=f"coupling_{index}_shift")(x)
        # Bounded by tanh: one coupling changes a scale by a factor of e at most, so that none can explode.
        log_scale = layers.Dense(half, "tanh", kernel_initializer="zeros", name=f"coupling_{index}_log_scale")(x)
        return shift, log_scale

    return apply


def _split_layers(index: int, dim: int) -> tuple[Any, Any]:
    """Returns the layers that extract, from `[N, D]`, the half that stays and the half that changes."""
    layers = import_keras().layers
    interleaved = index % 4 >= 2
    shape = (dim // 2, 2) if interleaved else (2, dim // 2)

    def take(first: bool, role: str) -> Any:
        def apply(x: Any) -> Any:
            name = f"coupling_{index}_{role}"
            x = layers.Reshape(shape, name=f"{name}_pairs")(x)
            if interleaved:
                x = layers.Permute((2, 1), name=f"{name}_order")(x)
            x = layers.Cropping1D((0, 1) if first else (1, 0), name=f"{name}_crop")(x)
            return layers.Flatten(name=name)(x)

        return apply

    return take(index % 2 == 0, "kept"), take(index % 2 == 1, "changed")


def _join_layers(index: int, dim: int) -> Any:
    layers = import_keras().layers

    def apply(kept: Any, changed: Any) -> Any:
        halves = [kept, changed] if index % 2 == 0 else [changed, kept]
        z = layers.Concatenate(name=f"coupling_{index}_joined")(halves)
        if index % 4 < 2:
            return z
        z = layers.Reshape((2, dim // 2), name=f"coupling_{index}_rows")(z)
        z = layers.Permute((2, 1), name=f"coupling_{index}_back")(z)
        return layers.Flatten(name=f"coupling_{index}_z")(z)

    return apply


def realnvp_log_density(model: Any, z: Any, label: Any = None) -> Any:
    """Returns log p(z) `[N]`: log N(eps; 0, I) - sum of log-scales (Dinh et al. 2017, equation 6).

    Args:
        model: What `build_realnvp` has built.
        z: `[N, D] float32`; the couplings are run backwards on it.
        label: `[N] int32`, if the flow takes it.

    Raises:
        ExportError: the model does not have a layer that a flow must have.
    """
    tf = import_tensorflow()
    dim = z.shape[-1]
    log_scales = tf.zeros(tf.shape(z)[:1])
    codes = [] if label is None else [named_layer(model, LABEL_CODES)(label)]
    couplings = sum(layer.name.endswith("_log_scale") for layer in model.layers)
    for index in reversed(range(couplings)):
        first, second = (z[:, 0::2], z[:, 1::2]) if index % 4 >= 2 else (z[:, : dim // 2], z[:, dim // 2 :])
        kept, changed = (first, second) if index % 2 == 0 else (second, first)
        x = tf.concat([kept, *codes], axis=-1)
        for number in range(2):
            x = named_layer(model, f"coupling_{index}_hidden_{number}")(x)
        log_scale = named_layer(model, f"coupling_{index}_log_scale")(x)
        changed = (changed - named_layer(model, f"coupling_{index}_shift")(x)) * tf.exp(-log_scale)
        log_scales += tf.reduce_sum(log_scale, axis=-1)
        halves = [kept, changed] if index % 2 == 0 else [changed, kept]
        z = tf.concat(halves, axis=-1)
        if index % 4 >= 2:
            z = tf.reshape(tf.transpose(tf.reshape(z, (-1, 2, dim // 2)), (0, 2, 1)), (-1, dim))
    return -0.5 * tf.reduce_sum(tf.square(z) + math.log(2 * math.pi), axis=-1) - log_scales


def named_layer(model: Any, name: str) -> Any:
    """Returns a layer of a prior.

    Raises:
        ExportError: there is none of this name.
    """
    try:
        return model.get_layer(name)
    except ValueError as e:
        raise ExportError(f"the prior must have a layer {name!r}: it was not made by pocketvae") from e
