"""The outputs of a user-supplied decoder: which holds the data, and what the others are.

Found by structure: shapes, operators and sampled values; names tell alike ones apart.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pocketvae.errors import ExportError, unknown_name
from pocketvae.export.external.encoder_roles import named_role
from pocketvae.export.external.graph import TracedGraph
from pocketvae.export.external.roles import Wanted, listed, output_meaning, outward
from pocketvae.keras.loading import OpenModel, Tensor
from pocketvae.keras.model_form import Role
from pocketvae.outputs import Meaning, Output
from pocketvae.reporting.escapes import in_ascii
from pocketvae.vae_spec import DataKind

FloatArray = npt.NDArray[np.float32]

_MEANINGS = {
    Role.LOG_VAR: Meaning.LOG_VAR,
    Role.LOG_STD: Meaning.LOG_STD,
    Role.STD: Meaning.STD,
    Role.VAR: Meaning.VAR,
}
_POSITIVE = frozenset({"Softplus", "Exp", "Relu"})
_CLASSES = re.compile(r"logit|class|label|digit", re.IGNORECASE)
_MOST_RANK = DataKind.VOLUME.rank


@dataclass(frozen=True, kw_only=True)
class Observed:
    """A decoder and what it returned for samples.

    Attributes:
        opened: The decoder.
        values: `[N, ...]` of each output.
        graph: The decoder, traced.
    """

    opened: OpenModel
    values: Sequence[FloatArray]
    graph: TracedGraph

    @property
    def outputs(self) -> Sequence[Tensor]:
        """As the decoder declares them."""
        return self.opened.outputs

    def obstacle(self, index: int) -> str:
        """Returns why an output cannot be exported beside others; empty if it can."""
        values = self.values[index]
        if values.dtype != np.float32:
            return f"holds {values.dtype}, not real numbers"
        if values.ndim - 1 > _MOST_RANK:
            return f"has {values.ndim - 1} dimensions"
        if self.graph.random_operators(index):
            return "is drawn at random"
        if self.graph.last_operator(index) == "Placeholder":
            return "is an input"
        if self.graph.shapes[index] != (1, *values.shape[1:]):
            return "has no fixed size"
        return ""


@dataclass(frozen=True, kw_only=True)
class MoreOutputs:
    """What a decoder returns beside its data.

    Attributes:
        outputs: In the order of the artifacts, by position among the decoder's own.
        left_out: Those that no artifact has, with the reason, in words.
        doubts: Assumptions that may be wrong, as sentences.
    """

    outputs: Mapping[int, Output]
    left_out: tuple[str, ...]
    doubts: tuple[str, ...]


def data_position(seen: Observed, named: str, wanted: Sequence[Wanted] | None, decoder: Path) -> tuple[int, str]:
    """Returns the position of the output that holds the data, and what may be wrong with this as text.

    It is the one with the most dimensions and values, of alike ones that which is not the noise of another.

    Args:
        seen: The decoder.
        named: By the user; empty if no name was given.
        wanted: What the user asks for beside the data; None for everything.
        decoder: The file, for messages.

    Raises:
        ExportError: it does not have the named output, or returns less than it takes, as an encoder does.
    """
    names = [output.name for output in seen.outputs]
    if named:
        if named not in names:
            raise ExportError(f"{decoder} does not have the output {named!r}: it has {', '.join(map(repr, names))}")
        return names.index(named), ""
    if len(names) == 1:
        return 0, ""
    _refuse_encoder(seen, decoder)
    others = {item.name for item in wanted or ()}
    fitting = [index for index, name in enumerate(names) if name not in others and not seen.obstacle(index)]
    if not fitting:
        found = "; ".join(f"{name!r} {seen.obstacle(index) or 'is beside it'}" for index, name in enumerate(names))
        raise ExportError(f"no output of {decoder} holds the data: {found}; name it with --decoder-output-name")
    ranks = {index: (_extent(seen, index), _likeness(seen, index)) for index in fitting}
    best = max(fitting, key=lambda index: (ranks[index], -index))
    ties = [index for index in fitting if ranks[index] == ranks[best]]
    if len(ties) == 1:
        return best, ""
    alike = " and ".join(repr(names[index]) for index in ties)
    doubt = f"of the decoder's outputs {alike}, {names[best]!r} was assumed to hold the data"
    return best, f"{doubt}: name it with --decoder-output-name"


def more_outputs(
    seen: Observed, data: int, wanted: Sequence[Wanted] | None, taken: Sequence[str], decoder: Path
) -> MoreOutputs:
    """Returns what else of a decoder is exported: all that can be, or what the user asks for.

    Args:
        seen: The decoder.
        data: Position of the output that holds the data.
        wanted: By the user; None for everything.
        taken: Names that other tensors have.
        decoder: The file, for messages.

    Raises:
        ExportError: the decoder does not have what the user asks for, or it cannot be exported.
    """
    names = [output.name for output in seen.outputs]
    for item in wanted or ():
        if item.name not in names or names.index(item.name) == data:
            raise unknown_name(f"further output of {decoder}", item.name, [n for n in names if n != names[data]])
    stated = {item.name: item.meaning for item in wanted or ()}
    outputs: dict[int, Output] = {}
    left_out, doubts, used = [], [], set(taken)
    for index, name in enumerate(names):
        if index == data or (wanted is not None and name not in stated):
            continue
        obstacle = seen.obstacle(index) or _repeated(seen, index, [data, *outputs])
        if obstacle and name in stated:
            raise ExportError(f"the output {name!r} of {decoder} cannot be exported: it {obstacle}")
        if obstacle:
            left_out.append(f"{name!r} {obstacle}")
            continue
        meaning, doubt = _meaning(seen, index, data, stated.get(name))
        outputs[index] = _described(seen, index, meaning, _free(name, used))
        used.add(outputs[index].name)
        doubts += [doubt] if doubt else []
    return MoreOutputs(outputs=outputs, left_out=tuple(left_out), doubts=tuple(doubts))


def _refuse_encoder(seen: Observed, decoder: Path) -> None:
    taken = max(math.prod(size or 1 for size in tensor.shape[1:]) for tensor in seen.opened.inputs)
    if taken <= sum(values[0].size for values in seen.values):
        return
    found = ", ".join(f"{output.name!r} [N, {listed(output.shape[1:])}]" for output in seen.outputs)
    likely = max(range(len(seen.values)), key=lambda index: (_extent(seen, index), _likeness(seen, index)))
    raise ExportError(
        f"a decoder must return more than it takes, but {decoder} has {found}: if these are the mean and variance of a "
        f"latent, pass it with --encoder, else name the output that holds the data, --decoder-output-name "
        f"{seen.outputs[likely].name}"
    )


def _extent(seen: Observed, index: int) -> tuple[int, int]:
    values = seen.values[index]
    return values.ndim, values[0].size


def _likeness(seen: Observed, index: int) -> tuple[bool, bool]:
    """Returns how much an output looks like data, beside others of its size."""
    is_noise = named_role(seen.outputs[index].name) in _MEANINGS or seen.graph.last_operator(index) in _POSITIVE
    return not is_noise, seen.graph.bounds(index) is not None or named_role(seen.outputs[index].name) is Role.MEAN


def _repeated(seen: Observed, index: int, others: Sequence[int]) -> str:
    same = next((other for other in others if np.array_equal(seen.values[index], seen.values[other])), None)
    return "" if same is None else f"is the same as {seen.outputs[same].name!r}"


def _meaning(seen: Observed, index: int, data: int, stated: Meaning | None) -> tuple[Meaning, str]:
    """Returns what an output is, and what may be wrong with this as text."""
    name, values = seen.outputs[index].name, seen.values[index]
    last, may_be_negative = seen.graph.last_operator(index), float(values.min()) < 0
    if stated is not None:
        if stated in (Meaning.STD, Meaning.VAR) and may_be_negative:
            raise ExportError(f"the output {name!r} cannot be {stated}: it has negative values, {values.min():.3g}")
        return stated, ""
    if last == "Softmax":
        return Meaning.PROBABILITIES, ""
    is_about_data = _spans(values.shape[1:], seen.values[data].shape[1:])
    named = _MEANINGS.get(named_role(name))
    if named is not None and is_about_data:
        return _noise(name, named, last, may_be_negative)
    if values.shape == seen.values[data].shape and seen.graph.bounds(index) is None:
        if last in _POSITIVE:
            return Meaning.STD, _doubt(name, f"ends in {last} and was assumed to be a standard deviation", "var")
        return Meaning.VALUES, _doubt(name, "has the shape of the data and may be their noise", "log_var")
    is_head = values.ndim == 2 and seen.graph.bounds(index) is None and _CLASSES.search(name)
    return (Meaning.LOGITS if is_head else Meaning.VALUES), ""


def _noise(name: str, named: Meaning, last: str, may_be_negative: bool) -> tuple[Meaning, str]:
    is_log = named in (Meaning.LOG_VAR, Meaning.LOG_STD)
    if is_log and last in _POSITIVE:
        return Meaning.STD, _doubt(name, f"ends in {last} and was assumed to be a standard deviation", str(named))
    if not is_log and may_be_negative:
        return Meaning.LOG_VAR, _doubt(name, "has negative values and was assumed to be a log-variance", "log_std")
    return named, ""


def _doubt(name: str, what: str, other: str) -> str:
    return f"the decoder's output {name!r} {what}: --more-outputs {name}={other} says what else it is"


def _spans(shape: tuple[int, ...], data: tuple[int, ...]) -> bool:
    """Whether noise of a shape can be that of data: for each value, or one for several of them."""
    try:
        return np.broadcast_shapes(shape, data) == data
    except ValueError:
        return False


def _described(seen: Observed, index: int, meaning: Meaning, name: str) -> Output:
    values = seen.values[index]
    low, high = float(values.min()), float(values.max())
    found = output_meaning(None, seen.graph.last_operator(index), low, high, seen.graph.bounds(index))
    limits = found.data_range
    if meaning in (Meaning.STD, Meaning.VAR):
        limits = (0.0, outward(0.0, high)[1])
    elif not found.is_strict:
        limits = outward(low, high)
    if not limits[0] < limits[1]:
        limits = (limits[0], limits[0] + 1.0)
    return Output(
        name=name,
        data=_KINDS.get(values.ndim - 1, DataKind.VECTOR),
        shape=values.shape[1:],
        meaning=meaning,
        data_range=limits,
        range_is_strict=found.is_strict,
    )


_KINDS = {kind.rank: kind for kind in DataKind}


def _free(name: str, used: set[str]) -> str:
    """Returns the name of an output in artifacts: an identifier that no other tensor has."""
    plain = re.sub(r"\W+", "_", in_ascii(name.rsplit("/", 1)[-1])).strip("_") or "output"
    plain = f"output_{plain}" if plain[0].isdigit() else plain
    return next(candidate for candidate in _numbered(plain) if candidate not in used)


def _numbered(name: str) -> Iterator[str]:
    yield name
    number = 2
    while True:
        yield f"{name}_{number}"
        number += 1


def found_line(decoder: Path, seen: Observed, data: int, name: str, more: MoreOutputs) -> str:
    """Returns what the outputs of a decoder were found to be, as one line; empty if it has one."""
    if len(seen.outputs) == 1:
        return ""
    parts = [f"{seen.outputs[data].name!r} holds the data, {name}"]
    for output in more.outputs.values():
        what = f", {output.meaning.words}" if output.meaning.words else ""
        parts.append(f"{output.name} [N, {listed(output.shape)}]{what}" if output.shape else f"{output.name} [N]{what}")
    rest = f"; left out: {', '.join(more.left_out)}" if more.left_out else ""
    return f"{decoder.name}: {len(seen.outputs)} outputs: {'; '.join(parts)}{rest}"
