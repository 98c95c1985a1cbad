"""Architectures of Keras as JSON: what only computes stays, custom layers become holes, types become float32.

Nothing is loaded here. An architecture without custom code needs no permission, so a file is rewritten before any
Keras reads it, and what was rewritten passes the same check as a file that was never touched.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pocketvae.keras.custom_code import custom_parts
from pocketvae.keras.model_form import Flavour

_HALVES_AND_DOUBLES = frozenset({"float16", "bfloat16", "float64", "mixed_float16", "mixed_bfloat16", "half", "double"})
_POLICY = re.compile(r"\w*Policy(Map)?")
_FUNCTIONAL = {
    Flavour.KERAS2: ("tf_keras.src.engine.functional", "Functional"),
    Flavour.KERAS3: ("keras.src.models.functional", "Functional"),
}
_BATCHED = ("batch_shape", "batch_input_shape", "build_input_shape")
_VECTOR_RANK = 2
_FUNCTIONAL_KEYS = frozenset({"layers", "input_layers", "output_layers"})

Shape = tuple[int | None, ...]


@dataclass(frozen=True, kw_only=True)
class Hole:
    """A layer whose code is not loaded: its inputs and outputs are known, its values are not.

    Attributes:
        token: Name under which a stand-in is registered; no file can know it.
        class_name: Class of the layer.
        name: Its name in the model.
        shapes: Shapes of its outputs with the batch, as far as the architecture says them.
    """

    token: str
    class_name: str
    name: str
    shapes: tuple[Shape | None, ...]


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """An architecture that was rewritten.

    Attributes:
        config: As Keras' JSON.
        holes: Its holes.
        dtypes: Other types than float32 that its layers computed in, sorted.
        quantized: Types that Keras quantized its weights to, sorted.
        batch: Fixed batch size that was opened; None if it was open.
        unknown: Names of custom parts that cannot become holes, so that it needs permission.
    """

    config: dict[str, Any]
    holes: tuple[Hole, ...]
    dtypes: tuple[str, ...]
    quantized: tuple[str, ...]
    batch: int | None
    unknown: tuple[str, ...]


@dataclass
class _Notes:
    holes: list[Hole] = field(default_factory=list)
    dtypes: set[str] = field(default_factory=set)
    batches: set[int] = field(default_factory=set)
    quantized: set[str] = field(default_factory=set)


def rewritten(config: dict[str, Any], flavour: Flavour) -> Architecture:
    """Rewrites an architecture so that it loads without custom code, computes in float32 and takes any batch.

    Args:
        config: As Keras' JSON.
        flavour: The Keras that is to read it.
    """
    notes = _Notes()
    opened = {key: value for key, value in config.items() if key not in ("compile_config", "build_config")}
    made = _with_holes(_plain(opened, notes), flavour, notes)
    tokens = {hole.token for hole in notes.holes}
    return Architecture(
        config=made,
        holes=tuple(notes.holes),
        dtypes=tuple(sorted(notes.dtypes)),
        quantized=tuple(sorted(notes.quantized)),
        batch=next(iter(notes.batches), None),
        unknown=tuple(part for part in custom_parts(made) if part not in tokens),
    )


def is_graph(config: Any) -> bool:
    """Whether an object of an architecture is a graph of layers: functional, or a class of one's own built like it."""
    inside = config.get("config") if isinstance(config, dict) else None
    return isinstance(inside, dict) and inside.keys() >= _FUNCTIONAL_KEYS and isinstance(inside["layers"], list)


def is_sequence(config: Any) -> bool:
    """Whether an object of an architecture is a sequence of layers."""
    inside = config.get("config") if isinstance(config, dict) else None
    return isinstance(inside, dict) and config.get("class_name") == "Sequential"


