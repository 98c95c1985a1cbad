"""The form of an integer TFLite file that an Ethos-U takes whole and fast, chosen by vela's estimate.

Two things are changed. Depth-to-space, which no Ethos-U supports, becomes reshape, transpose, reshape, which moves the
same values. And on these chips the weights of a dense layer stream from flash, which takes most of the time; vela
compresses them, the better the fewer values they have, so that weights are rounded as coarsely as the budget allows,
each making up for what rounding the others changes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pocketvae.export.original.goldens import thinned
from pocketvae.export.quantize.compensation import Compensation
from pocketvae.export.quantize.measured import error_ratio_of
from pocketvae.export.quantize.source import Source
from pocketvae.formats.tflite.editing import add_constant, add_tensor, new_operator
from pocketvae.formats.tflite.model import constant, dtype_name, operator_name, read_model, tensor_shape, write_model
from pocketvae.numerics.tolerance import Tolerance
from pocketvae.portability.ethos_u import EthosU
from pocketvae.portability.vela import NpuEstimate, compile_for
from pocketvae.spec import Format

# Weights are rounded to multiples of these, the coarsest that stays within the budget first.
_STEPS = (64, 48, 40, 32, 28, 24, 22, 16, 14, 13, 12, 11, 10, 9, 8, 6, 4)
_MOST = 127
# Of the calibration samples, by which weights are rounded; fewer of large items, whose activations are kept.
_MOST_SAMPLES, _SAMPLE_VALUES = 512, 2**24
# Of its limits: TensorFlow Lite Micro and the NPU round some operators in other ways than this machine.
_BUDGET = 0.96
# Dense layers first, whose weights are used once for every time that they are read: they gain the most for an error.
_WEIGHTED = {"FULLY_CONNECTED": "dense layers", "CONV_2D": "convolutions"}
# Smaller layers take no time that is worth an error.
_FEWEST_WEIGHTS = 10_000
_ELBO = "elbo_change"


@dataclass(frozen=True, kw_only=True)
class NpuForm:
    """A file in the form for a chip, and what was done as a note."""

    content: bytes
    note: str


def npu_form(
    content: bytes, name: str, chips: Sequence[EthosU], source: Source, tolerances: tuple[Tolerance, ...]
) -> NpuForm | None:
    """Returns a file in the best form for chips, over all of them; None if it is in that form already.

    Args:
        content: The TFLite file.
        name: Of the file, for errors.
        chips: Whose estimates decide.
        source: Gives the samples with which the error is measured.
        tolerances: What the file is held to; empty where it is part of another, whose weights stay as they are.

    Raises:
        TargetError: vela is not set up, fails or takes too long.
    """
    before, moved = _estimates(chips, content, name), without_depth_to_space(content)
    best, words = (content, before), ""
    if moved != content:
        found = _estimates(chips, moved, name)
        if _order(found) < _order(before):
            best, words = (moved, found), "depth-to-space as reshape, transpose, reshape; "
    for kind, title in _WEIGHTED.items() if tolerances else ():
        compensation = Compensation(best[0], thinned(source.calibration, _samples(source)))
        for step in _STEPS:
            coarse = compensation.apply(with_coarse_weights(best[0], kind, step), step)
            if coarse == best[0] or not _keeps_budget(coarse, source, tolerances):
                continue
            found = _estimates(chips, coarse, name)
            if _order(found) < _order(best[1]):
                best, words = (coarse, found), f"{words}weights of large {title} in multiples of {step}; "
            break
    if best[0] == content:
        return None
    gains = [f"for {chip.describe()}: {_gain(*pair)}" for chip, *pair in zip(chips, before, best[1], strict=True)]
    return NpuForm(content=best[0], note=f"{words}{'; '.join(gains)}, estimated by vela")


def without_depth_to_space(content: bytes) -> bytes:
    """Returns a file in which other operators move what DEPTH_TO_SPACE moves; the same where it has none."""
    model = read_model(content)
    found = False
    for graph in model.subgraphs:
        operators: list[Any] = []
        for operator in graph.operators:
            if operator_name(model, operator) == "DEPTH_TO_SPACE":
                operators += _moves(model, graph, operator)
                found = True
            else:
                operators.append(operator)
        graph.operators = operators
    return write_model(model) if found else content


def with_coarse_weights(content: bytes, kind: str, step: int) -> bytes:
    """Returns a file whose large int8 weights of one kind of operator are multiples of `step`; the same without any."""
    model = read_model(content)
    buffers = set(_large_weights(model, kind))
    for buffer in buffers:
        values = np.asarray(model.buffers[buffer].data, np.uint8).view(np.int8)
        most = _MOST // step
        coarse = np.clip(np.rint(values / step), -most, most) * step
        model.buffers[buffer].data = coarse.astype(np.int8).view(np.uint8)
    return write_model(model) if buffers else content


def _samples(source: Source) -> int:
    return min(_MOST_SAMPLES, max(16, _SAMPLE_VALUES // math.prod(source.vae.data_shape)))


def _large_weights(model: Any, kind: str) -> Iterator[int]:
    """Yields the buffers of weights that a chip would stream."""
    for graph in model.subgraphs:
        for operator in graph.operators:
            if operator_name(model, operator) == kind:
                tensor = graph.tensors[operator.inputs[1]]
                values = constant(model, tensor)
                if values is not None and dtype_name(tensor) == "int8" and values.size >= _FEWEST_WEIGHTS:
                    yield tensor.buffer


def _moves(model: Any, graph: Any, operator: Any) -> list[Any]:
    """Returns the operators that move what a depth-to-space moves: the rows of a block change places with columns."""
    source, target = operator.inputs[0], operator.outputs[0]
    count, height, width, depth = tensor_shape(graph.tensors[source])
    block = int(operator.builtinOptions.blockSize)
    before = (count * height, width, block, depth // block)
    after = (count * height, block, width, depth // block)
    name = graph.tensors[target].name.decode()
    parts = [_like(graph, source, f"{name}/{word}", shape) for word, shape in (("rows", before), ("moved", after))]
    shapes = [np.array(shape, np.int32) for shape in (before, (0, 2, 1, 3), tensor_shape(graph.tensors[target]))]
    constants = [add_constant(model, graph, f"{name}/shape{i}", shape) for i, shape in enumerate(shapes)]
    spread = new_operator(model, "RESHAPE", "ReshapeOptions", [source, constants[0]], parts[0])
    turned = new_operator(model, "TRANSPOSE", "TransposeOptions", [parts[0], constants[1]], parts[1], 2)
    joined = new_operator(model, "RESHAPE", "ReshapeOptions", [parts[1], constants[2]], target)
    return [spread, turned, joined]


def _like(graph: Any, source: int, name: str, shape: tuple[int, ...]) -> int:
    """Adds a tensor of another one's type and scale and returns its number."""
    model = graph.tensors[source]
    made = add_tensor(graph, name, shape, dtype_name(model))
    graph.tensors[made].quantization = model.quantization
    return made


