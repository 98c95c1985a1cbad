"""A prepared ONNX file as an original: onnxruntime computes its values, TensorFlow's converters see its graph."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.errors import ExportError, ManifestError, ParityError
from pocketvae.formats.onnx.model import array, load_model, replace_array
from pocketvae.keras.io import import_tensorflow
from pocketvae.keras.onnx.graph import run
from pocketvae.runtimes.onnxruntime import open_session

_THREADS = "TF_NUM_INTRAOP_THREADS"

# Operators that leave integers as they are.
_PASSING = ("Cast", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze")


class OnnxModel:
    """A prepared ONNX file, whose batch size is open; called like a Keras model.

    Called with arrays or eager tensors it returns what onnxruntime computes. While a function is traced, it returns the
    same graph in operators of TensorFlow.
    """

    def __init__(self, path: Path) -> None:
        """Reads the file.

        Raises:
            ExportError: it is damaged.
            TargetError: onnx or onnxruntime is not installed.
        """
        try:
            self._model = load_model(path.read_bytes())
        except ManifestError as e:
            raise ExportError(f"{path} cannot be read: {e}") from e
        self._path = path
        self._session: Any = None

    @property
    def proto(self) -> Any:
        """The file as a `ModelProto`, with its present weights."""
        return self._model

    def table_sizes(self, name: str) -> set[int]:
        """Returns how many integers an input may be, as far as tables of embeddings and one-hot encodings show it.

        Args:
            name: Of the input.
        """
        stored = {tensor.name: tensor for tensor in self._model.graph.initializer}
        found = set()
        for node in self._model.graph.node:
            places = {"Gather": (0, 1), "OneHot": (1, 0)}.get(node.op_type)
            if places is None or node.input[places[0]] not in stored or not self._follows(node.input[places[1]], name):
                continue
            known = stored[node.input[places[0]]]
            found.add(int(known.dims[0]) if node.op_type == "Gather" else int(array(known).reshape(())))
        return found

    def _follows(self, tensor: str, name: str) -> bool:
        makers = {output: node for node in self._model.graph.node for output in node.output}
        while tensor in makers and makers[tensor].op_type in _PASSING:
            tensor = makers[tensor].input[0]
        return tensor == name

    def call(self, values: Sequence[Any]) -> list[Any]:
        """Runs it on one value per input and returns one value per output.

        Raises:
            ExportError: onnxruntime cannot run it, or TensorFlow lacks an operator.
        """
        tf = import_tensorflow()
        if any(tf.is_tensor(given) and not hasattr(given, "numpy") for given in values):
            return run(self._model.graph, self._weights(), values)
        arrays = [np.asarray(given) for given in values]
        feed = {given.name: values for given, values in zip(self._model.graph.input, arrays, strict=True)}
        return list(self._opened().run(None, feed))

    def __call__(self, inputs: Any, training: bool = False) -> Any:
        """Runs the model, whatever `training` says."""
        outputs = self.call(inputs if isinstance(inputs, (list, tuple)) else [inputs])
        return outputs if len(outputs) > 1 else outputs[0]

    def _weights(self) -> dict[str, npt.NDArray[Any]]:
        return {tensor.name: array(tensor) for tensor in self._model.graph.initializer}

    def get_weights(self) -> list[npt.NDArray[Any]]:
        """Returns the weights, as Keras does."""
        return list(self._weights().values())

    def set_weights(self, weights: Sequence[npt.NDArray[Any]]) -> None:
        """Replaces the weights, as Keras does."""
        for tensor, values in zip(self._model.graph.initializer, weights, strict=True):
            replace_array(tensor, values)
        self._session = None

    def _opened(self) -> Any:
        if self._session is None:
            threads = int(os.environ.get(_THREADS, 0)) or os.cpu_count() or 1
            try:
                content = self._model.SerializeToString()
                self._session = open_session(content, num_threads=threads, name=str(self._path))
            except ParityError as e:
                raise ExportError(str(e)) from e
        return self._session
