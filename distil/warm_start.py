"""A student's first weights from those of its teacher: the dense layers of both make the same cells, where they can."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pocketvae.distil.students import Family, Student
from pocketvae.keras.io import import_keras

FloatArray = npt.NDArray[np.float32]
# Latents that channels are compared with: all cells of these are in memory.
_FEW = 512


class _Dense(NamedTuple):
    """The dense layers of a convolutional decoder: hidden units, then cells `[rows, columns, channels]`."""

    hidden: Any
    cells: Any
    shape: tuple[int, int, int]


def start_from_teacher(model: Any, student: Student, network: Any, inputs: Any) -> bool:
    """Gives the dense layers of a student the weights of its teacher, as far as its waist and channels are wide enough.

    The teacher's dense layer that makes the cells becomes the student's two around its waist, by the principal
    components of what it returns: no two layers of this rank are nearer in squared error. Of more channels than the
    student has, those are kept that vary most. Convolutions stay as they are.

    Args:
        model: From `build_student`; it is changed.
        student: Its shapes.
        network: The teacher's decoder as a Keras model.
        inputs: Latents, as the decoder takes them.

    Returns:
        Whether it did: the student is one that shuffles, with the teacher's resolution of cells and as many hidden
        units at least.
    """
    found = _dense_layers(network) if student.family is Family.SHUFFLE else None
    if found is None or student.hidden < found.hidden.units:
        return False
    rows, columns, channels = model.get_layer("cells").target_shape
    if found.shape[:2] != (rows, columns):
        return False
    hidden = np.asarray(import_keras().Model(network.inputs, found.hidden.output)(inputs))
    units = found.hidden.units
    kernel, bias = found.cells.get_weights()
    kept = _most_varied(hidden[:_FEW] @ kernel + bias, found.shape[2], channels)
    down, down_bias, up, up_bias = _low_rank(hidden, kernel[:, kept], bias[kept], student.waist)
    _put(model.get_layer("hidden"), found.hidden.get_weights(), None, np.arange(units))
    waist, unflatten = model.get_layer("waist"), model.get_layer("unflatten")
    # Hidden units that the teacher does not have begin without a say.
    waist.set_weights([np.zeros_like(values) for values in waist.get_weights()])
    rank = down.shape[1]
    _put(waist, (down, down_bias), units, np.arange(rank))
    cells = (np.arange(rows * columns)[:, None] * channels + np.arange(min(channels, found.shape[2]))).reshape(-1)
    _put(unflatten, (up, up_bias), rank, cells)
    return True


def _dense_layers(network: Any) -> _Dense | None:
    """Returns the first two dense layers if what the second returns is made cells; None of other decoders."""
    layers = import_keras().layers
    dense = [layer for layer in network.layers if isinstance(layer, layers.Dense)][:2]
    shapes = [layer.target_shape for layer in network.layers if isinstance(layer, layers.Reshape)][:1]
    if len(dense) < 2 or not shapes or len(shapes[0]) != 3:
        return None
    hidden, cells = dense
    if cells.get_weights()[0].shape != (hidden.units, int(np.prod(shapes[0]))):
        return None
    return _Dense(hidden, cells, shapes[0])


def _most_varied(values: FloatArray, channels: int, count: int) -> npt.NDArray[np.intp]:
    """Returns the places of the channels that vary most, in their order, among the values of all cells `[N, M]`."""
    spread = np.maximum(values, 0).reshape(len(values), -1, channels).std(axis=0).mean(axis=0)
    chosen = np.sort(np.argsort(-spread, kind="stable")[:count])
    return (np.arange(values.shape[1] // channels)[:, None] * channels + chosen).reshape(-1)


def _low_rank(hidden: FloatArray, kernel: FloatArray, bias: FloatArray, rank: int) -> tuple[FloatArray, ...]:
    """Returns kernels and biases of two layers of a rank that are nearest to one for these hidden units `[N, H]`."""
    mean = hidden.mean(axis=0)
    # The right singular vectors of R W are those of the values (h - mean) W, where Q R = h - mean.
    root = np.linalg.qr(hidden - mean, mode="r")
    components = np.linalg.svd(root @ kernel, full_matrices=False)[2][:rank]
    down = kernel @ components.T
    return down, -mean @ down, components, mean @ kernel + bias


def _put(layer: Any, weights: Any, rows: int | None, columns: npt.NDArray[np.intp]) -> None:
    """Sets those weights of a dense layer that are in its first rows, None for all, and in some columns."""
    kernel, bias = layer.get_weights()
    kernel[:rows, columns], bias[columns] = weights
    layer.set_weights([kernel, bias])
