"""Functions of SavedModels as flat graphs whose weights are constants, the steps in them that draw, and parts of them.

No code of a layer runs, since a SavedModel holds graphs; a part of one is a SavedModel again.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.errors import ExportError
from pocketvae.export.convert.plain_graphs import callable_of, drop_order
from pocketvae.keras.io import import_tensorflow, open_graph
from pocketvae.keras.model_form import Role
from pocketvae.system.quiet import quiet_stderr

Array = npt.NDArray[Any]
# TruncatedNormal draws something else, which mean and log-variance do not describe.
_NORMAL = re.compile(r"^(RandomStandardNormal|StatelessRandomNormal(V2)?)$")
_MOVES = frozenset({"Identity", "Cast", "StopGradient"})
_SUMS, _HALF, _TWICE = frozenset({"Add", "AddV2"}), 0.5, 2.0


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """A step that draws a latent as mean + noise * scale; tensors by name.

    Attributes:
        noise: Standard normal noise.
        latent: What is drawn.
        mean: Its mean.
        spread: What the scale is made of.
        role: What that is.
    """

    noise: str
    latent: str
    mean: str
    spread: str
    role: Role


@dataclass(frozen=True, kw_only=True)
class SavedGraph:
    """A function as a graph.

    Attributes:
        definition: A `GraphDef`. Variables that the function writes, such as the state of a seed, are no constants.
        inputs: The tensors that it takes, by name.
        outputs: The tensors that it returns, by name.
        specs: Shape and type of tensors, by tensor.
        weights: The nodes that were variables.
    """

    definition: Any
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    specs: Mapping[str, Any]
    weights: frozenset[str] = frozenset()

    @cached_property
    def nodes(self) -> dict[str, Any]:
        """The nodes by name."""
        return {node.name: node for node in self.definition.node}

    @cached_property
    def readers(self) -> dict[str, list[Any]]:
        """The nodes that read a tensor."""
        found: dict[str, list[Any]] = defaultdict(list)
        for node in self.definition.node:
            for source in node.input:
                found[_full(source)].append(node)
        return found

    def size(self, tensor: str) -> tuple[int | None, ...]:
        """Returns the shape of one sample."""
        shape = self.specs[tensor].shape
        return () if shape.rank is None else tuple(shape.as_list()[1:])

    def behind(self, tensors: Collection[str], stops: Collection[str] = ()) -> set[str]:
        """Returns the nodes that tensors depend on, by name, without those that make `stops` and what lies behind."""
        ends = {node_of(stop) for stop in stops}
        seen = {node_of(tensor) for tensor in tensors} - ends
        waiting = list(seen)
        while waiting:
            fresh = {node_of(source) for source in self.nodes[waiting.pop()].input} - seen - ends
            seen |= fresh
            waiting += fresh
        return seen

    def constant(self, tensor: str) -> Array | None:
        """Returns the value of a constant; None for what is computed."""
        node = self.nodes[node_of(tensor)]
        while node.op in _MOVES:
            node = self.nodes[node_of(node.input[0])]
        return np.asarray(import_tensorflow().make_ndarray(node.attr["value"].tensor)) if node.op == "Const" else None

    def samplings(self) -> list[Sampling]:
        """Returns the steps that draw in a known way."""
        noises = (node for node in self.definition.node if _NORMAL.match(node.op))
        return [step for node in noises for step in self._samplings_of(_full(node.name))]

    def _samplings_of(self, noise: str) -> Iterator[Sampling]:
        for drawn, product in self._forward(noise):
            if product.op != "Mul":
                continue
            scale = _other(product, drawn)
            for term, total in self._forward(_full(product.name)):
                if total.op in _SUMS:
                    spread, role = self._spread(scale)
                    mean = _other(total, term)
                    yield Sampling(noise=noise, latent=_full(total.name), mean=mean, spread=spread, role=role)

    def _forward(self, tensor: str) -> Iterator[tuple[str, Any]]:
        """Yields the nodes that read a value, with the name that they read; steps that do not change it are passed."""
        for node in self.readers[tensor]:
            other = self.constant(_other(node, tensor)) if node.op in ("Mul", *_SUMS) else None
            neutral = 1.0 if node.op == "Mul" else 0.0
            if node.op in _MOVES or (other is not None and np.all(other == neutral)):
                yield from self._forward(_full(node.name))
            elif other is None:
                yield tensor, node

    def maker(self, tensor: str) -> Any:
        """Returns the node that makes a value; steps that do not change it are passed."""
        node = self.nodes[node_of(tensor)]
        while node.op in _MOVES:
            node = self.nodes[node_of(node.input[0])]
        return node

    def _spread(self, scale: str) -> tuple[str, Role]:
        """Returns the tensor that a standard deviation is made of, and what it is."""
        node = self.maker(scale)
        if node.op == "Sqrt":
            inner = self.maker(node.input[0])
            return (_full(inner.input[0]), Role.LOG_VAR) if inner.op == "Exp" else (_full(node.input[0]), Role.VAR)
        if node.op != "Exp":
            return scale, Role.STD
        half = self.maker(node.input[0])
        wanted = {"Mul": _HALF, "RealDiv": _TWICE}.get(half.op)
        numbers = half.input if half.op == "Mul" else half.input[1:]
        for source in numbers if wanted else ():
            value = self.constant(source)
            if value is not None and np.all(value == wanted):
                return _other(half, _full(source)), Role.LOG_VAR
        return _full(node.input[0]), Role.LOG_STD

    def run(self, feeds: Mapping[str, Array], tensors: Sequence[str]) -> list[Array]:
        """Computes tensors from the values of others."""
        tf = import_tensorflow()
        with quiet_stderr(), tf.Graph().as_default() as graph:
            tf.graph_util.import_graph_def(self.definition, name="")
            with open_graph(graph) as session:
                return [np.asarray(value) for value in session.run(list(tensors), dict(feeds))]

    def write_part(
        self,
        path: Path,
        inputs: Mapping[str, str],
        outputs: Mapping[str, str],
        replaced: Mapping[str, str] | None = None,
    ) -> None:
        """Writes a part as a SavedModel.

        Args:
            path: The folder.
            inputs: The tensors that the part takes, by the names that its signature gets.
            outputs: The tensors that it returns, likewise.
            replaced: Tensors that stand for others, by these.

        Raises:
            ExportError: the part also needs something else, such as a random number or a variable that it writes.
        """
        tf = import_tensorflow()
        graph = self._with(replaced or {})
        body = tf.compat.v1.GraphDef(versions=self.definition.versions, library=self.definition.library)
        needed = graph.behind(list(outputs.values()), list(inputs.values()))
        body.node.extend(node for node in graph.definition.node if node.name in needed)
        open_ends = [node.name for node in body.node if node.op == "Placeholder"]
        if open_ends:
            raise ExportError(f"the {path.name} also depends on {', '.join(map(repr, open_ends[:3]))}")
        # Export rounds and changes weights, which it finds as variables.
        module = tf.Module()
        module.weights = {
            node.name: tf.Variable(tf.make_ndarray(node.attr["value"].tensor), trainable=False)
            for node in body.node
            if node.name in self.weights
        }
        stored = module.weights
        call = callable_of(body, [*inputs.values(), *map(_full, stored)], list(outputs.values()))
        specs = [
            tf.TensorSpec(self.specs[tensor].shape, self.specs[tensor].dtype, name=name)
            for name, tensor in inputs.items()
        ]

        def run(*values: Any) -> dict[str, Any]:
            made = call(*values, *(weight.read_value() for weight in stored.values()))
            return {name: tf.identity(value) for name, value in zip(outputs, made, strict=True)}

        function = tf.function(run, input_signature=specs, autograph=False)
        with quiet_stderr():
            tf.saved_model.save(module, str(path), signatures={"serving_default": function})

    def _with(self, replaced: Mapping[str, str]) -> SavedGraph:
        definition = type(self.definition)()
        definition.CopyFrom(self.definition)
        for node in definition.node:
            for index, source in enumerate(node.input):
                node.input[index] = replaced.get(_full(source), source)
        return SavedGraph(definition=definition, inputs=self.inputs, outputs=self.outputs, specs=self.specs)


def saved_graph(function: Any, inputs: Sequence[str], outputs: Sequence[str]) -> SavedGraph:
    """Returns a concrete function as a graph.

    Args:
        function: It.
        inputs: Names for its inputs, in order.
        outputs: Names for its outputs, in order.

    Raises:
        ExportError: its variables cannot be made constants.
    """
    from tensorflow.python.framework import convert_to_constants as converters

    tf = import_tensorflow()
    with quiet_stderr():
        inlined = converters._run_inline_graph_optimization(function, False, True)
        data = converters._FunctionConverterDataInEager(
            func=function,
            lower_control_flow=False,
            aggressive_inlining=True,
            variable_names_denylist=_written(inlined),
        )
        definition, _ = converters._replace_variables_by_constants(data)
    drop_order(definition)
    with tf.Graph().as_default() as graph:
        tf.graph_util.import_graph_def(definition, name="")
        specs = {tensor.name: tensor for item in graph.get_operations() for tensor in item.outputs}
    captured = {id(tensor) for tensor in function.graph.internal_captures}
    taken = [tensor.name for tensor in function.inputs if id(tensor) not in captured]
    return SavedGraph(
        definition=definition,
        inputs=dict(zip(inputs, taken, strict=True)),
        outputs=dict(zip(outputs, [tensor.name for tensor in function.outputs], strict=True)),
        specs=specs,
        weights=frozenset(name for name, item in data.tensor_data.items() if item.numpy.dtype.kind == "f"),
    )


def _written(definition: Any) -> set[str]:
    """Returns the names of the variables that a graph writes."""
    nodes = {node.name: node for node in definition.node}
    found = set()
    for node in definition.node:
        if node.op.startswith("Assign") or node.op in ("RngSkip", "RngReadAndSkip"):
            name = node_of(node.input[0])
            while nodes[name].op == "Identity":
                name = node_of(nodes[name].input[0])
            found.add(name)
    return found


def _other(node: Any, tensor: str) -> str:
    first, second = map(_full, node.input[:2])
    return second if first == tensor else first


def node_of(tensor: str) -> str:
    """Returns the name of the node that makes a tensor."""
    return tensor.lstrip("^").split(":")[0]


def _full(tensor: str) -> str:
    return tensor if ":" in tensor or tensor.startswith("^") else f"{tensor}:0"
