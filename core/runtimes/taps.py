"""Values inside a file: its tensors for some samples, on the runtime's plain kernels.

Kernels that fuse layers never write the tensors between them, so this is not the computation that apps run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.errors import SpecError
from pocketvae.numerics.pixels import from_pixels
from pocketvae.runtimes.base import Array, Optimizations, quantize
from pocketvae.spec import Format, TensorSpec

Inputs = Mapping[str, npt.NDArray[Any]]
# Takes one sample, returns the tapped tensors in their order.
_Call = Callable[[dict[str, Array]], list[Array]]


@dataclass(frozen=True, kw_only=True)
class Tapped:
    """One tensor of a file.

    Attributes:
        values: `[N, *shape]` in the file's own type; the shape has the file's batch of 1.
        scale: One integer step in real numbers; 0 for a tensor that is not quantized as a whole.
        zero_point: The integer that stands for 0.
        pixel_range: What 0 and 255 stand for in an image of pixels that the file takes or returns; None for the others.
    """

    values: npt.NDArray[Any]
    scale: float = 0.0
    zero_point: int = 0
    pixel_range: tuple[float, float] | None = None

    def rows(self) -> npt.NDArray[Any]:
        """Returns the values one sample behind the other, `[N, ...]` in the file's own type."""
        return np.concatenate(list(self.values))

    def real(self) -> npt.NDArray[np.float64]:
        """Returns the real numbers that the values stand for, `[N, *shape]`."""
        if self.pixel_range is not None:
            return from_pixels(self.values, self.pixel_range).astype(np.float64)
        values = self.values.astype(np.float64)
        return (values - self.zero_point) * self.scale if self.scale else values


def tap(
    format: Format,
    content: bytes,
    inputs: Inputs,
    names: Iterable[str] | None = None,
    *,
    image_range: tuple[float, float] = (0.0, 1.0),
) -> dict[str, Tapped]:
    """Runs a file on every sample, one at a time, and returns tensors of it by name.

    Args:
        format: Of the file.
        content: The file; of several batch sizes the first one, 1, is run.
        inputs: Input name to `[N, ...]` real numbers, or integers such as labels.
        names: Of tensors; those that the file does not have are left out. None for every operator's outputs, in the
            order of execution.
        image_range: What pixels 0 and 255 stand for.

    Raises:
        SpecError: `inputs` are not the file's.
        ManifestError: the file is damaged.
        ParityError: the runtime cannot load it.
        TargetError: a package that looks inside is not installed.
    """
    opened = (_tap_tflite if format is Format.TFLITE else _tap_onnx)(content, names)
    if inputs.keys() != opened.inputs.keys():
        raise SpecError(f"inputs must be {sorted(opened.inputs)}, got {sorted(inputs)}")
    rows = []
    for index in range(len(next(iter(inputs.values())))):
        sample = {name: values[index : index + 1] for name, values in inputs.items()}
        rows.append(opened.call({n: quantize(v, opened.inputs[n], image_range) for n, v in sample.items()}))
    return {
        name: Tapped(
            values=np.stack([row[place] for row in rows]),
            scale=scale,
            zero_point=zero_point,
            pixel_range=image_range if name in opened.pixels else None,
        )
        for place, (name, (scale, zero_point)) in enumerate(opened.tensors.items())
    }


@dataclass(frozen=True, kw_only=True)
class _Opened:
    """A file that is ready to be run.

    Attributes:
        inputs: Its inputs by name.
        tensors: The scale and zero point of each tapped tensor by name.
        pixels: Which tensors of the interface hold pixels. Within a file uint8 is what quantizes it.
        call: Runs it.
    """

    inputs: Mapping[str, TensorSpec]
    tensors: Mapping[str, tuple[float, int]]
    pixels: frozenset[str]
    call: _Call


def _tap_tflite(content: bytes, names: Iterable[str] | None) -> _Opened:
    from pocketvae.formats.tflite.model import is_constant, main_inputs, read_model, tensor_name
    from pocketvae.runtimes.litert import OperatorSet, open_interpreter, tensor_spec

    model = read_model(content)
    interpreter = open_interpreter(content, operators=OperatorSet.BUILTIN, keep_tensors=True)
    graph, places = model.subgraphs[0], main_inputs(model)
    computed = {tensor_name(graph.tensors[i]): i for operator in graph.operators for i in operator.outputs}
    # A file that was edited may have tensors that nothing makes any more, and these have no values.
    made = {*computed.values(), *map(int, graph.inputs)}
    known = {
        tensor_name(tensor): index
        for index, tensor in enumerate(graph.tensors)
        if index in made or is_constant(model, tensor)
    }
    wanted = computed if names is None else {name: known[name] for name in names if name in known}
    details = {int(item["index"]): item for item in interpreter.get_tensor_details()}

    def call(sample: dict[str, Array]) -> list[Array]:
        for name, array in sample.items():
            interpreter.set_tensor(places[name], array)
        interpreter.invoke()
        return [interpreter.get_tensor(index) for index in wanted.values()]

    return _Opened(
        inputs={name: tensor_spec(name, details[index]) for name, index in places.items()},
        tensors={name: details[index]["quantization"] for name, index in wanted.items()},
        pixels=frozenset(
            name
            for name, index in wanted.items()
            if index in (*graph.inputs, *graph.outputs) and tensor_spec(name, details[index]).holds_pixels
        ),
        call=call,
    )


def _tap_onnx(content: bytes, names: Iterable[str] | None) -> _Opened:
    from pocketvae.formats.onnx.model import add_outputs, load_model
    from pocketvae.runtimes.onnxruntime import open_session, tensor_spec

    model = load_model(content)
    returned = {output.name for output in model.graph.output}
    computed = dict.fromkeys(name for node in model.graph.node for name in node.output if name)
    wanted = [name for name in (computed if names is None else dict.fromkeys(names)) if name in computed]
    add_outputs(model.graph, wanted)
    session = open_session(model.SerializeToString(), optimizations=Optimizations.OFF)
    return _Opened(
        inputs={node.name: tensor_spec(node) for node in session.get_inputs()},
        tensors=dict.fromkeys(wanted, (0.0, 0)),
        pixels=frozenset(
            node.name for node in session.get_outputs() if node.name in returned and node.type == "tensor(uint8)"
        ),
        # Without a name, onnxruntime returns all outputs.
        call=lambda sample: session.run(wanted, sample) if wanted else [],
    )
