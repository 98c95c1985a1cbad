import os
import subprocess
import sys
from dataclasses import replace

import pytest
from onnx import TensorProto, helper

from pocketvae.benchmarks.targets.registry import make_target
from pocketvae.errors import ManifestError
from pocketvae.formats.tflite.operators import Operator, Tensor
from pocketvae.portability.lint import lint
from pocketvae.portability.litert_gpu import check_gpu
from pocketvae.portability.microcontroller import check_microcontroller
from pocketvae.portability.records import Backend
from pocketvae.spec import Format
from pocketvae.system.tools.setup import target_folder


def operator(name, version=1, dtype="float32", shape=(1, 4, 4, 2), weights=None, scales=0):
    value = Tensor(dtype=dtype, shape=shape, is_constant=False, scales=scales)
    constant = () if weights is None else (Tensor(dtype=weights, shape=(2, 4), is_constant=True),)
    return Operator(
        name=name, version=version, inputs=(value, *constant), outputs=(value,), input_indices=(0,), output_indices=(1,)
    )


def reasons(check, *operators):
    return [item.reason for item in check(operators).falls_off]


def test_xnnpack_is_asked_and_takes_a_float_decoder(bundles, tflite_models):
    found = lint(Format.TFLITE, tflite_models.decoder(bundles.right_weight(), bundles.SIDE))
    assert [(item.backend, item.taken, item.operators) for item in found] == [
        (Backend.XNNPACK, 3, 3),
        (Backend.LITERT_GPU, 3, 3),
        (Backend.TFLM, 3, 3),
    ]
    assert found[0].source.startswith("ai-edge-litert ")


def test_what_xnnpack_leaves_is_named(tflite_models):
    (xnnpack, *_) = lint(Format.TFLITE, tflite_models.one_operator("ABS", 5, "INT32"))
    assert (xnnpack.taken, xnnpack.operators) == (0, 1)
    assert xnnpack.describe() == "xnnpack: 0 of 1; not ABS x1 (left to LiteRT's built-in kernels)"


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (operator("TRANSPOSE_CONV", 4), "version 4, at most 3 is supported"),
        (operator("ADD", 3), "version 3, at most 2 is supported"),
        (operator("ADD", dtype="int32"), "int32"),
        (operator("CAST", dtype="int64"), "int64"),
        (operator("BITWISE_XOR"), "no kernel for it"),
        (operator("RESHAPE", shape=(1, 2, 2, 2, 2)), "5 dimensions, at most 4 are supported"),
        (operator("STRIDED_SLICE", shape=(1, 4)), "2 dimensions, 3 or 4 are supported"),
    ],
)
def test_the_gpu_table_says_why(bad, reason):
    assert reasons(check_gpu, operator("CONV_2D"), bad, bad) == [reason]
    assert check_gpu([operator("CONV_2D"), bad]).taken == 1


@pytest.mark.parametrize(
    "good", [operator("TRANSPOSE_CONV", 3), operator("MUL", 3), operator("CAST", dtype="int32"), operator("LOGISTIC")]
)
def test_the_gpu_table_takes_these(good):
    assert check_gpu([good]).is_whole


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (operator("BITWISE_XOR"), "no kernel for it"),
        (operator("DEQUANTIZE", dtype="float16"), "float16"),
        (operator("FULLY_CONNECTED", weights="int8"), "int8 weights with float activations"),
        (operator("TRANSPOSE", shape=(1, 2, 2, 2, 2, 2)), "more than 5 dimensions"),
        (
            operator("DEQUANTIZE", dtype="int8", scales=2),
            "a scale for each channel, of which it takes the first for all",
        ),
    ],
)
def test_the_microcontroller_table_says_why(bad, reason):
    assert reasons(check_microcontroller, bad) == [reason]


def test_the_microcontroller_table_takes_integers(bundles):
    assert check_microcontroller([operator("FULLY_CONNECTED", dtype="int8", weights="int8")]).is_whole
    assert check_microcontroller([operator("DEQUANTIZE", dtype="int8", scales=1)]).is_whole


def test_the_microcontroller_table_reads_operators_of_damaged_files_that_have_no_inputs():
    torn = replace(operator("DEQUANTIZE", dtype="int8"), inputs=(), input_indices=())
    assert check_microcontroller([torn]).is_whole


