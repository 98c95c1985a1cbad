"""The models in one file: the file's own, or those that a class of one's own holds as attributes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pocketvae.errors import ExportError
from pocketvae.export.external.flat_graph import FlatGraph, flatten
from pocketvae.keras.architecture import is_graph, is_sequence
from pocketvae.keras.custom_code import CustomCode, custom_hint, custom_parts
from pocketvae.keras.files import ModelHeader, ModelKind, read_header
from pocketvae.keras.holes import HollowModel, load_hollow, model_groups, part_of_archive
from pocketvae.keras.loading import load_any
from pocketvae.system.temporary import temporary_directory


@dataclass(frozen=True, kw_only=True)
class Source:
    """One model of a file.

    Attributes:
        path: The file that holds it; the user's own if the model is the whole file.
        name: Attribute of the class that holds it; empty if the model is the whole file.
        graph: Its graph; None if the file is to be loaded as it is, with its code.
        model: The loaded model; None like `graph`.
        changes: What was changed when it was loaded, in words.
    """

    path: Path
    name: str
    graph: FlatGraph | None = None
    model: Any = None
    changes: tuple[str, ...] = ()


def open_sources(path: Path, code: CustomCode) -> list[Source]:
    """Opens the models of a file without running custom code.

    Raises:
        ExportError: it cannot be loaded, or needs custom code that is not allowed.
        TargetError: TensorFlow or Keras is not installed.
    """
    header = read_header(path)
    if header.kind is ModelKind.SAVED_MODEL:
        return [Source(path=path, name="")]
    held = dict(_held(header.config)) if header.kind is ModelKind.ARCHIVE else {}
    try:
        if held and not is_graph(header.config) and not is_sequence(header.config):
            groups = model_groups(path, list(held))
            return [_held_source(path, header, name, groups[name], config) for name, config in held.items()]
        return [_source(path, "", load_hollow(path, header))]
    except ExportError as e:
        if code.allowed:
            return open_with_code(path, code)
        parts = custom_parts(header.config)
        hint = f": {custom_hint(parts)}" if parts and "custom code" in str(e) else ""
        raise ExportError(f"{e}{hint}") from e


def open_with_code(path: Path, code: CustomCode) -> list[Source]:
    """Opens the model of a file with its custom code.

    Raises:
        ExportError: it cannot be loaded.
        TargetError: TensorFlow or Keras is not installed.
    """
    header = read_header(path)
    if header.kind is ModelKind.SAVED_MODEL:
        return [Source(path=path, name="")]
    model, flavour = load_any(path, header.flavours, code)
    if getattr(model, "inputs", None) and getattr(model, "outputs", None):
        return [Source(path=path, name="", graph=flatten(model, flavour), model=model)]
    parts = {name: value for name, value in vars(model).items() if _is_functional(value)}
    if not parts:
        raise ExportError(
            f"{path} is not a functional model, and no attribute of it is one: save its encoder and decoder as "
            f"SavedModels, for example with tf.saved_model.save and a signature each"
        )
    return [
        Source(path=path, name=name, graph=flatten(part, flavour), model=part, changes=(f"its part {name!r}",))
        for name, part in parts.items()
    ]


def _is_functional(value: Any) -> bool:
    return bool(hasattr(value, "layers") and getattr(value, "inputs", None) and getattr(value, "outputs", None))


def _held(config: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields the models that the configuration of a class holds, by the name of the attribute."""
    inside = config.get("config") if isinstance(config, dict) else None
    for name, value in inside.items() if isinstance(inside, dict) else ():
        if is_graph(value) or is_sequence(value):
            yield name, value


def _held_source(path: Path, header: ModelHeader, name: str, group: str, config: dict[str, Any]) -> Source:
    with temporary_directory() as folder:
        alone = folder / "part.keras"
        part_of_archive(path, group, config, alone)
        loaded = load_hollow(alone, replace(header, config=config))
    source = _source(path, name, loaded)
    return replace(source, changes=(f"its part {name!r}", *source.changes))


def _source(path: Path, name: str, loaded: HollowModel) -> Source:
    return Source(
        path=path,
        name=name,
        graph=flatten(loaded.model, loaded.flavour),
        model=loaded.model,
        changes=tuple(_changes(loaded)),
    )


def _changes(loaded: HollowModel) -> Iterator[str]:
    architecture = loaded.architecture
    named = architecture.dtypes
    dtypes = [dtype for dtype in named if dtype != "uint8" and f"mixed_{dtype}" not in named]
    if dtypes:
        yield f"cast from {' and '.join(dtypes)} to float32"
    if architecture.quantized:
        yield f"dequantized from {' and '.join(architecture.quantized)}"
    if architecture.batch is not None:
        yield f"with an open batch size instead of {architecture.batch}"