def _keeps_budget(content: bytes, source: Source, tolerances: tuple[Tolerance, ...]) -> bool:
    """Whether a file stays within its budget on samples that the choice is made with, and on the goldens too."""
    inputs, outputs = source.trials()
    # The images whose ELBO is compared belong to the goldens.
    some = tuple(item for item in tolerances if item.metric != _ELBO)
    trials = replace(source, golden_inputs=inputs, golden_outputs=outputs, golden_strata=(), observed=None)
    return (
        error_ratio_of(Format.TFLITE, content, trials, some) <= _BUDGET
        and error_ratio_of(Format.TFLITE, content, source, tolerances) <= _BUDGET
    )


def _estimates(chips: Sequence[EthosU], content: bytes, name: str) -> tuple[NpuEstimate, ...]:
    return tuple(compile_for(chip, content, name) for chip in chips)


def _order(estimates: Sequence[NpuEstimate]) -> tuple[int, int]:
    """Returns what is compared: a way to the CPU and back costs more than vela counts, which leaves it out."""
    return sum(len(item.left) for item in estimates), sum(item.cycles for item in estimates)


def _gain(before: NpuEstimate, after: NpuEstimate) -> str:
    return (
        f"{len(after.left)} operators on the CPU in place of {len(before.left)}, {after.cycles:,} cycles in place of "
        f"{before.cycles:,}"
    )
