"""The original Keras model as a callable, for comparison with the artifacts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pocketvae.benchmarks.latency.messages import OriginalCall
from pocketvae.errors import ExportError
from pocketvae.keras.external import load_original
from pocketvae.keras.front_end import encoded_items
from pocketvae.keras.heads import data_head
from pocketvae.keras.io import import_tensorflow
from pocketvae.keras.loading import open_model
from pocketvae.keras.model_form import ModelForm, Port, Role
from pocketvae.runtimes.base import Array
from pocketvae.runtimes.onnxruntime import open_session
from pocketvae.spec import Component
from pocketvae.vae_spec import VaeSpec


def original_call(
    path: Path,
    component: Component,
    vae: VaeSpec,
    how: OriginalCall,
    feed: Mapping[str, Array],
    num_threads: int,
    form: ModelForm | None = None,
) -> Callable[[], object]:
    """Loads the original and returns a call that computes what the artifact computes, numpy in and numpy out.

    Args:
        path: The `.keras` or `.h5` file, or a SavedModel folder.
        component: Which part of the VAE it is.
        vae: Determines the head of a decoder, and the front end of an encoder.
        how: Eagerly, as a graph, as a graph compiled by XLA, or with `predict`.
        feed: Inputs `[N, ...]` by name.
        num_threads: Threads of TensorFlow, for the whole process.
        form: Form of a user-supplied model.

    Raises:
        TargetError: TensorFlow is not installed.
        ExportError: the model cannot be loaded, or TensorFlow already runs with another number of threads.
    """
    tf = import_tensorflow()
    _set_threads(tf, num_threads)
    # Both search the file for custom code before loading it: a bundle may come from anywhere.
    model = load_original(path, form) if form is not None else open_model(path).model
    head, front = _head(component, vae), _front(component, vae)
    # A manifest's dictionaries are sorted by name, which would put a label first.
    values = [feed[spec.name] for spec in vae.inputs(component)]
    inputs: Any = values if len(values) > 1 else values[0]
    if how is OriginalCall.KERAS_PREDICT:
        return lambda: _numpy(head(model.predict(front(inputs), verbose=0)))
    if how is OriginalCall.KERAS_CALL:
        return lambda: _numpy(head(model(front(inputs), training=False)))
    compiled = how is OriginalCall.XLA
    graph = tf.function(lambda given: head(model(front(given), training=False)), autograph=False, jit_compile=compiled)
    return lambda: _numpy(graph(tf.nest.map_structure(tf.constant, inputs)))


def onnx_call(path: Path, form: ModelForm, values: list[Array], num_threads: int) -> Callable[[], object]:
    """Opens an original that is an ONNX file and returns a call of it, numpy in and numpy out.

    Args:
        path: The file.
        form: Its form.
        values: What the component takes: the main input `[N, ...]`, then its conditions.
        num_threads: Of onnxruntime.

    Raises:
        ParityError: onnxruntime cannot open it.
        TargetError: onnxruntime is not installed.
    """
    session = open_session(path.read_bytes(), num_threads=num_threads, name=str(path))
    feed = {port.name: _given(port, [values[place] for place in port.made_of]) for port in form.inputs}
    return lambda: session.run(None, feed)


def _given(port: Port, parts: list[Array]) -> Array:
    """Returns an input as the original takes it, in numpy what `keras.external` does in TensorFlow.

    Labels are integers, one-hot, or behind the latent; codes have the model's own type, and images without channels its
    shape.
    """
    given = parts[0]
    if port.is_scaled:
        given = np.asarray(given, np.float32) * np.float32(1.0 / port.scale) + np.float32(port.shift)
    if port.role in (Role.Z_LABEL, Role.X_LABEL):
        rows = _one_hot(parts[1], (*port.shape[:-1], port.shape[-1] - given.shape[-1]))
        joined: Array = np.concatenate([given, rows], axis=-1)
        return joined
    if port.role is Role.PLANE_IN:
        return given.reshape(-1, *port.shape)
    if port.role is Role.CODES:
        return given.astype(port.dtype)
    if port.role is not Role.LABEL:
        return given
    if port.dtype == "float32" and port.shape and port.shape[-1] > 1:
        return _one_hot(given, port.shape)
    return given.reshape(-1, *port.shape).astype(port.dtype)


def _one_hot(labels: Array, shape: tuple[int, ...]) -> Array:
    rows = np.eye(shape[-1], dtype=np.float32)[labels].reshape(-1, *(1 for _ in shape[:-1]), shape[-1])
    planes: Array = np.tile(rows, (1, *shape[:-1], 1))
    return planes


def _head(component: Component, vae: VaeSpec) -> Callable[[Any], Any]:
    if component is Component.DECODER:
        return lambda outputs: _headed(vae, outputs)
    return lambda outputs: outputs


def _headed(vae: VaeSpec, outputs: Any) -> Any:
    """Applies the head to the data alone, as export does: further outputs are returned as they are."""
    if not vae.more_outputs:
        return data_head(vae, outputs)
    data, *more = outputs
    return [data_head(vae, data), *more]


def _front(component: Component, vae: VaeSpec) -> Callable[[Any], Any]:
    """Returns what makes spectrograms of the samples that an encoder's file takes; the model takes nothing else."""
    if component is not Component.ENCODER or vae.log_mel is None:
        return lambda inputs: inputs

    def made(inputs: Any) -> Any:
        if not isinstance(inputs, list):
            return encoded_items(inputs, vae)
        return [encoded_items(inputs[0], vae), *inputs[1:]]

    return made


def _numpy(outputs: Any) -> Any:
    return [np.asarray(output) for output in outputs] if isinstance(outputs, (list, tuple)) else np.asarray(outputs)


def _set_threads(tf: Any, num_threads: int) -> None:
    threading = tf.config.threading
    if threading.get_intra_op_parallelism_threads() == num_threads:
        return
    try:
        threading.set_intra_op_parallelism_threads(num_threads)
        threading.set_inter_op_parallelism_threads(1)
    except RuntimeError as e:
        raise ExportError("TensorFlow's threads cannot be changed after its first operation") from e
