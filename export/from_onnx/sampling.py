"""The sampling of a VAE in an ONNX graph, found by structure: mean + noise * scale, where the noise is drawn."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pocketvae.export.from_onnx.folding import fold, is_random, shapes_of
from pocketvae.formats.onnx.model import array, drop_dead, initializers
from pocketvae.keras.model_form import Role


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """Where a graph draws its latent.

    Attributes:
        latent: The tensor that is drawn.
        mean: Its mean.
        spread: Its spread.
        role: What the spread is.
    """

    latent: str
    mean: str
    spread: str
    role: Role


def behind(graph: Any, name: str, stops: Collection[str] = ()) -> set[str]:
    """Returns the tensors that one depends on, itself among them; those behind `stops` are left out."""
    makers = {output: node for node in graph.node for output in node.output if output not in stops}
    seen, waiting = {name}, [name]
    while waiting:
        node = makers.get(waiting.pop())
        fresh = [item for item in node.input if item and item not in seen] if node else []
        seen.update(fresh)
        waiting += fresh
    return seen


def random_outputs(graph: Any) -> list[int]:
    """Returns the places of the outputs that depend on random numbers."""
    random = {output for node in graph.node if is_random(node) for output in node.output}
    return [place for place, output in enumerate(graph.output) if random & behind(graph, output.name)]


def find_samplings(graph: Any) -> list[Sampling]:
    """Returns where latents are drawn in a known way, first to last."""
    found = (_sampling_of(graph, node.output[0]) for node in graph.node if is_random(node))
    return [item for item in found if item is not None]


def drawn_for(graph: Any, drawn: Sequence[Sampling]) -> tuple[list[Sampling], list[str]]:
    """Returns the samplings that the decoder in a whole VAE goes on from, and its outputs."""
    latents = [item.latent for item in drawn]
    encoded = {name for latent in latents for name in behind(graph, latent)}
    outputs = [item.name for item in graph.output if item.name not in encoded]
    reached = {name: behind(graph, name, latents) & set(latents) for name in outputs}
    decoded = [name for name in outputs if reached[name]]
    used = reached[decoded[0]] if decoded else set()
    return [item for item in drawn if item.latent in used], decoded


def data_of(model: Any, drawn: Sequence[Sampling]) -> tuple[str, list[str]]:
    """Returns the data among the inputs of a whole VAE, and the inputs that its decoder reads beside some latents."""
    graph, shapes = model.graph, shapes_of(model)
    _, outputs = drawn_for(graph, find_samplings(graph))
    read = {name for output in outputs for name in behind(graph, output, [item.latent for item in drawn])}
    names = [item.name for item in graph.input]
    alike = [name for name in names if shapes.get(name) in [shapes.get(output) for output in outputs]] or names
    # A condition may be as large as the data.
    return next((name for name in alike if name not in read), alike[0]), [name for name in names if name in read]


def returns_what_it_takes(model: Any) -> bool:
    """Whether a model is a whole VAE: it draws a latent, and makes data of its input's sizes of it."""
    shapes = shapes_of(model)
    found, outputs = drawn_for(model.graph, find_samplings(model.graph))
    given = [shapes.get(item.name) for item in model.graph.input]
    return bool(found) and any(shapes.get(name) in given for name in outputs)


def drawn_between(graph: Any, drawn: Sequence[Sampling]) -> list[Sampling]:
    """Returns the samplings that draw what an encoder's other latents or outputs depend on."""
    latents = [item.latent for item in drawn]
    ends = [item.name for item in graph.output if item.name not in latents]
    ends += [name for item in drawn for name in (item.mean, item.spread)]
    needed = {name for end in ends for name in behind(graph, end)}
    return [item for item in drawn if item.latent in needed]


def redirect(graph: Any, renamed: Mapping[str, str]) -> None:
    """Lets nodes read other tensors in place of some."""
    for node in graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]


def cut(model: Any, inputs: Sequence[str], outputs: Sequence[str], shapes: Mapping[str, Sequence[int | None]]) -> None:
    """Cuts a graph to what leads from some tensors to others, in place; every tensor keeps its type."""
    from onnx import helper, shape_inference

    graph = model.graph
    read = {name for output in outputs for name in behind(graph, output, inputs)}
    if any(item.name in read and item.name not in inputs for item in graph.input):
        # Of what is cut away, at most the sizes are read.
        fold(model)
    inferred = shape_inference.infer_shapes(model).graph
    values = (*inferred.input, *inferred.value_info, *inferred.output)
    types = {value.name: value.type.tensor_type.elem_type or 1 for value in values}
    given = {value.name: value for value in graph.input}
    del graph.output[:]
    graph.output.extend(helper.make_empty_tensor_value_info(name) for name in outputs)
    for value in graph.output:
        value.type.tensor_type.elem_type = types.get(value.name, 1)
    fresh = [
        given.get(name) or helper.make_tensor_value_info(name, types.get(name, 1), shapes[name]) for name in inputs
    ]
    kept = [node for node in graph.node if not set(node.output) & set(inputs)]
    del graph.node[:], graph.input[:]
    graph.node.extend(kept)
    graph.input.extend(fresh)
    drop_dead(graph)
    del graph.value_info[:]


def _sampling_of(graph: Any, noise: str) -> Sampling | None:
    for product in _readers(graph, noise):
        if product.op_type != "Mul":
            continue
        scale = _other(product, noise)
        for total in _readers(graph, product.output[0]):
            if total.op_type == "Add":
                spread, role = _spread(graph, scale)
                mean = _other(total, product.output[0])
                return Sampling(latent=total.output[0], mean=mean, spread=spread, role=role)
    return None


def _readers(graph: Any, name: str) -> Iterator[Any]:
    return (node for node in graph.node if name in node.input)


def _other(node: Any, name: str) -> str:
    return str(node.input[1] if node.input[0] == name else node.input[0])


def _spread(graph: Any, scale: str) -> tuple[str, Role]:
    """Returns the tensor that a standard deviation is made of, and what it is."""
    makers = {output: node for node in graph.node for output in node.output}
    node = makers.get(scale)
    if node is None:
        return scale, Role.STD
    if node.op_type == "Sqrt":
        inner = makers.get(node.input[0])
        if inner is not None and inner.op_type == "Exp":
            return inner.input[0], Role.LOG_VAR
        return node.input[0], Role.VAR
    if node.op_type != "Exp":
        return scale, Role.STD
    half = makers.get(node.input[0])
    stored = initializers(graph)
    if half is not None and half.op_type in ("Mul", "Div"):
        numbers = half.input if half.op_type == "Mul" else half.input[1:]
        factors = [array(stored[name]) for name in numbers if name in stored]
        wanted = 0.5 if half.op_type == "Mul" else 2.0
        if factors and factors[0].size == 1 and np.isclose(factors[0].reshape(-1)[0], wanted):
            return next(name for name in half.input if name not in stored), Role.LOG_VAR
    return node.input[0], Role.LOG_STD
