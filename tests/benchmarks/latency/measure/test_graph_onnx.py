import numpy as np
import pytest

from pocketvae.benchmarks.latency.measure import graph_onnx


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