def layers_of(config: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the layers of a graph or a sequence."""
    inside = config["config"]
    found = inside.get("layers") if isinstance(inside, dict) else inside
    return [layer for layer in found if isinstance(layer, dict)] if isinstance(found, list) else []


def _with_holes(config: dict[str, Any], flavour: Flavour, notes: _Notes) -> dict[str, Any]:
    if not is_graph(config) and not is_sequence(config):
        return config
    if is_graph(config) and custom_parts({**config, "config": {}}):
        module, name = _FUNCTIONAL[flavour]
        config = {**config, "module": module, "class_name": name, "registered_name": name}
    inside = config["config"]
    if not isinstance(inside, dict):
        return config
    references: dict[tuple[str, int], Shape | None] = {}
    for key, shape in _references(inside):
        references[key] = shape or references.get(key)
    layers = [_layer(layer, references, flavour, notes) for layer in layers_of(config)]
    return {**config, "config": {**inside, "layers": layers}}


def _layer(
    layer: dict[str, Any], references: dict[tuple[str, int], Shape | None], flavour: Flavour, notes: _Notes
) -> dict[str, Any]:
    if is_graph(layer) or is_sequence(layer):
        return _with_holes(layer, flavour, notes)
    layer = _without_training(layer)
    if not custom_parts({key: value for key, value in layer.items() if key != "inbound_nodes"}):
        return layer
    inside = layer.get("config")
    name = str(layer.get("name") or (inside.get("name") if isinstance(inside, dict) else "") or layer["class_name"])
    count = 1 + max((index for maker, index in references if maker == name), default=0)
    hole = Hole(
        token=f"hole_{secrets.token_hex(16)}",
        class_name=str(layer.get("class_name")),
        name=name,
        shapes=tuple(references.get((name, index)) or _stated_shape(inside) for index in range(count)),
    )
    notes.holes.append(hole)
    kept: dict[str, Any] = {key: layer[key] for key in ("name", "inbound_nodes") if key in layer}
    return {**kept, "class_name": hole.token, "registered_name": hole.token, "module": None, "config": {"name": name}}


def _stated_shape(inside: Any) -> Shape | None:
    """Returns the output shape that a Lambda states; Keras 2 does not write any other."""
    stated = inside.get("output_shape") if isinstance(inside, dict) else None
    is_stated = isinstance(stated, list) and all(isinstance(size, int) for size in stated)
    return (None, *stated) if isinstance(stated, list) and is_stated else None


def _without_training(layer: dict[str, Any]) -> dict[str, Any]:
    """Leaves out custom parts that only matter in training."""
    inside = layer.get("config")
    if not isinstance(inside, dict):
        return layer
    kept = dict(inside)
    for key, value in inside.items():
        if key.endswith(("_regularizer", "_constraint", "_initializer")) and custom_parts(value):
            kept[key] = "zeros" if key.endswith("_initializer") else None
    return {**layer, "config": kept}


def _references(graph: dict[str, Any]) -> Iterator[tuple[tuple[str, int], Shape | None]]:
    """Yields the tensors that layers and outputs name: the layer that makes it and its index, with its shape."""
    for layer in graph["layers"]:
        yield from _named(layer.get("inbound_nodes") if isinstance(layer, dict) else None)
    yield from _named(graph.get("output_layers"))


def _named(item: Any) -> Iterator[tuple[tuple[str, int], Shape | None]]:
    if isinstance(item, dict):
        inside = item.get("config")
        if item.get("class_name") == "__keras_tensor__" and isinstance(inside, dict):
            maker, _, index = inside["keras_history"]
            shape = inside.get("shape")
            yield (str(maker), int(index)), tuple(shape) if isinstance(shape, list) else None
        else:
            for value in item.values():
                yield from _named(value)
    elif isinstance(item, list):
        if len(item) >= 3 and isinstance(item[0], str) and isinstance(item[1], int) and isinstance(item[2], int):
            yield (item[0], item[2]), None
        for value in item:
            yield from _named(value)


def _plain(item: Any, notes: _Notes, key: str = "") -> Any:
    if isinstance(item, list):
        return [_plain(value, notes) for value in item]
    if not isinstance(item, dict):
        if key in ("dtype", "compute_dtype", "variable_dtype") and item in _HALVES_AND_DOUBLES:
            notes.dtypes.add(str(item))
            return "float32"
        return item
    if isinstance(item.get("class_name"), str) and _POLICY.fullmatch(item["class_name"]):
        inside = item.get("config")
        name = str(inside.get("name") or inside.get("mode")) if isinstance(inside, dict) else item["class_name"]
        if isinstance(inside, dict) and "mode" in inside:
            notes.quantized.add(name.partition("/")[0])
        elif name in _HALVES_AND_DOUBLES:
            notes.dtypes.add(name)
        else:
            return item
        return "float32"
    made = {name: _plain(value, notes, name) for name, value in item.items() if name != "quantization_config"}
    if made.get("class_name") == "InputLayer" and isinstance(made.get("config"), dict):
        _take_floats(made["config"], notes)
    for name in _BATCHED:
        shape = made.get(name)
        if isinstance(shape, list) and shape and isinstance(shape[0], int):
            notes.batches.add(shape[0])
            made[name] = [None, *shape[1:]]
    return made


def _take_floats(layer: dict[str, Any], notes: _Notes) -> None:
    """Makes an input of pixels one of floats; the values stay 0 to 255."""
    shape: list[Any] = next((layer[name] for name in _BATCHED if isinstance(layer.get(name), list)), [])
    if layer.get("dtype") == "uint8" and len(shape) > _VECTOR_RANK:
        notes.dtypes.add("uint8")
        layer["dtype"] = "float32"
