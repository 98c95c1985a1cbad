"""User-supplied models, adapted to the call of their component: main input and label in, outputs in order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pocketvae.errors import ExportError
from pocketvae.keras.custom_code import NO_CUSTOM_CODE, CustomCode
from pocketvae.keras.io import import_flavour, import_tensorflow
from pocketvae.keras.loading import OpenModel, keras_call, one_or_all, open_model, returns_dict
from pocketvae.keras.model_form import JOINED, SPREADS, Flavour, ModelForm, Port, Role
from pocketvae.keras.onnx.model import OnnxModel

_RANK_OF_VECTORS = 2


def load_original(path: Path, form: ModelForm, code: CustomCode = NO_CUSTOM_CODE) -> Any:
    """Loads a model whose form is known and adapts it to the call of its component.

    Args:
        path: The model.
        form: Its form as determined at export.
        code: Which custom code may run.

    Returns:
        A callable of the main input, or of a list of it and of its conditions, that returns the image or
        `[z_mean, z_log_var]`; a Keras model if no value has to be converted.

    Raises:
        ExportError: it cannot be loaded, or no longer has this form.
        TargetError: TensorFlow or Keras is not installed.
    """
    return adapt(open_model(path, code, form.signature), form)


def adapt(opened: OpenModel, form: ModelForm) -> Any:
    """Adapts a model's inputs and outputs to the order of its component.

    Raises:
        ExportError: the model's inputs or outputs differ from the form.
    """
    tensors = (*opened.inputs, *opened.outputs)
    found = [tensor.name for tensor in tensors]
    expected = [port.name for port in (*form.inputs, *form.outputs)]
    # Older bundles have a SavedModel's outputs under their keys.
    if expected not in (found, [tensor.key or tensor.name for tensor in tensors]):
        raise ExportError(f"the model must have the inputs and outputs {expected}, got {found}")
    if opened.flavour in (Flavour.SAVED_MODEL, Flavour.ONNX):
        return Adapted(opened, form)
    model = _reorder(opened, form)
    return model if _is_plain(form) else Adapted(replace(opened, model=model, call=keras_call(model)), _reordered(form))


class Adapted:
    """A model whose inputs or outputs are converted; called like a Keras model."""

    def __init__(self, opened: OpenModel, form: ModelForm) -> None:
        """Keeps the model and its form."""
        self._opened, self._form = opened, form

    @property
    def onnx(self) -> tuple[OnnxModel, ModelForm] | None:
        """The ONNX model inside and its form; None if there is none."""
        model = self._opened.model
        return (model, self._form) if isinstance(model, OnnxModel) else None

    def __call__(self, inputs: Any, training: bool = False) -> Any:
        """Runs the model in inference mode, whatever `training` says."""
        return self._finish(self._opened.call(self._prepare(inputs)))

    def predict(self, inputs: Any, verbose: int = 0) -> Any:
        """Runs the `predict` method of a Keras model.

        Raises:
            ExportError: it is a SavedModel, which does not have one.
        """
        if self._opened.flavour is Flavour.SAVED_MODEL:
            raise ExportError("a SavedModel does not have a predict method")
        ready = [np.asarray(value) for value in self._prepare(inputs)]
        outputs = self._opened.model.predict(ready if len(ready) > 1 else ready[0], verbose=verbose)
        return self._finish(outputs if isinstance(outputs, (list, tuple)) else [outputs])

    def get_weights(self) -> list[Any]:
        """Returns the weights, as Keras does."""
        if self._opened.flavour is not Flavour.SAVED_MODEL:
            return list(self._opened.model.get_weights())
        return [variable.numpy() for variable in self._opened.model.variables]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Replaces the weights, as Keras does."""
        if self._opened.flavour is not Flavour.SAVED_MODEL:
            self._opened.model.set_weights(weights)
            return
        for variable, value in zip(self._opened.model.variables, weights, strict=True):
            variable.assign(value)

    def _prepare(self, inputs: Any) -> list[Any]:
        return model_inputs(self._form.inputs, inputs if isinstance(inputs, (list, tuple)) else [inputs])

    def _finish(self, outputs: Sequence[Any]) -> Any:
        kept = [
            value
            for index in self._form.kept_outputs()
            for value in converted(self._form.outputs[index], outputs[index])
        ]
        return kept if len(kept) > 1 else kept[0]


def model_inputs(ports: Sequence[Port], values: Sequence[Any]) -> list[Any]:
    """Returns what a model takes, in its own order, from what its component takes: data or latents, then conditions."""
    tf = import_tensorflow()
    # Keras 3 does not support a mixture of arrays and tensors.
    tensors = [tf.convert_to_tensor(value) for value in values]
    return [_given(port, [tensors[place] for place in port.made_of]) for port in ports]


def _given(port: Port, parts: Sequence[Any]) -> Any:
    """Returns the value of an input from the component's inputs that it is made of."""
    if port.is_scaled:
        parts = [parts[0] * (1.0 / port.scale) + port.shift, *parts[1:]]
    if port.role is Role.LABEL:
        return _label(port, parts[0])
    if port.role in (Role.Z_LABEL, Role.X_LABEL):
        tf = import_tensorflow()
        main, label = parts
        one_hot = (*port.shape[:-1], port.shape[-1] - int(main.shape[-1]))
        return tf.concat([main, _one_hot(label, one_hot, port.dtype)], axis=-1)
    if port.role is Role.PLANE_IN:
        return import_tensorflow().reshape(parts[0], (-1, *port.shape))
    if port.role is Role.CODES:
        return import_tensorflow().cast(parts[0], port.dtype)
    return parts[0]


