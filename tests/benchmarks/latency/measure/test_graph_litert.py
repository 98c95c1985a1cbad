"""The work that is counted from a TFLite graph, and what runs it."""

import numpy as np
import pytest

from pocketvae.benchmarks.latency.measure import graph_litert, graph_onnx
from pocketvae.benchmarks.latency.measure.graph_litert import work
from pocketvae.bundle.bundle import open_bundle
from pocketvae.errors import ParityError
from pocketvae.runtimes.base import Optimizations
from pocketvae.runtimes.delegation import GraphOperator, GraphTensor
from pocketvae.spec import Component


def tensor(*shape):
    return GraphTensor(shape=shape, size_bytes=int(np.prod(shape)) * 4)


@pytest.mark.parametrize(
    ("kind", "inputs", "output", "expected"),
    [
        ("FULLY_CONNECTED", [(1, 16), (256, 16), (256,)], (1, 256), 16 * 256),
        ("CONV_2D", [(1, 7, 7, 32), (64, 3, 3, 32), (64,)], (1, 7, 7, 64), 7 * 7 * 64 * 9 * 32),
        ("DEPTHWISE_CONV_2D", [(1, 8, 8, 4), (1, 3, 3, 4)], (1, 8, 8, 4), 8 * 8 * 4 * 9),
        ("TRANSPOSE_CONV", [(4,), (2, 3, 3, 5), (1, 4, 4, 5)], (1, 8, 8, 2), 4 * 4 * 5 * 9 * 2),
        ("CONV_3D", [(1, 6, 6, 6, 4), (3, 3, 3, 4, 8), (8,)], (1, 6, 6, 6, 8), 6**3 * 8 * 27 * 4),
        ("CONV_3D_TRANSPOSE", [(5,), (2, 2, 2, 8, 4), (1, 3, 3, 3, 4)], (1, 6, 6, 6, 8), 27 * 4 * 8 * 8),
        ("BATCH_MATMUL", [(2, 3, 4), (2, 4, 5)], (2, 3, 5), 2 * 3 * 4 * 5),
        ("BATCH_MATMUL", [(2, 4, 3), (2, 4, 5)], (2, 3, 5), 2 * 3 * 4 * 5),
        ("LOGISTIC", [(1, 28)], (1, 28), 0),
    ],
)
def test_multiply_adds_of_tflite_operators(kind, inputs, output, expected):
    tensors = {place: tensor(*shape) for place, shape in enumerate([*inputs, output])}
    operator = GraphOperator(kind=kind, inputs=tuple(range(len(inputs))), outputs=(len(inputs),))
    assert work([operator], tensors, [0, len(inputs)]).multiply_adds == expected


def test_weights_are_what_nothing_computes_and_nobody_feeds():
    operators = [
        GraphOperator(kind="FULLY_CONNECTED", inputs=(0, 1), outputs=(2,)),
        GraphOperator(kind="LOGISTIC", inputs=(2,), outputs=(3,)),
    ]
    tensors = {0: tensor(1, 4), 1: tensor(8, 4), 2: tensor(1, 8), 3: tensor(1, 8)}
    found = work(operators, tensors, [0, 3])
    assert (found.multiply_adds, found.weight_bytes, found.transfer_bytes) == (32, 128, 16 + 32)


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "d.onnx").write_bytes(b"nothing")
    with pytest.raises(ParityError, match=r"d\.onnx: the file is not an ONNX file"):
        graph_onnx.profiled_calls(tmp_path / "d.onnx", {}, 1, Optimizations.ON, calls=1)
    (tmp_path / "d.tflite").write_bytes(b"\0\0\0\0TFL3 nothing")
    with pytest.raises(ParityError, match=r"d\.tflite"):
        graph_litert.examine(tmp_path / "d.tflite", 1)


@pytest.mark.slow
def test_both_formats_do_the_same_work_and_xnnpack_takes_all_of_it(tiny_bundle):
    z = open_bundle(tiny_bundle).goldens(Component.DECODER).inputs["z"][:1]
    execution, tflite = graph_litert.examine(tiny_bundle / "decoder.float32.tflite", 1)
    _, onnx = graph_onnx.examine(tiny_bundle / "decoder.float32.onnx", {"z": z}, 1)
    assert tflite.multiply_adds == onnx.multiply_adds > 10_000
    assert tflite.transfer_bytes == onnx.transfer_bytes
    assert tflite.weight_bytes == pytest.approx(onnx.weight_bytes, rel=0.05)
    assert (execution.delegate, execution.delegated_count) == ("XNNPACK", execution.node_count)
    assert graph_litert.examine(tiny_bundle / "decoder.int16x8.tflite", 1)[0].delegate == "none"


@pytest.mark.slow
def test_every_tflite_operator_runs_alone(tiny_bundle):
    from pocketvae.benchmarks.latency.measure.profile_litert import profile

    for name in ("decoder.float32.tflite", "decoder.int8.tflite", "generator.int8.tflite"):
        content = (tiny_bundle / name).read_bytes()
        found = profile(name, content, 1)
        execution, _ = graph_litert.examine(tiny_bundle / name, 1)
        assert len(found.operators) == execution.node_count
        assert all(operator.time_s > 0 for operator in found.operators)
