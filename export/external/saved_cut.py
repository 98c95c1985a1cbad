"""A whole VAE that is a SavedModel, cut where its signature draws: mean + noise * scale, compared with the whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.errors import ExportError
from pocketvae.export.external.moments import notes_of
from pocketvae.export.external.roles import listed
from pocketvae.export.external.saved_functions import alike, call_part, value_count
from pocketvae.export.external.saved_graph import Sampling, SavedGraph, node_of
from pocketvae.keras.model_form import DROPPED, Role
from pocketvae.keras.signature_names import names_by_layer

Array = npt.NDArray[Any]
_SEED, _COUNT, _OPEN_SIZE = 0, 3, 32
HELP = (
    "save each, as by vae.decoder.export('decoder'), and pass --decoder and --encoder; or name the signature of each "
    "with --decoder-signature and --encoder-signature"
)


@dataclass(frozen=True, kw_only=True)
class SavedParts:
    """The parts that were written into a folder: a picture of the cut, how it was made, and the encoder's roles."""

    picture: str
    how: str
    folder: Path
    roles: tuple[Role, ...] | None
    notes: tuple[str, ...] = ()
    several: bool = False


def cut_saved(file: Path, graph: SavedGraph, folder: Path) -> SavedParts | None:
    """Writes both sides of the steps that draw; None if nothing is drawn in a way that is known."""
    data, decoded = data_of(graph)
    drawn = graph.samplings()
    latents = [step.latent for step in drawn]
    reached = graph.behind([graph.outputs[decoded]], latents)
    steps = [step for step in drawn if any(_reads(graph, name, step.latent) for name in reached)]
    if not steps or node_of(graph.inputs[data]) in reached:
        return None
    names = ["z"] if len(steps) == 1 else [f"z{place + 1}" for place in range(len(steps))]
    between = [step for step in drawn if _is_behind(graph, step, steps)]
    if any(step not in steps for step in between):
        return None
    conditions = {name: tensor for name, tensor in graph.inputs.items() if node_of(tensor) in reached}
    moments = moments_by_name(dict(zip(names, steps, strict=True)))
    tensors = {name: tensor for name, (tensor, _) in moments.items()}
    replaced = {step.latent: step.mean for step in between}
    encoded = graph.behind(list(tensors.values()))
    taken = {name: tensor for name, tensor in graph.inputs.items() if name == data or node_of(tensor) in encoded}
    fed = dict(zip(names, (step.latent for step in steps), strict=True))
    named = names_by_layer({decoded: graph.maker(graph.outputs[decoded]).name})[decoded]
    graph.write_part(folder / "decoder", {**fed, **conditions}, {named: graph.outputs[decoded]})
    graph.write_part(folder / "encoder", taken, tensors, replaced)
    _compare(file, graph, folder, dict(zip(names, steps, strict=True)), decoded)
    drawings = "; ".join(
        f"{name}_mean {shown(graph, step.mean)}, {name}_{step.role} {shown(graph, step.spread)} -> sampling (left out) "
        f"-> {name} {shown(graph, step.latent)}"
        for name, step in zip(names, steps, strict=True)
    )
    return SavedParts(
        picture=f"{data} {shown(graph, graph.inputs[data])} -> [encoder] -> {drawings} -> [decoder] -> {named} "
        f"{shown(graph, graph.outputs[decoded])}",
        how="its signature cut where it draws",
        folder=folder,
        roles=tuple(role for _, role in moments.values()),
        notes=notes_of([name for name, step in zip(names, steps, strict=True) if step in between]),
        several=len(steps) > 1,
    )


def data_of(graph: SavedGraph) -> tuple[str, str]:
    """Returns the names of the data among the inputs, and of the output that is like them."""
    name = max(
        graph.inputs,
        key=lambda item: (len(size_of_input(graph, item)), value_count(size_of_input(graph, item))),
    )
    size = size_of_input(graph, name)
    return name, next(out for out, tensor in graph.outputs.items() if graph.size(tensor) == size)


def size_of_input(graph: SavedGraph, name: str) -> tuple[int | None, ...]:
    """Returns the shape of one sample of an input."""
    return graph.size(graph.inputs[name])