def _label(port: Port, label: Any) -> Any:
    tf = import_tensorflow()
    if port.dtype == "float32" and port.shape and port.shape[-1] > 1:
        return _one_hot(label, port.shape, port.dtype)
    return tf.reshape(tf.cast(label, port.dtype), (-1, *port.shape))


def _one_hot(label: Any, shape: tuple[int, ...], dtype: str) -> Any:
    """Returns one-hot vectors `[N, K]`, or planes of them `[N, ..., K]`, for labels `[N]`."""
    tf = import_tensorflow()
    # Use rows of a table: TFLite's quantizer gives a one-hot operator's values a different scale than its output.
    rows = tf.gather(tf.eye(shape[-1], dtype=dtype), tf.cast(label, tf.int32))
    if len(shape) == 1:
        return rows
    sizes = shape[:-1]
    return tf.tile(tf.reshape(rows, (-1, *(1 for _ in sizes), shape[-1])), (1, *sizes, 1))


def converted(port: Port, values: Any) -> list[Any]:
    """Returns what an output stands for: an image, or means and log-variances in the component's order."""
    found = _of_role(port.role, values)
    if not port.is_scaled:
        return found
    spread = 2.0 * math.log(port.scale)
    if port.role in SPREADS:
        return [value + spread for value in found]
    return [(found[0] - port.shift) * port.scale, *(value + spread for value in found[1:])]


def _of_role(role: Role, values: Any) -> list[Any]:
    tf = import_tensorflow()
    if role is Role.PLANE_OUT:
        return [tf.expand_dims(values, -1)]
    if role is Role.CODES:
        return [tf.cast(values, tf.int32)]
    if role in JOINED:
        first, second = tf.split(values, 2, axis=-1)
        return [first, second] if role is Role.MEAN_LOG_VAR else [second, first]
    if role is Role.LOG_STD:
        return [2.0 * values]
    if role is Role.STD:
        return [2.0 * tf.math.log(values)]
    if role in (Role.VAR, Role.COV, Role.TRIL):
        return [tf.math.log(values if role is Role.VAR else _diagonal(role, values))]
    return [values]


def _diagonal(role: Role, values: Any) -> Any:
    """Returns the variances `[N, D]` of a covariance or of its Cholesky factor."""
    tf = import_tensorflow()
    if role is Role.COV:
        return tf.linalg.diag_part(values)
    if len(values.shape) > _RANK_OF_VECTORS:
        return tf.reduce_sum(tf.square(tf.linalg.band_part(values, -1, 0)), axis=-1)
    dim = (math.isqrt(8 * int(values.shape[1]) + 1) - 1) // 2
    # Row d of the triangle is in the vector from d(d + 1)/2 on; a matrix product adds up its squares.
    rows = np.repeat(np.arange(dim), np.arange(dim) + 1)
    return tf.matmul(tf.square(values), tf.constant(np.eye(dim, dtype=np.float32)[rows]))


def _is_plain(form: ModelForm) -> bool:
    changed = (*SPREADS, *JOINED, Role.PLANE_OUT)
    converted = any(port.role in changed and port.role is not Role.LOG_VAR for port in form.outputs)
    converted |= any(port.is_scaled for port in (*form.inputs, *form.outputs))
    converted |= any(port.role is Role.CODES and port.dtype != "int32" for port in form.outputs)
    return not converted and all(_is_as_given(port) for port in form.inputs)


def _is_as_given(port: Port) -> bool:
    if port.role is Role.LABEL:
        return port.dtype == "int32" and port.shape == ()
    if port.role is Role.CODES:
        return port.dtype == "int32"
    return port.role not in (Role.Z_LABEL, Role.X_LABEL, Role.PLANE_IN)


def _input_order(form: ModelForm) -> list[int]:
    return sorted(range(len(form.inputs)), key=lambda index: form.inputs[index].made_of)


def _reorder(opened: OpenModel, form: ModelForm) -> Any:
    """Returns a functional model of the same layers, of a list of outputs, without those that are dropped."""
    inputs, outputs = _input_order(form), list(form.kept_outputs())
    is_in_order = inputs == list(range(len(opened.inputs))) and outputs == list(range(len(opened.outputs)))
    if is_in_order and not returns_dict(opened.model):
        return opened.model
    chosen_inputs = [opened.model.inputs[index] for index in inputs]
    chosen = [opened.model.outputs[index] for index in outputs]
    keras = import_flavour(opened.flavour)
    return keras.Model(one_or_all(chosen_inputs), one_or_all(chosen), name=opened.model.name)


def _reordered(form: ModelForm) -> ModelForm:
    return replace(
        form,
        inputs=tuple(form.inputs[index] for index in _input_order(form)),
        outputs=tuple(form.outputs[index] for index in form.kept_outputs()),
    )
