"""What 4-bit weights cost: files of a bundle with the weights of some layers in 4 bits, their bytes, error and time.

    python studies/four_bits.py BUNDLE [--component decoder] [--json benchmarks/history/DATE-four-bits.json]

TFLite: the `int8` file with weights per channel in 4 bits, activations in 8. ONNX: the float32 file at operator set 21
with weights unpacked from 4 bits by DequantizeLinear, per channel or in blocks of 32. Errors are of the goldens, over
all outputs; times are medians of single calls on one thread, of which only the ratios in one run mean something.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from records import check_record, make_record, write_record

from pocketvae.bundle.bundle import Goldens, open_bundle
from pocketvae.export.quantize.tflite_four_bits import packed
from pocketvae.formats.onnx.model import array, initializers
from pocketvae.formats.tflite.model import (
    constant,
    dtype_name,
    operator_name,
    read_model,
    tensor_shape,
    tensor_type,
    write_model,
)
from pocketvae.runtimes.opening import open_runner
from pocketvae.spec import Component, Format, parse_choice
from pocketvae.system.environment import current_environment

_STEPS = 7
_BLOCK = 32
_OPSET, _IR_VERSION = 21, 10
_CALLS = 200
_PERCENTILE = 99


@dataclass(frozen=True, kw_only=True)
class Row:
    """One file.

    Attributes:
        file: What it was made of.
        layers: Kinds of layers with weights in 4 bits, and how they are scaled.
        size_bytes: Of the file, with metadata.
        mean_abs: Mean deviation from the original.
        p99_abs: 99th percentile of it.
        latency_s: Median of one call.
    """

    file: str
    layers: str
    size_bytes: int
    mean_abs: float
    p99_abs: float
    latency_s: float


def main(words: Sequence[str]) -> int:
    """Prints a row for each file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--component", default="decoder")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--force", action="store_true")
    arguments = parser.parse_args(words)
    check_record(arguments.json, force=arguments.force)
    component = parse_choice(Component, arguments.component, "component")
    goldens = open_bundle(arguments.bundle).goldens(component)
    rows = []
    for name, layers, content in variants(arguments.bundle, component):
        rows.append(measured(name, layers, content, goldens))
        row = rows[-1]
        print(
            f"{name:24s} {layers:44s} {row.size_bytes / 1000:8.1f} kB  mean {row.mean_abs:.2e}  p99 {row.p99_abs:.2e}  "
            f"{1e6 * row.latency_s:8.1f} µs",
            flush=True,
        )
    if arguments.json:
        record = make_record(
            "four_bits",
            words,
            config={"calls": _CALLS, "block": _BLOCK, "component": component},
            environment=current_environment(),
            results={"rows": [asdict(row) for row in rows]},
            not_run={},
        )
        write_record(arguments.json, record)
    return 0


def variants(bundle: Path, component: Component) -> Iterator[tuple[str, str, bytes]]:
    """Yields file name, layers in 4 bits and content."""
    name = f"{component}.int8.tflite"
    content = (bundle / name).read_bytes()
    yield name, "none", content
    for kinds in (("FULLY_CONNECTED",), ("CONV_2D",), ("FULLY_CONNECTED", "CONV_2D")):
        yield name, f"{' and '.join(kinds)} per channel", tflite_in_4_bits(content, kinds)
    name = f"{component}.float32.onnx"
    content = (bundle / name).read_bytes()
    yield name, "none", content
    yield name, "Gemm and MatMul per channel", onnx_in_4_bits(content, ("Gemm", "MatMul"), 0)
    yield name, f"Gemm and MatMul in blocks of {_BLOCK}", onnx_in_4_bits(content, ("Gemm", "MatMul"), _BLOCK)
    yield name, "Conv per channel", onnx_in_4_bits(content, ("Conv",), 0)


