"""Quantization of ONNX models with onnxruntime's tools.

Weights are uint8, not int8: on x86 CPUs without VNNI, onnxruntime's int8 kernels add pairs of products in 16 bits and
saturate. On a decoder that was seen as an error of 211/255 that another CPU does not show. uint8 weights take
the kernels that do not saturate, so that the result does not depend on the CPU.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.export.convert.samples import each_sample
from pocketvae.export.quantize.onnx_workspace import Workspace
from pocketvae.export.quantize.search import QuantizationPlan
from pocketvae.export.tuning.latent_parts import coarse_range
from pocketvae.export.tuning.names import LOGIT_BOUND, is_float_part
from pocketvae.formats.onnx.model import (
    add_outputs,
    array,
    constants,
    element_count,
    initializers,
    load_model,
)
from pocketvae.runtimes.onnxruntime import open_session

Inputs = Mapping[str, npt.NDArray[Any]]

_CONVOLUTIONS = ("Conv", "ConvTranspose")
_WEIGHTED = ("Gemm", "MatMul", *_CONVOLUTIONS)
# Operators that move or bound values: quantizing them too keeps the integers flowing between weighted layers.
_MOVERS = ("DepthToSpace", "Reshape", "Transpose", "Flatten", "Slice", "Concat")
_HEADS = {
    "Sigmoid": (-LOGIT_BOUND, LOGIT_BOUND),
    "Tanh": (-LOGIT_BOUND / 2, LOGIT_BOUND / 2),
    "Clip": (0.0, 1.0),
}
_PASSIVE = ("Relu", "Pad", "MaxPool", *_MOVERS)


def quantize_dynamic(float32: bytes, float_layers: Sequence[str] = ()) -> bytes:
    """Quantizes weights to uint8 per channel; activations are quantized on the fly.

    Args:
        float32: The float model.
        float_layers: Layers to leave out, by the names of `weighted_layers`.
    """
    from onnxruntime.quantization import QuantType
    from onnxruntime.quantization import quantize_dynamic as quantize

    with Workspace(float32) as workspace:
        workspace.prepare()
        quantize(
            workspace.source,
            workspace.target,
            per_channel=True,
            weight_type=QuantType.QUInt8,
            # A Gemm is split into a product and a sum before its name is looked for.
            nodes_to_exclude=[name for layer in float_layers for name in (layer, f"{layer}_MatMul")],
        )
        return workspace.result()


Ranges = dict[str, tuple[float, float]]
_NONE: Mapping[str, tuple[float, float]] = {}


@dataclass(frozen=True, kw_only=True)
class Calibrated:
    """A float model with the ranges of its activations, so quantizing it no longer needs samples.

    Attributes:
        float32: The model.
        prepared: The same, as onnxruntime's quantizer wants it.
        cache: The ranges of all tensors, in onnxruntime's form.
        ranges: Of the outputs of layers with weights, see `activation_ranges`.
    """

    float32: bytes
    prepared: bytes
    cache: bytes
    ranges: Ranges


def calibrate(float32: bytes, calibration: Inputs) -> Calibrated:
    """Finds the ranges of all activations.

    Args:
        float32: The float model.
        calibration: Input name to `[N, ...]` samples.
    """
    with Workspace(float32) as workspace:
        workspace.prepare()
        _quantize_static(workspace, QuantizationPlan(), {}, _reader(calibration))
        return Calibrated(
            float32=float32,
            prepared=workspace.source.read_bytes(),
            cache=workspace.cache.read_bytes(),
            ranges=activation_ranges(float32, calibration, workspace.known_ranges()),
        )


def quantize_static(calibrated: Calibrated, plan: QuantizationPlan) -> bytes:
    """Quantizes to QDQ form, uint8 weights per channel and uint8 activations; a sigmoid stays in float.

    Args:
        calibrated: From `calibrate`.
        plan: Names layers as `integer_layers` does.
    """
    with Workspace(calibrated.prepared) as workspace:
        workspace.cache.write_bytes(calibrated.cache)
        _quantize_static(workspace, plan, _overrides(calibrated.float32, calibrated.ranges, plan), None)
        return workspace.result(plan.weights_only)


def quantize_int16x8(float32: bytes, calibration: Inputs) -> bytes:
    """Quantizes to QDQ form with uint16 activations, in the range of the samples, and int8 weights per channel.

    The rounding of 16 bits is standard from operator set 21 on, to which the file is raised. NPUs compute it in
    integers. onnxruntime's CPU kernels compute in float between the roundings, so that signed weights, which NPUs
    want, do not saturate there.

    Args:
        float32: The float model.
        calibration: Input name to `[N, ...]` samples.
    """
    with Workspace(float32) as workspace:
        workspace.prepare()
        _quantize_static(workspace, QuantizationPlan(), {}, _reader(calibration), wide=True)
        return workspace.result(wide=True)


def _reader(calibration: Inputs) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._samples = each_sample(calibration)

        def get_next(self) -> dict[str, npt.NDArray[Any]] | None:
            return next(self._samples, None)

    return Reader()


def _quantize_static(
    workspace: Workspace, plan: QuantizationPlan, overrides: dict[str, Any], reader: Any, *, wide: bool = False
) -> None:
    from onnxruntime.quantization import QuantFormat, QuantType
    from onnxruntime.quantization import quantize_static as quantize

    quantize(
        workspace.source,
        workspace.target,
        reader,
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=[*_WEIGHTED, *_PASSIVE],
        per_channel=True,
        activation_type=QuantType.QUInt16 if wide else QuantType.QUInt8,
        weight_type=QuantType.QInt8 if wide else QuantType.QUInt8,
        nodes_to_exclude=_float_nodes(workspace.source.read_bytes(), plan),
        calibration_cache_path=workspace.cache,
        extra_options={
            "WeightSymmetric": True,
            "TensorQuantOverrides": overrides,
            # OpenVINO 2026.4.1 leaves 16-bit roundings out, and with them a Relu that a zero point of 0 stands for.
            "QDQKeepRemovableActivations": wide,
        },
    )


def _float_nodes(prepared: bytes, plan: QuantizationPlan) -> list[str]:
    """Returns the nodes to keep in float: the plan's layers and what merely passes their values on."""
    nodes = load_model(prepared).graph.node
    found = [*plan.float_layers, *(node.name for node in nodes if is_float_part(node.name))]
    kept: set[str] = set()
    for node in nodes:  # in order of execution
        if node.name in plan.float_layers or is_float_part(node.name):
            kept.update(node.output)
        elif node.op_type in _PASSIVE and node.input[0] in kept:
            kept.update(node.output)
            found.append(node.name)
    return found


