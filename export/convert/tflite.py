"""Conversion to TFLite: one function per precision, from a graph to the file's bytes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy.typing as npt

from pocketvae.errors import ExportError
from pocketvae.export.convert.graphs import Graph, expanded_for_floats, expanded_for_int16, expanded_for_tflite
from pocketvae.export.convert.loops import refuse_loops
from pocketvae.export.convert.operators import conversion_error, refuse_custom_tflite
from pocketvae.export.convert.samples import each_sample
from pocketvae.keras.io import import_tensorflow
from pocketvae.system.quiet import quiet_stderr

Inputs = Mapping[str, npt.NDArray[Any]]


def convert_float32(graph: Graph) -> bytes:
    """Converts without any quantization."""
    return convert(expanded_for_floats(graph), lambda converter: None)


def convert_float16(graph: Graph) -> bytes:
    """Converts with weights in half precision; the arithmetic stays float32."""
    tf = import_tensorflow()

    def configure(converter: Any) -> None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]

    return convert(expanded_for_floats(graph), configure)


def convert_dynamic_int8(graph: Graph) -> bytes:
    """Converts with int8 weights per channel; activations are quantized on the fly."""
    tf = import_tensorflow()

    def configure(converter: Any) -> None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]

    return convert(expanded_for_floats(graph), configure)


def convert_int16x8(graph: Graph, calibration: Inputs) -> bytes:
    """Converts with int16 activations and int8 weights, float interface."""
    tf = import_tensorflow()

    def configure(converter: Any) -> None:
        calibrate_with(converter, calibration)
        operators = tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
        converter.target_spec.supported_ops = [operators]

    refuse_loops(graph)
    return convert(expanded_for_int16(graph), configure)


def calibrate_with(converter: Any, calibration: Inputs) -> None:
    """Sets the samples with which a converter finds the ranges of activations."""
    tf = import_tensorflow()

    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: each_sample(calibration)


def convert(graph: Graph, configure: Callable[[Any], None]) -> bytes:
    """Converts to built-in operators only.

    Args:
        graph: The graph to convert.
        configure: Sets the converter's options.

    Raises:
        ExportError: the converter failed.
    """
    tf = import_tensorflow()
    graph = expanded_for_tflite(graph)
    concrete = graph.function.get_concrete_function()
    with quiet_stderr(), warnings.catch_warnings():
        # Calibration runs on the interpreter inside TensorFlow, which announces its move to LiteRT at every use.
        warnings.filterwarnings("ignore", message=r"\s*Warning: tf.lite.Interpreter is deprecated")
        converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], _variables(concrete, graph.model))
        # Only built-in operators: Flex and custom operators would not run on a device.
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        configure(converter)
        try:
            content = bytes(converter.convert())
        except Exception as e:
            raise conversion_error(str(e)) from e
        if converter.saved_model_dir is None:
            # The converter then goes another way without a word, and that file has no named inputs and outputs.
            raise ExportError("the TFLite converter failed: TensorFlow cannot save the graph of the model")
    refuse_custom_tflite(content)
    return content


def _variables(concrete: Any, model: Any) -> Any:
    """Returns what the converter saves with a function: its variables, and not a Keras model.

    The converter writes a SavedModel for each conversion, and for a Keras model it traces every layer again, which
    takes two thirds of the conversion. The file is the same.
    """
    tf = import_tensorflow()
    handles = {id(variable.handle) for variable in concrete.variables}
    if any(tensor.dtype == tf.resource and id(tensor) not in handles for tensor in concrete.captured_inputs):
        return model  # a table, for instance, which only the model knows
    module = tf.Module()
    module.weights = list(concrete.variables)
    return module
