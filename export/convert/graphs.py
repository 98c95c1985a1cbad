"""The exported graphs: batch size 1, stable names, and the output head appended to the decoder."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from pocketvae.errors import ExportError
from pocketvae.export.convert.einsums import EINSUM, equation_of, expanded, is_refused
from pocketvae.export.convert.float_forms import FLOAT_FORMS, concerns
from pocketvae.export.convert.lookups import is_direct, with_direct_lookups
from pocketvae.export.convert.loops import unrolled
from pocketvae.export.convert.plain_graphs import (
    INT16_LACKS,
    ONNX_LACKS,
    all_nodes,
    callable_of,
    expand_for_int16,
    expand_for_onnx,
    is_plain,
    operators_of,
    plain,
    with_forms,
)
from pocketvae.export.convert.repeats import repeats_of, with_resizes
from pocketvae.export.convert.resizes import BICUBIC, product
from pocketvae.export.convert.shuffles import fuse_depth_to_space, narrow_shuffles
from pocketvae.keras.front_end import encoded_items
from pocketvae.keras.heads import data_head
from pocketvae.keras.io import import_keras, import_tensorflow
from pocketvae.spec import Component, TensorSpec
from pocketvae.vae_spec import VaeSpec


@dataclass(frozen=True, kw_only=True)
class Graph:
    """One component ready for conversion.

    Attributes:
        function: A `tf.function` of named inputs with batch size 1 that returns a dict of named outputs.
        model: The Keras model inside, kept alive for the converter.
        inputs: Inputs in order; shapes include the batch.
        fused_shuffles: Number of depth-to-space rewrites.
    """

    function: Any
    model: Any
    inputs: tuple[TensorSpec, ...]
    fused_shuffles: int

    def signature(self) -> list[Any]:
        """Returns the inputs as `tf.TensorSpec`."""
        return _signature(self.inputs)


def apply_component(component: Component, model: Any, vae: VaeSpec, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Runs a component with its output head, which every artifact has to reproduce.

    Args:
        component: Which part of the VAE `model` is.
        model: The Keras model; an encoder returns (z_mean, z_log_var), a decoder the likelihood's parameters. Of what
            takes data through both, `pocketvae.export.original.through.Through`.
        vae: The interface of the VAE.
        inputs: By name, as `vae.inputs(component)` lists them, with any batch; `eps` instead of `seed` and `index`.

    Returns:
        `z_mean`, `z_log_var` and `z` in the latent's shape, or the decoder's output `[N, *data_shape]` in
        `vae.data_range`, flat if the original's is, and what it returns beside it.
    """
    if component.takes_data_through:
        found: dict[str, Any] = model.apply(inputs)
        return found
    if component is Component.ENCODER and vae.log_mel:
        inputs = {name: encoded_items(value, vae) if name == "x" else value for name, value in inputs.items()}
    values = list(inputs.values())
    outputs = model(values if len(values) > 1 else values[0], training=False)
    if component in (Component.DECODER, Component.GENERATOR):
        data, *more = outputs if vae.more_outputs else [outputs]
        outputs = [data_head(vae, data), *more] if more else data_head(vae, data)
    names = vae.output_names(component)
    return dict(zip(names, outputs if len(names) > 1 else [outputs], strict=True))


def check_interface(component: Component, model: Any, vae: VaeSpec) -> None:
    """Checks that a model has the interface of its component.

    Raises:
        ExportError: the shape of an input or output differs from the VAE's.
    """
    expected_inputs = [(None, *spec.shape[1:]) for spec in vae.behind_front_end.inputs(component)]
    latent = (None, *vae.latent_shape)
    expected_outputs = {
        Component.ENCODER: [latent, latent],
        Component.DECODER: [(None, *vae.data_shape)] * vae.likelihood.decoder_outputs,
        Component.PRIOR: [latent],
    }[component]
    inputs, outputs = _shapes(model.input_shape), _shapes(model.output_shape)
    if inputs != expected_inputs or outputs != expected_outputs:
        raise ExportError(
            f"the {component} must map {expected_inputs} to {expected_outputs}, got {inputs} to {outputs}"
        )


def build_graph(component: Component, model: Any, vae: VaeSpec, *, fuse: bool = True) -> Graph:
    """Builds the graph of a component.

    Args:
        component: Which part of the VAE `model` is.
        model: The Keras model.
        vae: The interface of the VAE.
        fuse: Make depth-to-space one operator; else its transpose has five dimensions in place of six.
    """
    tf = import_tensorflow()
    fused, count = fuse_depth_to_space(model) if fuse else (narrow_shuffles(model), 0)
    inputs = vae.inputs(component)

    def apply(**values: Any) -> dict[str, Any]:
        return apply_component(component, fused, vae, values)

    function = function_of(apply, inputs)
    with unrolled(fused):
        frozen = _Frozen(function)
    if isinstance(fused, import_keras().Model) and frozen.is_plain:
        return Graph(function=function, model=fused, inputs=inputs, fused_shuffles=count)
    return Graph(function=frozen.function(inputs), model=tf.Module(), inputs=inputs, fused_shuffles=count)