def activation_ranges(float32: bytes, calibration: Inputs, known: Mapping[str, tuple[float, float]] = _NONE) -> Ranges:
    """Returns the smallest and largest value of the output of every layer of `integer_layers`, after its ReLU.

    What reaches the head is limited to where the head still moves, see `tuning.names.LOGIT_BOUND`.

    Args:
        float32: The float model.
        calibration: Input name to `[N, ...]` samples.
        known: Those of tensors that were found already, by name.
    """
    model = load_model(float32)
    outputs = {layer: _chain(model.graph, layer) for layer in integer_layers(float32)}
    wanted = dict.fromkeys(chain.activation for chain in outputs.values() if chain.activation not in known)
    found = {**known, **_measured_ranges(model, tuple(wanted), calibration)}
    ranges = {}
    for layer, chain in outputs.items():
        low, high = found[chain.activation]
        ranges[layer] = (low, high) if chain.bounds is None else (max(low, chain.bounds[0]), min(high, chain.bounds[1]))
    return ranges


def _measured_ranges(model: Any, tensors: tuple[str, ...], calibration: Inputs) -> Ranges:
    """Returns smallest and largest value of some tensors of a model, which is changed."""
    if not tensors:
        return {}
    add_outputs(model.graph, tensors)
    session = open_session(model.SerializeToString())
    rows = [
        [(float(values.min()), float(values.max())) for values in session.run(list(tensors), sample)]
        for sample in each_sample(calibration)
    ]
    columns = zip(*rows, strict=True)
    return {
        name: (min(low for low, _ in column), max(high for _, high in column))
        for name, column in zip(tensors, columns, strict=True)
    }


def weighted_layers(float32: bytes) -> dict[str, int]:
    """Returns the nodes that hold weights: name to the number of weights, in graph order."""
    graph = load_model(float32).graph
    sizes = {name: element_count(tensor) for name, tensor in initializers(graph).items()}
    return {
        node.name: sum(sizes.get(name, 0) for name in node.input)
        for node in graph.node
        if node.op_type in _WEIGHTED and any(name in sizes for name in node.input)
    }


def integer_layers(float32: bytes) -> dict[str, int]:
    """Returns the nodes that can compute in integers: those of `weighted_layers`, and products of two activations."""
    names = [node.name for node in load_model(float32).graph.node if node.op_type in _WEIGHTED]
    return dict.fromkeys(names, 0) | weighted_layers(float32)


def convolutions(float32: bytes) -> frozenset[str]:
    """Returns those of the layers whose outputs are `[N, C, ...]`; the others have their channels last."""
    return frozenset(node.name for node in load_model(float32).graph.node if node.op_type in _CONVOLUTIONS)


def layer_outputs(float32: bytes) -> dict[str, str]:
    """Returns the tensor of each layer's output, after its ReLU."""
    graph = load_model(float32).graph
    return {layer: _chain(graph, layer).activation for layer in integer_layers(float32)}


