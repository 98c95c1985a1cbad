"""The kernels of a file."""

import shutil

import pytest

from pocketvae.errors import SpecError
from pocketvae.export.firmware.kernels import kernels_of
from pocketvae.formats.tflite.operators import Operator, Tensor, read_operators


def operator(name, dtype="int8"):
    tensor = Tensor(dtype=dtype, shape=(1, 4), is_constant=False)
    return Operator(name=name, version=1, inputs=(tensor,), outputs=(tensor,), input_indices=(0,), output_indices=(1,))


@pytest.mark.parametrize(
    ("name", "title", "parser"),
    [
        ("CONV_2D", "Conv2D", "Conv2D"),
        ("DEPTHWISE_CONV_2D", "DepthwiseConv2D", "DepthwiseConv2D"),
        ("MEAN", "Mean", "Reducer"),
        ("AVERAGE_POOL_2D", "AveragePool2D", "Pool"),
        ("RELU6", "Relu6", "Relu6"),
        ("PADV2", "PadV2", "PadV2"),
        ("CUMSUM", "CumSum", "Cumsum"),
        ("UNIDIRECTIONAL_SEQUENCE_LSTM", "UnidirectionalSequenceLSTM", "UnidirectionalSequenceLSTM"),
        ("ethos-u", "EthosU", "EthosU"),
    ],
)
def test_names_are_those_of_the_resolver(name, title, parser):
    (found,) = kernels_of([operator(name)], "f")
    assert (found.title, found.parser) == (title, parser)


def test_each_is_named_once_with_its_count(tflite_models, bundles):
    found = kernels_of(read_operators(tflite_models.decoder(bundles.right_weight(), bundles.SIDE))[0], "f")
    assert [(item.operator, item.count) for item in found] == [("FULLY_CONNECTED", 1), ("LOGISTIC", 1), ("RESHAPE", 1)]
    assert kernels_of([operator("ADD"), operator("ADD")], "f")[0].count == 2


def test_what_has_no_kernel_is_named():
    with pytest.raises(
        SpecError, match=r"^TensorFlow Lite Micro cannot run d\.tflite: RIGHT_SHIFT \(no kernel for it\)$"
    ):
        kernels_of([operator("RIGHT_SHIFT"), operator("ADD")], "d.tflite")


def test_every_kernel_of_the_wheel_can_be_added(tmp_path, tflm, compiler):
    """The names above are symbols of the library: a program that adds all of them at once loads."""
    from pocketvae.export.firmware.check import run_here
    from pocketvae.portability.microcontroller import _KNOWN

    kernels = kernels_of([operator(name, "float32") for name in _KNOWN.split() if name != "TRANSPOSE"], "f")
    adding = "".join(f"  if (resolver.Add{item.title}() != tflite::micro::kTfLiteOk) return 1;\n" for item in kernels)
    resolver = f"tflite::micro::MicroMutableOpResolver<{len(kernels)}>"
    (tmp_path / "all.cc").write_text(
        '#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"\n'
        f"alignas({resolver}) static unsigned char place[sizeof({resolver})];\n#include <new>\n"
        f"int main() {{\n  {resolver}& resolver = *new (place) {resolver}();\n{adding}  return 0;\n}}\n"
    )
    for name in ("model_data.cc", "pocketvae_model.cc"):
        (tmp_path / name).write_text("")
    assert shutil.which(compiler)
    assert run_here(tmp_path, kernels, ("all.cc",)).passed