def measured(name: str, layers: str, content: bytes, goldens: Goldens) -> Row:
    """Runs a file on the goldens and times it."""
    format = Format(name.rpartition(".")[2])
    one = {key: values[:1] for key, values in goldens.inputs.items()}
    with open_runner(content, format) as runner:
        found = runner.run_samples(goldens.inputs)
        times = []
        for _ in range(_CALLS):
            start = time.perf_counter()
            runner.run(one)
            times.append(time.perf_counter() - start)
    expected = {key: values.astype(np.float32, copy=False) for key, values in goldens.outputs.items()}
    errors = np.concatenate([np.abs(found[key] - values).ravel() for key, values in expected.items()])
    return Row(
        file=name,
        layers=layers,
        size_bytes=len(content),
        mean_abs=float(errors.mean()),
        p99_abs=float(np.percentile(errors, _PERCENTILE)),
        latency_s=float(np.median(times)),
    )


def tflite_in_4_bits(content: bytes, kinds: Sequence[str]) -> bytes:
    """Returns a file in which the int8 weights of these operators are rounded to 4 bits, with a scale a channel."""
    model = read_model(content)
    graph = model.subgraphs[0]
    for operator in graph.operators:
        if operator_name(model, operator) not in kinds:
            continue
        weights, data = graph.tensors[operator.inputs[1]], graph.tensors[operator.inputs[0]]
        stored = constant(model, weights)
        if stored is None or dtype_name(weights) != "int8":
            continue
        shape = (-1, *[1] * (len(tensor_shape(weights)) - 1))
        scales = np.asarray(weights.quantization.scale, np.float32)
        real = stored.view(np.int8).reshape(tensor_shape(weights)) * scales.reshape(shape)
        finer = _scales(np.abs(real).reshape(len(real), -1).max(axis=1))
        weights.type = tensor_type("int4")
        weights.quantization.scale, weights.quantization.zeroPoint = finer.tolist(), [0] * len(finer)
        model.buffers[weights.buffer].data = packed(_rounded(real, finer.reshape(shape)))
        if len(operator.inputs) > 2 and operator.inputs[2] >= 0:
            _rescale_bias(model, graph.tensors[operator.inputs[2]], float(data.quantization.scale[0]) * finer)
    return write_model(model)


def onnx_in_4_bits(content: bytes, kinds: Sequence[str], block: int) -> bytes:
    """Returns a file whose weights of these operators are unpacked from 4 bits, per channel or in blocks."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.version_converter.convert_version(onnx.load_from_string(content), _OPSET)
    model.ir_version = _IR_VERSION
    graph, unpacking = model.graph, []
    stored = initializers(graph)
    for name in dict.fromkeys(
        node.input[1] for node in graph.node if node.op_type in kinds and node.input[1] in stored
    ):
        weights = array(stored[name])
        axis = 0 if "Conv" in kinds else 1
        if block and (weights.ndim != 2 or len(weights) % block):
            continue
        if block:
            scales = _scales(np.abs(weights.reshape(-1, block, weights.shape[1])).max(axis=1))
            wide, attributes = np.repeat(scales, block, axis=0), {"axis": 0, "block_size": block}
        else:
            others = tuple(index for index in range(weights.ndim) if index != axis)
            scales = _scales(np.abs(weights).max(axis=others))
            wide, attributes = np.expand_dims(scales, others), {"axis": axis}
        integers = _rounded(weights, wide).reshape(-1).tolist()
        graph.initializer.remove(stored[name])
        graph.initializer.append(helper.make_tensor(f"{name}_int4", TensorProto.INT4, weights.shape, integers))
        graph.initializer.append(numpy_helper.from_array(scales, f"{name}_scale"))
        names = [f"{name}_int4", f"{name}_scale"]
        unpacking.append(helper.make_node("DequantizeLinear", names, [name], f"{name}_unpacked", **attributes))
    nodes = [*unpacking, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def _scales(largest: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    return np.where(largest > 0, largest / _STEPS, 1.0).astype(np.float32)


def _rounded(weights: npt.NDArray[Any], scales: npt.NDArray[Any]) -> npt.NDArray[np.int8]:
    return np.asarray(np.clip(np.rint(weights / scales), -_STEPS, _STEPS), np.int8)


def _rescale_bias(model: Any, bias: Any, scales: npt.NDArray[Any]) -> None:
    stored = constant(model, bias)
    if stored is None or dtype_name(bias) != "int32":
        return
    real = stored.view(np.int32) * np.asarray(bias.quantization.scale, np.float64)
    bias.quantization.scale = scales.tolist()
    model.buffers[bias.buffer].data = np.rint(real / scales).astype(np.int32).view(np.uint8)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