def stored_outputs(quantized: bytes, outputs: Mapping[str, str]) -> dict[str, str]:
    """Returns where a quantized model holds those outputs: as integers where it has them, else as floats.

    Args:
        quantized: The model.
        outputs: From `layer_outputs` of the float model.
    """
    graph = load_model(quantized).graph
    made_by = {node.name: node.output[0] for node in graph.node}
    integers = {node.input[0]: node.output[0] for node in graph.node if node.op_type == "QuantizeLinear"}
    # A ReLU that quantization does anyway is taken out, so that the layer's own output is what is quantized.
    names = {layer: [name, made_by.get(layer, name)] for layer, name in outputs.items()}
    return {
        layer: next((integers[name] for name in both if name in integers), both[0]) for layer, both in names.items()
    }


@dataclass(frozen=True, kw_only=True)
class _Chain:
    """A layer's output and what merely moves its values on.

    Attributes:
        activation: The tensor after the layer's ReLU, or after the layer where it has none.
        tensors: That one and those that hold the same values moved; also what comes before a ReLU6, which integers of
            its range bound, too.
        bounds: The range of values that the head behind them tells apart; None where there is no head.
    """

    activation: str
    tensors: tuple[str, ...]
    bounds: tuple[float, float] | None


def _chain(graph: Any, layer: str) -> _Chain:
    node = next(node for node in graph.node if node.name == layer)
    consumers = [user for user in graph.node if node.output[0] in user.input]
    before = []
    if len(consumers) == 1 and (consumers[0].op_type == "Relu" or _is_relu6(graph, consumers[0])):
        before = [node.output[0]] if consumers[0].op_type == "Clip" else []
        node = consumers[0]
    tensors = [node.output[0]]
    while True:
        consumers = [user for user in graph.node if tensors[-1] in user.input]
        if len(consumers) != 1 or consumers[0].op_type not in _MOVERS:
            break
        tensors.append(consumers[0].output[0])
    return _Chain(activation=tensors[0], tensors=(*tensors, *before), bounds=_head_bounds(graph, consumers))


def _is_relu6(graph: Any, node: Any) -> bool:
    return node.op_type == "Clip" and [_constant(graph, name) for name in node.input[1:3]] == [0.0, 6.0]


def _head_bounds(graph: Any, consumers: list[Any]) -> tuple[float, float] | None:
    """Returns the bounds of the head that alone consumes a tensor: the sigmoid of a swish and a ReLU6 are not heads."""
    if len(consumers) != 1 or consumers[0].op_type not in _HEADS:
        return None
    head = consumers[0]
    if head.op_type == "Clip" and [_constant(graph, name) for name in head.input[1:3]] != [0.0, 1.0]:
        return None
    tensor, outputs = head.output[0], {output.name for output in graph.output}
    while tensor not in outputs:
        following = [user for user in graph.node if tensor in user.input]
        if len(following) != 1 or following[0].op_type not in (*_MOVERS, "Identity"):
            return None
        tensor = following[0].output[0]
    return _HEADS[head.op_type]


def _constant(graph: Any, name: str) -> float | None:
    found = constants(graph).get(name)
    return float(array(found).reshape(-1)[0]) if found is not None else None


def _overrides(float32: bytes, ranges: Ranges, plan: QuantizationPlan) -> dict[str, list[dict[str, Any]]]:
    graph = load_model(float32).graph
    overrides: dict[str, list[dict[str, Any]]] = {}
    for layer, (low, high) in ranges.items():
        scale = plan.range_scales.get(layer, 1.0)
        for tensor in _chain(graph, layer).tensors:
            # Where layers are joined, the range must hold the values of all of them.
            known = overrides.get(tensor, [{"rmin": np.inf, "rmax": -np.inf}])[0]
            lowest, highest = min(known["rmin"], low * scale), max(known["rmax"], high * scale)
            overrides[tensor] = [{"rmin": np.float32(lowest), "rmax": np.float32(highest)}]
    for tensor in _joined_with_others(graph, overrides):
        del overrides[tensor]
    overrides |= _part_ranges(graph)
    outputs = {output.name for output in graph.output}
    return {tensor: limits for tensor, limits in overrides.items() if tensor not in outputs}


def _joined_with_others(graph: Any, known: Collection[str]) -> list[str]:
    """Returns the tensors that hold other values beside those of layers, such as an input that is concatenated.

    Their ranges are those of calibration: a layer's own would cut the others off.
    """
    found: list[str] = []
    for node in graph.node:
        sources = node.input if node.op_type == "Concat" else node.input[:1]
        joined = node.op_type in _MOVERS and any(name not in known or name in found for name in sources)
        found += [name for name in node.output if joined and name in known]
    return found


def _part_ranges(graph: Any) -> dict[str, list[dict[str, Any]]]:
    """Returns the scale on which the coarse part of a latent lies, for the tensor of both its parts."""
    steps, ranges = {}, {}
    for node in graph.node:
        if not is_float_part(node.name):
            continue
        if node.op_type == "Mul" and (step := _constant(graph, node.input[1])) is not None:
            steps[node.output[0]] = step
        elif node.op_type == "Concat" and node.input[0] in steps:
            low, high = coarse_range(steps[node.input[0]])
            ranges[node.output[0]] = [{"rmin": np.float32(low), "rmax": np.float32(high)}]
    return ranges