def function_of(apply: Callable[..., dict[str, Any]], inputs: tuple[TensorSpec, ...]) -> Any:
    """Returns a `tf.function` of named inputs."""
    tf = import_tensorflow()
    names = [spec.name for spec in inputs]

    def body(*values: Any) -> dict[str, Any]:
        return apply(**dict(zip(names, values, strict=True)))

    # The converters take the names of inputs from the names of arguments.
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    body.__signature__ = inspect.Signature([inspect.Parameter(name, kind) for name in names])  # type: ignore[attr-defined]
    return tf.function(body, input_signature=_signature(inputs), autograph=False)


def weight_bytes(graph: Graph) -> int:
    """Returns what the weights of a graph take, whether it holds them as variables or as constants."""
    traced = graph.function.get_concrete_function().graph
    variables = sum(math.prod(variable.shape) * variable.dtype.size for variable in traced.variables)
    return int(variables + traced.as_graph_def().ByteSize())


def expanded_for_onnx(graph: Graph) -> Graph:
    """Returns the graph in operators that tf2onnx translates; the same where it has no others."""
    return _expanded(graph, ONNX_LACKS, expand_for_onnx)


def expanded_for_tflite(graph: Graph) -> Graph:
    """Returns the graph without bicubic resizes and einsums that the converter refuses; the same where it has none."""
    forms: dict[str, Callable[[Any], Callable[[], Any] | None]] = {BICUBIC: product}
    nodes = all_nodes(graph.function.get_concrete_function().graph.as_graph_def())
    if any(node.op == EINSUM and is_refused(equation_of(node)) for node in nodes):
        forms[EINSUM] = expanded
    return _expanded(graph, frozenset(forms), lambda definition: with_forms(definition, forms))


def expanded_for_floats(graph: Graph) -> Graph:
    """Returns the graph in forms that are right for all values in TFLite's floats; the same where it has none."""
    if not concerns(all_nodes(graph.function.get_concrete_function().graph.as_graph_def())):
        return graph
    return _expanded(graph, frozenset(FLOAT_FORMS), lambda definition: with_forms(definition, FLOAT_FORMS))


def expanded_for_int16(graph: Graph) -> Graph:
    """Returns the graph without operators that have another form in 16 bits; the same where it has none."""
    return _expanded(graph, INT16_LACKS, expand_for_int16)


def _expanded(graph: Graph, lacking: frozenset[str], expand: Callable[[Any], Any]) -> Graph:
    if not lacking & operators_of(graph.function.get_concrete_function().graph.as_graph_def()):
        return graph
    function = _Frozen(graph.function).function(graph.inputs, expand)
    return replace(graph, function=function, model=import_tensorflow().Module())


class _Frozen:
    """A function with its weights as constants.

    The TFLite converter does not find the variables of Keras 3 and of wrapped models: its file would read them from
    uninitialized memory.
    """

    def __init__(self, function: Any) -> None:
        from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

        concrete = function.get_concrete_function()
        self._names = sorted(concrete.structured_outputs)
        self._frozen = convert_variables_to_constants_v2(concrete, lower_control_flow=False)
        self._definition = self._frozen.graph.as_graph_def()

    @cached_property
    def is_plain(self) -> bool:
        """Whether the converters take it as it is."""
        is_usual = is_plain(self._definition) and is_direct(self._definition)
        return is_usual and not repeats_of(self._frozen.graph)

    def function(self, inputs: tuple[TensorSpec, ...], expand: Callable[[Any], Any] | None = None) -> Any:
        """Returns it as a `tf.function` of named inputs, in other operators if `expand` is given."""
        tf = import_tensorflow()
        call: Callable[..., Any] = self._frozen
        if expand or not self.is_plain:
            definition = with_direct_lookups(with_resizes(plain(self._definition)))
            names = [[tensor.name for tensor in tensors] for tensors in (self._frozen.inputs, self._frozen.outputs)]
            call = callable_of(expand(definition) if expand else definition, *names)

        def apply(**values: Any) -> dict[str, Any]:
            return dict(zip(self._names, tf.nest.flatten(call(*values.values())), strict=True))

        return function_of(apply, inputs)


def _signature(inputs: tuple[TensorSpec, ...]) -> list[Any]:
    tf = import_tensorflow()
    return [tf.TensorSpec(spec.shape, spec.dtype, name=spec.name) for spec in inputs]


def _shapes(shapes: Any) -> list[tuple[int | None, ...]]:
    return [tuple(shape) for shape in shapes] if isinstance(shapes, list) else [tuple(shapes)]
