"""Faults in ONNX files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from mutations.mutation import Mutation, weight_changes
from pocketvae.formats.onnx.model import array, element_count, load_model, replace_array

# Kernels are [out, in, height, width].
_SPATIAL_AXES = (2, 3)
_FEWEST_WEIGHTS = 16
_OTHER_ACTIVATIONS: Mapping[str, str] = {"Sigmoid": "HardSigmoid", "Relu": "Elu", "Tanh": "Softsign", "Elu": "Relu"}


def onnx_mutations(content: bytes, rng: np.random.Generator, *, bit_flips: int) -> Iterator[Mutation]:
    """Yields faults of every kind that the file has a place for.

    Args:
        content: The file.
        rng: Chooses tensors, elements and bits.
        bit_flips: How many single bit flips; of the other kinds one for each weight tensor or operator.
    """
    model = load_model(content)
    weighted = [i for i, tensor in enumerate(model.graph.initializer) if element_count(tensor) >= _FEWEST_WEIGHTS]
    flip, *others = weight_changes(_SPATIAL_AXES)
    chosen = [(flip, int(index)) for index in rng.choice(weighted, bit_flips)] if weighted else []
    for change, index in [*chosen, *((change, index) for change in others for index in weighted)]:
        mutant = load_model(content)
        tensor = mutant.graph.initializer[index]
        changed = change.apply(array(tensor), rng)
        if changed is not None:
            replace_array(tensor, changed)
            yield Mutation(kind=change.kind, where=tensor.name, content=mutant.SerializeToString())
    yield from _operator_faults(content)
    yield from _output_faults(content, rng)


def _operator_faults(content: bytes) -> Iterator[Mutation]:
    for index, node in enumerate(load_model(content).graph.node):
        mutant = load_model(content)
        changed = mutant.graph.node[index]
        if node.op_type in _OTHER_ACTIVATIONS:
            changed.op_type = _OTHER_ACTIVATIONS[node.op_type]
            yield Mutation(kind="wrong activation", where=node.name, content=mutant.SerializeToString())
        for attribute in changed.attribute:
            if attribute.name == "pads" and any(attribute.ints):
                pads = list(attribute.ints)
                half = len(pads) // 2
                attribute.ints[:] = [pad - 1 for pad in pads[:half]] + [pad + 1 for pad in pads[half:]]
                if min(attribute.ints) >= 0:
                    yield Mutation(kind="off-by-one padding", where=node.name, content=mutant.SerializeToString())


def _output_faults(content: bytes, rng: np.random.Generator) -> Iterator[Mutation]:
    """Yields the right outputs with one element NaN, mirrored along their last long axis, and missing."""
    from onnx import helper, numpy_helper

    for index, output in enumerate(load_model(content).graph.output):
        shape = [dim.dim_value for dim in output.type.tensor_type.shape.dim]
        hole = np.zeros(shape, np.float32)
        hole.reshape(-1)[rng.integers(hole.size)] = np.nan
        axis = max(range(len(shape)), key=lambda i: (shape[i] > 1, i))
        steps = [np.array([value], np.int64) for value in (-1, np.iinfo(np.int64).min, axis, -1)]
        flip = [numpy_helper.from_array(array, f"fault_{i}") for i, array in enumerate(steps)]
        for kind, operator, constants in (
            ("NaN in one element", "Add", [numpy_helper.from_array(hole, "fault")]),
            ("mirrored output", "Slice", flip),
        ):
            mutant = load_model(content)
            _rename(mutant, output.name, "before_fault")
            names = [constant.name for constant in constants]
            mutant.graph.node.append(helper.make_node(operator, ["before_fault", *names], [output.name]))
            mutant.graph.initializer.extend(constants)
            yield Mutation(kind=kind, where=output.name, content=mutant.SerializeToString())
        if len(load_model(content).graph.output) > 1:
            mutant = load_model(content)
            del mutant.graph.output[index]
            yield Mutation(kind="missing output", where=output.name, content=mutant.SerializeToString())


def _rename(model: Any, old: str, new: str) -> None:
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = [new if name == old else name for name in names]
