"""Encoder and decoder that a SavedModel holds as attributes, as Keras 2 writes a class of one's own."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pocketvae.errors import ExportError
from pocketvae.export.external.roles import listed
from pocketvae.export.external.saved_cut import (
    HELP,
    SavedParts,
    data_of,
    example,
    moments_by_name,
    shown,
    size_of_input,
)
from pocketvae.export.external.saved_functions import (
    SavedFunction,
    alike,
    call_part,
    functions_of,
    sizes_of_spec,
    value_count,
)
from pocketvae.export.external.saved_graph import SavedGraph, node_of
from pocketvae.keras.loading import open_model
from pocketvae.keras.model_form import Role
from pocketvae.keras.saved_model import RANDOM
from pocketvae.keras.signature_names import names_by_layer

# What TensorFlow and Keras keep beside the parts.
_KEPT_BESIDE = frozenset({"signatures", "keras_api", "serve", "_default_save_signature"})


def held_parts(file: Path, loaded: Any, whole: SavedGraph | None, folder: Path) -> SavedParts:
    """Writes the parts that a class of one's own holds as attributes.

    Raises:
        ExportError: none are found, or several.
    """
    held = [
        item for name, value in vars(loaded).items() if name not in _KEPT_BESIDE for item in functions_of(name, value)
    ]
    data = size_of_input(whole, data_of(whole)[0]) if whole is not None else None
    pairs = _best([(a, b) for a, b in itertools.permutations(held, 2) if _fit(a, b) and data in (None, a.taken)])
    written = [
        made
        for place, pair in enumerate(pairs)
        if (made := _write_pair(file, pair, whole, folder / f"pair{place}")) is not None
    ]
    if len(written) != 1:
        names = ", ".join(f"{a.name} and {b.name}" for a, b in pairs)
        reason = f" ({names} would all fit)" if len(written) > 1 else ""
        raise ExportError(f"{file} is a SavedModel, of which encoder and decoder cannot be told apart{reason}: {HELP}")
    return written[0]


def _fit(encoder: SavedFunction, decoder: SavedFunction) -> bool:
    """Whether one function returns what the other takes, and takes what that returns."""
    latent = decoder.taken
    doubled = (*latent[:-1], 2 * (latent[-1] or 0)) if latent else ()
    loops = encoder.taken in decoder.returned and latent != encoder.taken
    return loops and any(size in (latent, doubled) for size in encoder.returned)


def _best(pairs: Sequence[tuple[SavedFunction, SavedFunction]]) -> list[tuple[SavedFunction, SavedFunction]]:
    """Returns the pairs whose latent is smaller than the data, if there are some, and of these the best named."""
    pairs = [(a, b) for a, b in pairs if value_count(b.taken) < value_count(a.taken)] or pairs
    rank = {id(pair): ("enc" in pair[0].name.lower()) + ("dec" in pair[1].name.lower()) for pair in pairs}
    return [pair for pair in pairs if rank[id(pair)] == max(rank.values())]


def _write_pair(
    file: Path, pair: tuple[SavedFunction, SavedFunction], whole: SavedGraph | None, folder: Path
) -> SavedParts | None:
    """Writes an encoder and a decoder; None if the whole is another function than theirs."""
    encoder, decoder = (item.graph() for item in pair)
    outputs, roles = encoded(file, encoder)
    encoder.write_part(folder / "encoder", encoder.inputs, outputs)
    decoder.write_part(folder / "decoder", decoder.inputs, _by_layer(decoder, decoder.outputs))
    if whole is not None and not _makes(whole, folder):
        return None
    outcome = ", ".join(f"{name} {shown(encoder, tensor)}" for name, tensor in outputs.items())
    taken = [", ".join(f"{spec.name} [{listed(sizes_of_spec(spec))}]" for spec in item.inputs) for item in pair]
    returned = ", ".join(shown(decoder, tensor) for tensor in decoder.outputs.values())
    return SavedParts(
        picture=f"{taken[0]} -> [{pair[0].name}] -> {outcome}; {taken[1]} -> [{pair[1].name}] -> {returned}",
        how="as attributes",
        folder=folder,
        roles=roles,
    )


def encoded(file: Path, graph: SavedGraph) -> tuple[dict[str, str], tuple[Role, ...] | None]:
    """Returns what an encoder returns apart from samples, and the roles where its sampling shows them."""
    drawn = graph.samplings()
    if len(drawn) == 1 and drawn[0].latent in {_made(graph, tensor) for tensor in graph.outputs.values()}:
        moments = moments_by_name({"z": drawn[0]})
        return {name: tensor for name, (tensor, _) in moments.items()}, tuple(role for _, role in moments.values())
    kept = {name: tensor for name, tensor in graph.outputs.items() if not is_open(graph, tensor)}
    if not kept:
        raise ExportError(f"{file} has an encoder whose outputs are all drawn in an unknown way: {HELP}")
    return _by_layer(graph, kept), None


def _by_layer(graph: SavedGraph, outputs: Mapping[str, str]) -> dict[str, str]:
    """Returns outputs that only have a number under the names of the layers that make them."""
    names = names_by_layer({key: node_of(_made(graph, tensor)) for key, tensor in outputs.items()})
    return {names[key]: tensor for key, tensor in outputs.items()}


def _made(graph: SavedGraph, tensor: str) -> str:
    """Returns the tensor behind copies of it."""
    while graph.nodes[node_of(tensor)].op == "Identity":
        source = graph.nodes[node_of(tensor)].input[0]
        tensor = source if ":" in source else f"{source}:0"
    return tensor


def is_open(graph: SavedGraph, tensor: str) -> bool:
    """Whether a tensor depends on random numbers, or on variables that the model writes."""
    inputs = {node_of(item) for item in graph.inputs.values()}
    nodes = (graph.nodes[name] for name in graph.behind([tensor]))
    return any(
        any(word in node.op for word in RANDOM) or (node.op == "Placeholder" and node.name not in inputs)
        for node in nodes
    )


def _makes(whole: SavedGraph, folder: Path) -> bool:
    """Whether decoder after encoder is the whole; of one that draws, nothing is said."""
    data, decoded = data_of(whole)
    if len(whole.inputs) > 1 or is_open(whole, whole.outputs[decoded]):
        return True
    given = example(whole, whole.inputs[data])
    (taken,) = open_model(folder / "encoder").inputs
    (wanted,) = whole.run({whole.inputs[data]: given}, [whole.outputs[decoded]])
    codes = call_part(folder / "encoder", {taken.name: given})
    latents = open_model(folder / "decoder").inputs
    return len(latents) > 1 or any(
        alike(wanted, made)
        for code in codes.values()
        for made in call_part(folder / "decoder", {latents[0].name: code}).values()
    )