def test_onnxruntimes_checker_is_asked_about_both_phones(bundles):
    found = lint(Format.ONNX, bundles.decoder_model(bundles.right_weight()).SerializeToString())
    assert [(item.backend, item.is_whole) for item in found] == [
        (Backend.NNAPI, True),
        (Backend.COREML, True),
        (Backend.COREML_ML_PROGRAM, True),
    ]
    assert all("usability checker of onnxruntime" in item.source for item in found)


def test_operators_that_read_nothing_of_one_another_are_taken():
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in ("x", "mean", "log_var")]
    nodes = [helper.make_node("Relu", ["x"], ["mean"]), helper.make_node("Sigmoid", ["x"], ["log_var"])]
    graph = helper.make_graph(nodes, "heads", values[:1], values[1:])
    found = lint(Format.ONNX, helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString())
    assert [(item.operators, item.is_whole) for item in found] == [(2, True)] * 3


def test_an_onnx_operator_that_phones_have_not_got_is_named(bundles):
    model = bundles.decoder_model(bundles.right_weight(), head="Sinh")
    for item in lint(Format.ONNX, model.SerializeToString()):
        assert [(off.operator, off.count, off.reason) for off in item.falls_off] == [("Sinh", 1, "no kernel for it")]


def test_an_onnx_file_of_any_batch_falls_off_for_its_open_shape():
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 4]) for name in ("z", "image")]
    graph = helper.make_graph(
        [helper.make_node("Relu", ["z"], ["a"]), helper.make_node("Relu", ["a"], ["image"])],
        "g",
        values[:1],
        values[1:],
    )
    found = lint(Format.ONNX, helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString())
    assert {off.reason for item in found for off in item.falls_off} == {"an input without a fixed shape"}


def test_a_damaged_file_is_refused(bundles, tflite_models):
    good = tflite_models.decoder(bundles.right_weight(), bundles.SIDE)
    with pytest.raises(ManifestError, match="the TFLite file is truncated or damaged"):
        lint(Format.TFLITE, good[:40])
    with pytest.raises(ManifestError, match="the file is not an ONNX file, or is truncated"):
        lint(Format.ONNX, b"\xff" * 50)


@pytest.mark.slow
def test_an_exports_float_decoders_run_whole_on_everything(tiny_bundle):
    for format in Format:
        content = (tiny_bundle / f"decoder.float32.{format}").read_bytes()
        assert [item.describe() for item in lint(format, content) if not item.is_whole] == []


@pytest.mark.slow
def test_the_integers_of_a_sampler_fall_off(tiny_bundle):
    by_backend = {
        item.backend: item for item in lint(Format.TFLITE, (tiny_bundle / "sampler.float32.tflite").read_bytes())
    }
    gpu = {off.operator: off.reason for off in by_backend[Backend.LITERT_GPU].falls_off}
    assert gpu["BITWISE_XOR"] == "no kernel for it"
    assert gpu["ADD"] == "int32"
    assert not by_backend[Backend.TFLM].is_whole
    assert by_backend[Backend.XNNPACK].taken < by_backend[Backend.XNNPACK].operators


MICRO = """
import sys
from tflite_micro import runtime
for path in sys.argv[1:]:
    try:
        runtime.Interpreter.from_file(path, arena_size=1 << 22)
        print("loads")
    except RuntimeError:
        print("refused")
"""


@pytest.mark.slow
def test_the_microcontroller_runs_what_the_table_says(tiny_bundle):
    target = make_target("tflm")
    if reason := target.unavailable():
        pytest.skip(reason)
    paths = sorted(tiny_bundle.glob("*.tflite"))
    done = subprocess.run(
        [sys.executable, "-c", MICRO, *map(str, paths)],
        env={**os.environ, "PYTHONPATH": str(target_folder("tflm") / "site")},
        capture_output=True,
        text=True,
        check=True,
    )
    loads = dict(zip(paths, done.stdout.split(), strict=True))
    for path in paths:
        (micro,) = (item for item in lint(Format.TFLITE, path.read_bytes()) if item.backend is Backend.TFLM)
        assert loads[path] == ("loads" if micro.is_whole else "refused"), path.name
