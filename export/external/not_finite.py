"""Where values that are not finite come from: weights, or the first operator that makes one."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.errors import ExportError
from pocketvae.formats.onnx.model import add_outputs
from pocketvae.keras.loading import OpenModel
from pocketvae.runtimes.onnxruntime import open_session
from pocketvae.spec import Component

Array = npt.NDArray[Any]


def refuse_not_finite(component: Component, opened: OpenModel, values: Sequence[Array]) -> None:
    """Checks what a model returned.

    Raises:
        ExportError: a value is NaN or infinite; the message names the layer whose weights are, where one has such.
    """
    for value in values:
        if not np.isfinite(value).all():
            bad = int(np.count_nonzero(~np.isfinite(value)))
            raise ExportError(
                f"the {component} must return finite values, got {bad} of {value.size} NaN or infinite"
                f"{_layer_to_blame(opened)}"
            )


def _layer_to_blame(opened: OpenModel) -> str:
    for layer in getattr(opened.model, "layers", ()):
        if any(_is_spoilt(np.asarray(weight)) for weight in layer.get_weights()):
            return f": the weights of the layer {layer.name!r} are not finite"
    return ": all weights are finite, so a layer makes them of finite inputs, as a logarithm or a division does"


def onnx_origin(model: Any, feed: Mapping[str, Array]) -> str:
    """Returns where the first values of an ONNX model that are not finite come from, as text.

    Args:
        model: A `ModelProto` of a fixed batch size.
        feed: Its inputs.
    """
    from onnx import numpy_helper

    for tensor in model.graph.initializer:
        if _is_spoilt(numpy_helper.to_array(tensor)):
            return f"its weights {tensor.name!r} are not"
    makers = {name: node.op_type for node in model.graph.node for name in node.output if name}
    whole = copy.deepcopy(model)
    add_outputs(whole.graph, makers)
    values = open_session(whole.SerializeToString(), num_threads=1).run(list(makers), dict(feed))
    for (name, operator), value in zip(makers.items(), values, strict=True):
        if _is_spoilt(np.asarray(value)):
            return f"all weights are finite, but {operator} makes the first of them, in {name!r}"
    return "all weights are finite"


def _is_spoilt(values: Array) -> bool:
    return values.dtype.kind == "f" and not bool(np.isfinite(values).all())
