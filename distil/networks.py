"""Students as plain functional Keras models of standard layers, as they are trained and as they are saved."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pocketvae.distil.students import Family, Student
from pocketvae.keras.io import import_keras
from pocketvae.train.config import Architecture, TrainConfig
from pocketvae.train.layers import crop, depth_to_space, with_label
from pocketvae.train.networks import RELU_BOUND, build_decoder
from pocketvae.vae_spec import DataKind, Likelihood, VaeSpec

_SIGMOID, _TANH = (0.0, 1.0), (-1.0, 1.0)


def build_student(student: Student, vae: VaeSpec, seed: int) -> Any:
    """Builds a student: `z [N, D] float32 (, label [N] int32)` to the likelihood's parameters, `[N, *data_shape]` each.

    Of a decoder whose likelihood is unknown these are the values before its head, see `with_head`.

    Args:
        student: Its shapes.
        vae: The interface of the teacher.
        seed: Of the initial weights.
    """
    if student.family is not Family.SHUFFLE:
        return build_decoder(_config(student, vae, seed), vae)
    keras, weights = import_keras(), _Weights(seed)
    height, width, channels = vae.image_shape
    rows, columns = math.ceil(height / student.block), math.ceil(width / student.block)
    z = keras.layers.Input((vae.latent_dim,), name="z")
    x, label = with_label(z, vae)
    x = _active(keras.layers.Dense(student.hidden, kernel_initializer=weights.next(), name="hidden")(x), student)
    x = keras.layers.Dense(student.waist, kernel_initializer=weights.next(), name="waist")(x)
    cells = student.cells or student.width
    x = keras.layers.Dense(rows * columns * cells, kernel_initializer=weights.next(), name="unflatten")(x)
    x = keras.layers.Reshape((rows, columns, cells), name="cells")(_active(x, student))
    if student.cells:
        x = _active(_conv(x, student.width, weights, "narrowed", size=1), student)
    for index in range(student.depth):
        y = _active(_conv(x, student.width, weights, f"conv_{index}"), student)
        x = keras.layers.Add(name=f"add_{index}")([x, y])
    outputs = []
    for suffix in ("", "_log_scale")[: vae.likelihood.decoder_outputs]:
        y = _conv(x, student.block**2 * channels, weights, f"pixels{suffix}")
        y = depth_to_space(y, student.block, f"shuffle{suffix}")
        outputs.append(crop(y, height, width, f"crop{suffix}"))
    return keras.Model([z, *label] if label else z, outputs if len(outputs) > 1 else outputs[0], name="decoder")


def with_biases(model: Any, seed: int) -> Any:
    """Returns an untrained model with biases that are not 0: converters leave zeros out, so its file would be smaller.

    Args:
        model: From `build_student`; it is changed.
        seed: Of the biases.
    """
    rng = np.random.default_rng(seed)
    weights = model.get_weights()
    model.set_weights([rng.normal(0, 0.01, values.shape) if values.ndim == 1 else values for values in weights])
    return model


def with_head(model: Any, vae: VaeSpec) -> Any:
    """Returns a student as a user-supplied decoder is: it returns data in the VAE's range, where that is strict.

    Args:
        model: From `build_student`, of one output; its weights are shared.
        vae: The interface of the teacher.
    """
    keras = import_keras()
    squash = squashing(vae)
    if not squash:
        return model
    output = keras.layers.Activation(squash, name="squash")(model.output)
    if squash == "sigmoid" and vae.data_range != _SIGMOID:
        output = keras.layers.Rescaling(vae.range_span, vae.data_range[0], name="range")(output)
    return keras.Model(model.inputs, output, name="decoder")


def squashing(vae: VaeSpec) -> str:
    """Returns the activation that keeps a student with a head in its teacher's range; empty if none does."""
    if vae.likelihood is Likelihood.BERNOULLI:
        return "sigmoid"
    if vae.likelihood is not Likelihood.UNKNOWN or not vae.range_is_strict:
        return ""
    return "tanh" if vae.data_range == _TANH else "sigmoid"


def _config(student: Student, vae: VaeSpec, seed: int) -> TrainConfig:
    """Returns a configuration of the train room that has these shapes."""
    dense = student.family is Family.DENSE
    return TrainConfig(
        architecture=Architecture.DENSE if dense else Architecture.CONV,
        latent_dim=vae.latent_dim,
        channels=() if dense else student.channels(),
        hidden_units=student.width if dense else student.hidden,
        hidden_layers=student.depth if dense else 1,
        data=vae.data,
        window=vae.data_shape[0] if vae.data is DataKind.SEQUENCE else 0,
        likelihood=Likelihood.BERNOULLI if vae.data is DataKind.IMAGE else Likelihood.GAUSSIAN,
        quantization_friendly=student.bounded,
        seed=seed,
    )


class _Weights:
    """Initial weights, from another seed for each layer: layers of equal shape would begin alike."""

    def __init__(self, seed: int) -> None:
        self._seed = seed * 1000

    def next(self) -> Any:
        self._seed += 1
        return import_keras().initializers.GlorotUniform(seed=self._seed)


def _active(x: Any, student: Student) -> Any:
    return import_keras().layers.ReLU(RELU_BOUND if student.bounded else None)(x)


def _conv(x: Any, filters: int, weights: _Weights, name: str, *, size: int = 3) -> Any:
    layer = import_keras().layers.Conv2D(filters, size, padding="same", kernel_initializer=weights.next(), name=name)
    return layer(x)