def _reads(graph: SavedGraph, node: str, tensor: str) -> bool:
    return any(source.split(":")[0] == node_of(tensor) for source in graph.nodes[node].input)


def _is_behind(graph: SavedGraph, step: Sampling, steps: Sequence[Sampling]) -> bool:
    """Whether the moments of some steps depend on what a step draws."""
    return node_of(step.latent) in graph.behind([tensor for item in steps for tensor in (item.mean, item.spread)])


def moments_by_name(steps: Mapping[str, Sampling]) -> dict[str, tuple[str, Role]]:
    """Returns the mean and the spread of steps by name, each with its role, in the order of the names."""
    made = {}
    for name, step in steps.items():
        made[f"{name}_mean"] = (step.mean, Role.MEAN)
        made[f"{name}_{step.role}"] = (step.spread, step.role)
    return dict(sorted(made.items()))


def aligned(stated: tuple[Role, ...] | None, shown: tuple[Role, ...] | None) -> tuple[Role, ...] | None:
    """Returns the roles of a part's outputs in their order: the user's own, with means where the sampling shows them.

    Args:
        stated: By the user, in an order of the user's; None if nothing is stated.
        shown: By the sampling, in the order of the outputs; None if it shows nothing.
    """
    if stated is None or shown is None:
        return shown if stated is None else stated
    kept = [role for role in stated if role not in DROPPED]
    if len(kept) != len(shown) or kept.count(Role.MEAN) != shown.count(Role.MEAN):
        return stated
    others = iter(role for role in kept if role is not Role.MEAN)
    return tuple(role if role is Role.MEAN else next(others) for role in shown)


def _compare(file: Path, graph: SavedGraph, folder: Path, steps: Mapping[str, Sampling], decoded: str) -> None:
    """Compares the parts with the whole that they were cut from, without noise and with the same noise.

    Raises:
        ExportError: they differ.
    """
    given = {name: example(graph, tensor) for name, tensor in graph.inputs.items()}
    moments = call_part(folder / "encoder", given)
    means = {name: moments[f"{name}_mean"] for name in steps}
    rng = np.random.default_rng(_SEED)
    drawn = {name: rng.standard_normal(mean.shape).astype(np.float32) for name, mean in means.items()}
    still = {name: np.zeros_like(mean) for name, mean in means.items()}
    # Where a latent depends on another one, the encoder has its mean in place of a sample.
    depend = any(_is_behind(graph, step, list(steps.values())) for step in steps.values())
    for noise in [still] if depend else [still, drawn]:
        latents = {
            name: means[name] + _std(step.role, moments[f"{name}_{step.role}"]) * noise[name]
            for name, step in steps.items()
        }
        feeds = {graph.inputs[name]: values for name, values in given.items()}
        feeds |= {step.noise: noise[name] for name, step in steps.items()}
        (whole,) = graph.run(feeds, [graph.outputs[decoded]])
        (made,) = call_part(folder / "decoder", {**given, **latents}).values()
        if not alike(whole, made):
            raise ExportError(
                f"{file} could not be cut where it draws: encoder and decoder return other values; {HELP}"
            )


def _std(role: Role, spread: Array) -> Array:
    made: Array = spread
    if role in (Role.LOG_VAR, Role.LOG_STD):
        made = np.exp(0.5 * spread if role is Role.LOG_VAR else spread)
    return np.sqrt(made) if role is Role.VAR else made


def example(graph: SavedGraph, tensor: str) -> Array:
    """Returns values from 0 to 1 for an input."""
    spec = graph.specs[tensor]
    shape = [size or _OPEN_SIZE for size in spec.shape.as_list()]
    shape[0] = spec.shape[0] or _COUNT
    values = np.random.default_rng(_SEED).uniform(0, 1, shape)
    return values.astype(spec.dtype.as_numpy_dtype)


def shown(graph: SavedGraph, tensor: str) -> str:
    """Returns the shape of one sample of a tensor as text."""
    return f"[{listed(graph.size(tensor))}]"
