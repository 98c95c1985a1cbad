"""What runs a file, and the work that is counted from its graph."""

import numpy as np
import pytest

from pocketvae.benchmarks.latency.measure import graph_litert, graph_onnx
from pocketvae.benchmarks.latency.measure.graph_litert import Operator, Tensor, delegated, work
from pocketvae.bundle.bundle import open_bundle
from pocketvae.errors import ParityError
from pocketvae.runtimes.base import Kernels
from pocketvae.spec import Component


def tensor(*shape):
    return Tensor(shape=shape, size_bytes=int(np.prod(shape)) * 4)


@pytest.mark.parametrize(
    ("kind", "inputs", "output", "expected"),
    [
        ("FULLY_CONNECTED", [(1, 16), (256, 16), (256,)], (1, 256), 16 * 256),
        ("CONV_2D", [(1, 7, 7, 32), (64, 3, 3, 32), (64,)], (1, 7, 7, 64), 7 * 7 * 64 * 9 * 32),
        ("DEPTHWISE_CONV_2D", [(1, 8, 8, 4), (1, 3, 3, 4)], (1, 8, 8, 4), 8 * 8 * 4 * 9),
        ("TRANSPOSE_CONV", [(4,), (2, 3, 3, 5), (1, 4, 4, 5)], (1, 8, 8, 2), 4 * 4 * 5 * 9 * 2),
        ("BATCH_MATMUL", [(2, 3, 4), (2, 4, 5)], (2, 3, 5), 2 * 3 * 4 * 5),
        ("LOGISTIC", [(1, 28)], (1, 28), 0),
    ],
)
def test_multiply_adds_of_tflite_operators(kind, inputs, output, expected):
    tensors = {place: tensor(*shape) for place, shape in enumerate([*inputs, output])}
    operator = Operator(kind=kind, inputs=tuple(range(len(inputs))), outputs=(len(inputs),))
    assert work([operator], tensors, [0, len(inputs)]).multiply_adds == expected


def test_weights_are_what_nothing_computes_and_nobody_feeds():
    operators = [
        Operator(kind="FULLY_CONNECTED", inputs=(0, 1), outputs=(2,)),
        Operator(kind="LOGISTIC", inputs=(2,), outputs=(3,)),
    ]
    tensors = {0: tensor(1, 4), 1: tensor(8, 4), 2: tensor(1, 8), 3: tensor(1, 8)}
    found = work(operators, tensors, [0, 3])
    assert (found.multiply_adds, found.weight_bytes, found.transfer_bytes) == (32, 128, 16 + 32)


def test_a_delegate_has_what_lies_between_its_ends():
    operators = [
        Operator(kind="GATHER", inputs=(0,), outputs=(1,)),
        Operator(kind="FULLY_CONNECTED", inputs=(1, 9), outputs=(2,)),
        Operator(kind="LOGISTIC", inputs=(2,), outputs=(3,)),
        Operator(kind="CAST", inputs=(3,), outputs=(4,)),
        Operator(kind="DELEGATE", inputs=(1, 9), outputs=(3,)),
    ]
    assert delegated(operators) == {1, 2}
    assert delegated(operators[:4]) == set()


@pytest.mark.parametrize(
    ("kind", "inputs", "output", "expected"),
    [
        ("MatMul", [[1, 3], [3, 36]], [1, 36], 108),
        ("Gemm", [[1, 16], [256, 16], [256]], [1, 256], 16 * 256),
        ("Conv", [[1, 32, 7, 7], [64, 32, 3, 3], [64]], [1, 64, 7, 7], 7 * 7 * 64 * 9 * 32),
        ("ConvTranspose", [[1, 5, 4, 4], [5, 2, 3, 3]], [1, 2, 8, 8], 4 * 4 * 5 * 9 * 2),
        ("QLinearMatMul", [[1, 3], [], [], [3, 36], [], []], [1, 36], 108),
        ("Sigmoid", [[1, 36]], [1, 36], 0),
    ],
)
def test_multiply_adds_of_onnx_operators(kind, inputs, output, expected):
    arguments = {
        "op_name": kind,
        "input_type_shape": [{"float": shape} for shape in inputs],
        "output_type_shape": [{"float": output}],
        "output_size": "144",
        "parameter_size": "12",
    }
    found = graph_onnx.work([{"args": arguments}], {"z": np.zeros((1, 3), np.float32)})
    assert (found.multiply_adds, found.weight_bytes, found.transfer_bytes) == (expected, 12, 12 + 144)


@pytest.fixture
def decoder(tmp_path, bundles):
    return bundles.make_bundle(tmp_path / "b") / "decoder.float32.onnx", {"z": np.zeros((1, 3), np.float32)}


def test_a_real_onnx_file_is_counted(decoder):
    execution, found = graph_onnx.examine(*decoder, 1)
    assert found.multiply_adds == 3 * 36
    assert found.weight_bytes == 3 * 36 * 4 + 4 * 8
    assert found.transfer_bytes == 3 * 4 + 36 * 4
    assert execution.delegate == "CPUExecutionProvider"
    assert execution.node_count == execution.delegated_count == sum(execution.kernels.values()) == 3
    assert execution.arena_bytes > 0


def test_a_profile_names_every_operator(decoder):
    profile = graph_onnx.profile("d", *decoder, 1)
    assert {operator.kind for operator in profile.operators} == {"MatMul", "Sigmoid", "Reshape"}


def test_operators_are_ranked_by_their_time():
    found = graph_onnx.ranked({("a", "Conv"): 1e-5, ("b", "MatMul"): 3e-5, ("c", "Cast"): 0.0})
    assert [(operator.name, operator.share) for operator in found] == [("b", 0.75), ("a", 0.25), ("c", 0.0)]
    # Calls that are shorter than the profiler's clock can tell.
    assert [operator.share for operator in graph_onnx.ranked({("a", "Conv"): 0.0})] == [0.0]


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "d.onnx").write_bytes(b"nothing")
    with pytest.raises(ParityError, match="onnxruntime cannot profile"):
        graph_onnx.profiled_calls(tmp_path / "d.onnx", {}, 1, Kernels.OPTIMIZED, calls=1)
    with pytest.raises(ParityError, match="LiteRT cannot load"):
        graph_litert.open_interpreter(b"nothing", 1)


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
