"""A Keras model as one flat graph of tensors, whatever is nested in it, and parts of that graph as models.

Layers are called again on new inputs, so that a part shares their weights, and nothing of a layer's code runs that the
model did not already run when it was loaded.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pocketvae.errors import ExportError
from pocketvae.export.external.roles import listed
from pocketvae.keras.io import import_flavour
from pocketvae.keras.model_form import Flavour

Shape = tuple[int | None, ...]
_IMAGE_RANK = 4


class _Value:
    """A tensor as Keras 2 expects it when it fills in arguments: it takes one for each use."""

    def __init__(self, tensor: Any) -> None:
        self._tensor = tensor

    def pop(self) -> Any:
        return self._tensor


@dataclass(frozen=True, kw_only=True)
class FlatGraph:
    """The graph of a model.

    Attributes:
        flavour: The Keras of its layers.
        inputs: Its input tensors.
        outputs: Its output tensors.
        paths: For each tensor by identity, the names of the nested models that it is made in.
        called: For each nested model by name, the tensors that it returns.
        kept: Everything that identities refer to.
        turned: Whether layers took their channels first; here they take them last, between two permutations.
    """

    flavour: Flavour
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]
    paths: Mapping[int, tuple[str, ...]]
    called: Mapping[str, tuple[Any, ...]]
    kept: tuple[Any, ...]
    turned: bool = False

    def tensors(self) -> list[Any]:
        """Returns all tensors that the outputs depend on, each after those that it depends on."""
        return list(_in_order(self.outputs, lambda tensor: inputs_of(tensor)))

    def path(self, tensor: Any) -> tuple[str, ...]:
        """Returns the names of the nested models that a tensor is made in."""
        return self.paths.get(id(tensor), ())

    def consumers(self, tensor: Any) -> list[Any]:
        """Returns the tensors that are made from a tensor directly."""
        return [made for made in self.tensors() if any(source is tensor for source in inputs_of(made))]


def flatten(model: Any, flavour: Flavour) -> FlatGraph:
    """Returns the graph of a functional or sequential model.

    Raises:
        ExportError: it is neither, or a layer cannot be called again.
    """
    if not getattr(model, "inputs", None) or not getattr(model, "outputs", None):
        raise ExportError("the model is not functional, so its parts cannot be seen")
    replay = _Replay(flavour)
    inputs = [replay.new_input(tensor) for tensor in model.inputs]
    known = {id(old): new for old, new in zip(model.inputs, inputs, strict=True)}
    outputs = replay.values(model.outputs, known, ())
    return FlatGraph(
        flavour=flavour,
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        paths=replay.paths,
        called=replay.called,
        kept=tuple(replay.kept),
        turned=bool(replay.turned),
    )


def part(
    graph: FlatGraph,
    outputs: Sequence[Any],
    name: str,
    *,
    starts: Sequence[tuple[Any, str]] = (),
    keys: Sequence[str] = (),
    shapes: Mapping[int, Shape] | None = None,
    entering: Callable[[Any], Any] | None = None,
    skipped: Callable[[Any], bool] = lambda _: False,
    replaced: Mapping[int, Any] | None = None,
) -> Any:
    """Returns the part of a graph that leads to some of its tensors, as a functional model.

    Args:
        graph: The graph.
        outputs: The tensors that the part returns.
        name: Of the part.
        starts: Tensors that become inputs, with their names; inputs of the graph that are needed become inputs, too.
        keys: Names of the outputs in a dict; empty to return a list.
        entering: What is done with inputs of the graph of four dimensions before anything else.
        shapes: Other shapes of inputs, with the batch, by the identity of the tensor.
        skipped: Whether a layer is left out, so that it passes its input on.
        replaced: Tensors that stand for others, by the identity of those; of one that is twice as wide, the first half.

    Raises:
        ExportError: a layer cannot be called again.
    """
    replay = _Replay(graph.flavour, skipped, replaced)
    known: dict[int, Any] = {}
    inputs = []
    needed = ancestors(outputs, [tensor for tensor, _ in starts], replaced)
    named = [*starts, *((tensor, _name_of(tensor)) for tensor in graph.inputs)]
    for tensor, input_name in named:
        if id(tensor) in needed and id(tensor) not in known and id(tensor) not in (replaced or {}):
            made_input = replay.new_input(tensor, input_name, (shapes or {}).get(id(tensor)))
            inputs.append(made_input)
            known[id(tensor)] = entering(made_input) if entering and len(tensor.shape) == _IMAGE_RANK else made_input
    made = replay.values(outputs, known, ())
    _name_apart(ancestors(made, []).values())
    keras = import_flavour(graph.flavour)
    returned = dict(zip(keys, made, strict=True)) if keys else made if len(made) > 1 else made[0]
    return keras.Model(inputs if len(inputs) > 1 else inputs[0], returned, name=name)


def ancestors(
    tensors: Iterable[Any], stops: Iterable[Any], replaced: Mapping[int, Any] | None = None
) -> dict[int, Any]:
    """Returns the tensors that some depend on, themselves included, by identity; those behind `stops` are left out.

    A tensor that is `replaced` depends on what stands for it.
    """
    ends = {id(stop) for stop in stops}
    found = _in_order(list(tensors), lambda tensor: [] if id(tensor) in ends else _sources_of(tensor, replaced or {}))
    return {id(tensor): tensor for tensor in found}


def _sources_of(tensor: Any, replaced: Mapping[int, Any]) -> list[Any]:
    return [replaced[id(tensor)]] if id(tensor) in replaced else inputs_of(tensor)


def layer_of(tensor: Any) -> Any:
    """Returns the layer or operation that makes a tensor."""
    history = tensor._keras_history
    return getattr(history, "operation", None) or getattr(history, "layer", None)


def inputs_of(tensor: Any) -> list[Any]:
    """Returns the tensors that a tensor is made from."""
    node = _node_of(tensor)
    return list(
        node.input_tensors if hasattr(node, "input_tensors") and hasattr(node, "arguments") else node.keras_inputs
    )


def operands_of(tensor: Any) -> list[Any]:
    """Returns what an operation is called with, in its order: tensors of the graph, and numbers as arrays.

    Anything else, such as a name, is left out. Layers of Keras 2 and 3 keep their own numbers, such as weights, inside.
    """
    node = _node_of(tensor)
    args, kwargs = (
        (node.arguments.args, node.arguments.kwargs)
        if hasattr(node, "arguments")
        else (node.call_args, node.call_kwargs)
    )
    return [
        value if hasattr(value, "_keras_history") else np.asarray(value)
        for value in (*args, *kwargs.values())
        if hasattr(value, "_keras_history") or _is_numeric(value)
    ]


def _is_numeric(value: Any) -> bool:
    is_array = hasattr(value, "dtype") and hasattr(value, "shape") and hasattr(value, "__array__")
    return isinstance(value, (int, float)) or is_array


def is_hole(tensor: Any) -> bool:
    """Whether a tensor comes from a layer whose code is not loaded."""
    return bool(getattr(layer_of(tensor), "is_hole", False))


def is_foreign(tensor: Any) -> bool:
    """Whether a tensor comes from a layer that is not part of Keras, loaded or not."""
    layer = layer_of(tensor)
    module = type(layer).__module__
    return is_hole(tensor) or type(layer).__name__ == "Lambda" or not module.startswith(("keras.", "tf_keras."))


def size_of(tensor: Any) -> Shape:
    """Returns the shape of one sample."""
    return tuple(None if size is None else int(size) for size in tensor.shape[1:])


def sizes_of(tensor: Any) -> str:
    """Returns the shape of one sample as text."""
    return f"[{listed(size_of(tensor))}]"


def count_of(tensor: Any) -> int:
    """Returns how many values one sample has; an open size counts as 1."""
    return math.prod(size or 1 for size in size_of(tensor))


def name_of(tensor: Any) -> str:
    """Returns the name of the layer that makes a tensor."""
    return str(layer_of(tensor).name)


class _Replay:
    """Calls layers again on new tensors, those of nested models one by one."""

    def __init__(
        self,
        flavour: Flavour,
        skipped: Callable[[Any], bool] = lambda _: False,
        replaced: Mapping[int, Any] | None = None,
    ) -> None:
        self._keras, self._skipped, self._replaced = import_flavour(flavour), skipped, replaced or {}
        self._is_new = flavour is Flavour.KERAS3
        self.paths: dict[int, tuple[str, ...]] = {}
        self.called: dict[str, tuple[Any, ...]] = {}
        self.kept: list[Any] = []
        self.turned: dict[int, Any] = {}

    def new_input(self, tensor: Any, name: str = "", shape: Shape | None = None) -> Any:
        made = self._keras.Input(
            batch_shape=(None, *(shape or tuple(tensor.shape))[1:]),
            dtype=getattr(tensor.dtype, "name", tensor.dtype),
            name=name or _name_of(tensor),
        )
        self.kept.append(made)
        return made

    def values(self, wanted: Sequence[Any], known: dict[int, Any], path: tuple[str, ...]) -> list[Any]:
        for tensor in _in_order(wanted, lambda item: [] if id(item) in known else _sources_of(item, self._replaced)):
            if id(tensor) in self._replaced and id(tensor) not in known:
                known[id(tensor)] = self._stand_in(known[id(self._replaced[id(tensor)])], size_of(tensor))
            elif id(tensor) not in known:
                self._call(_node_of(tensor), layer_of(tensor), known, path)
        return [known[id(tensor)] for tensor in wanted]

    def _call(self, node: Any, layer: Any, known: dict[int, Any], path: tuple[str, ...]) -> None:
        old = _flat(node.outputs)
        sources = list(node.input_tensors) if self._is_new else list(node.keras_inputs)
        if not sources:
            raise ExportError(f"the layer {layer.name!r} does not take anything from the model's inputs")
        if self._skipped(layer):
            made = [known[id(sources[0])]]
        elif getattr(layer, "inputs", None) and getattr(layer, "outputs", None):
            inside = {id(inner): known[id(outer)] for inner, outer in zip(layer.inputs, sources, strict=True)}
            made = self.values(layer.outputs, inside, (*path, str(layer.name)))
            self.called[str(layer.name)] = tuple(made)
        else:
            made = _flat(self._again(node, layer, known))
        self.kept += made
        for tensor, new in zip(old, made, strict=True):
            known[id(tensor)] = new
            self.paths.setdefault(id(new), path)

    def _again(self, node: Any, layer: Any, known: dict[int, Any]) -> Any:
        if self._is_new:
            args, kwargs = node.arguments.fill_in(known)
        else:
            args, kwargs = node.map_arguments({str(key): _Value(value) for key, value in known.items()})
        try:
            if takes_channels_first(layer):
                return self._turned_call(layer, args[0])
            return layer(*args, **kwargs)
        except Exception as e:  # A layer may raise anything.
            lines = [line for line in str(e).splitlines() if line.strip()]
            raise ExportError(
                f"the layer {layer.name!r} cannot be called again: {(lines or [repr(e)])[0][:200]}"
            ) from e

    def _stand_in(self, made: Any, size: Shape) -> Any:
        """Returns a tensor of this size: a tensor as it is, or the front of one that is wider in its last dimension."""
        if size_of(made) == size:
            return made
        layers, width, kept = self._keras.layers, size_of(made)[-1] or 0, size[-1] or 0
        rows = layers.Permute((2, 1))(layers.Reshape((-1, width))(made))
        return layers.Reshape(size)(layers.Permute((2, 1))(layers.Cropping1D((0, width - kept))(rows)))

    def _turned_call(self, layer: Any, images: Any) -> Any:
        """Calls a layer with its channels last, since CPUs and TFLite do not have the other order."""
        permute = self._keras.layers.Permute
        if id(layer) not in self.turned:
            self.turned[id(layer)] = type(layer).from_config({**layer.get_config(), "data_format": "channels_last"})
        made = self.turned[id(layer)](permute((2, 3, 1))(images))
        self.turned[id(layer)].set_weights(layer.get_weights())
        return permute((3, 1, 2))(made) if len(made.shape) == _IMAGE_RANK else made


def takes_channels_first(layer: Any) -> bool:
    """Whether a layer of images takes `[N, C, H, W]` and computes with it in a way that CPUs do not have."""
    is_spatial = any(word in type(layer).__name__ for word in ("Conv2D", "Pooling2D", "UpSampling2D"))
    return is_spatial and getattr(layer, "data_format", "") == "channels_first"


def _node_of(tensor: Any) -> Any:
    return layer_of(tensor)._inbound_nodes[tensor._keras_history.node_index]


def _name_of(tensor: Any) -> str:
    return str(tensor.name).split(":")[0]


def _in_order(wanted: Sequence[Any], sources: Callable[[Any], Sequence[Any]]) -> Iterator[Any]:
    seen: set[int] = set()
    waiting = [(tensor, False) for tensor in reversed(list(wanted))]
    while waiting:
        tensor, is_ready = waiting.pop()
        if is_ready:
            yield tensor
        elif id(tensor) not in seen:
            seen.add(id(tensor))
            waiting.append((tensor, True))
            waiting += [(source, False) for source in reversed(sources(tensor)) if id(source) not in seen]


def _flat(values: Any) -> list[Any]:
    if isinstance(values, Mapping):
        return [item for key in sorted(values) for item in _flat(values[key])]
    if isinstance(values, (list, tuple)):
        return [item for value in values for item in _flat(value)]
    return [values]


def _name_apart(tensors: Iterable[Any]) -> None:
    """Renames layers of equal names, which came from different nested models."""
    layers = {id(layer): layer for layer in (layer_of(tensor) for tensor in tensors)}
    used: set[str] = set()
    for layer in layers.values():
        name, count = str(layer.name), 1
        while layer.name in used:
            _rename(layer, f"{name}_{count}")
            count += 1
        used.add(str(layer.name))


def _rename(layer: Any, name: str) -> None:
    if hasattr(layer, "_name"):
        layer._name = name
    if layer.name != name:
        layer.name = name
