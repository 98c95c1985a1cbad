"""The chips of `export --for`: their names, and which files each may take."""

import re

import pytest

from pocketvae.errors import SpecError
from pocketvae.portability.chips import Chip, ChipKind, candidates, npus_of, parse_chips, refused_by
from pocketvae.spec import ArtifactSpec, Component, Format, Precision

ALL = tuple(
    ArtifactSpec(component=Component.DECODER, precision=precision, format=format)
    for format in Format
    for precision in Precision
    if (format, precision) != (Format.ONNX, Precision.INT8_IO)
)


def test_each_chip_takes_its_own_files():
    found = {
        name: [spec.filename.removeprefix("decoder.") for spec in candidates(parse_chips([name]), ALL)]
        for name in ("ethos-u55-128", "hexagon:v75", "gpu")
    }
    assert found == {
        "ethos-u55-128": ["int8.tflite", "int8_io.tflite", "int16x8.tflite"],
        "hexagon:v75": ["float16.onnx", "int8.onnx", "int16x8.onnx"],
        "gpu": ["float32.tflite", "float16.tflite"],
    }
    assert candidates(parse_chips(["cpu"]), ALL) == ALL
    assert len(candidates(parse_chips(["gpu", "hexagon"]), ALL)) == 5


def test_a_generator_is_for_a_cpu_alone():
    generator = ArtifactSpec(component=Component.GENERATOR, precision=Precision.INT8, format=Format.ONNX)
    assert Chip.parse("hexagon").declines(generator) == (
        "hexagon does not support shifts and exclusive or: use a decoder"
    )
    assert Chip.parse("cpu").declines(generator) == ""


def test_where_an_export_is_for_a_cpu_too_a_float_interface_is_its():
    spec = {item.precision: item for item in ALL if item.format is Format.TFLITE}
    two = parse_chips(["ethos-u55-128", "ethos-u65-256"])
    assert [npu.accelerator for npu in npus_of(two, spec[Precision.INT8])] == ["ethos-u55-128", "ethos-u65-256"]
    assert npus_of(two, spec[Precision.FLOAT32]) == ()
    both = parse_chips(["ethos-u55-128", "cpu"])
    assert npus_of(both, spec[Precision.INT8]) == ()
    assert len(npus_of(both, spec[Precision.INT8_IO])) == 1


def test_unknown_names_are_refused_with_a_close_match():
    assert Chip.parse("gpu:float32").kind is ChipKind.GPU
    assert Chip.parse("ethos-u55-128:Sram_Only").kind is ChipKind.ETHOS_U
    with pytest.raises(SpecError, match="unknown chip 'hexagn': did you mean 'hexagon'"):
        Chip.parse("hexagn")
    with pytest.raises(SpecError, match="unknown Hexagon generation 'v76': did you mean"):
        Chip.parse("hexagon:v76")
    with pytest.raises(SpecError, match="gpu does not take this option, got gpu:mali"):
        Chip.parse("gpu:mali")
    with pytest.raises(SpecError, match="the chip gpu is named twice"):
        parse_chips(["gpu", "gpu"])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("hexagon", "hexagon:v75"),
        ("ethos-u", "ethos-u55-128"),
        ("ethos-u55-128:Sram_Only", "ethos-u55-128:Ethos_U55_High_End_Embedded+Sram_Only"),
    ],
)
def test_two_names_of_one_chip_are_refused(one, other):
    with pytest.raises(SpecError, match=re.escape(f"{one} and {other} are the same chip: name one of them")):
        parse_chips([one, other])


def test_a_target_that_stands_for_a_chip_refuses_what_the_chip_does():
    spec = ArtifactSpec(component=Component.DECODER, precision=Precision.DYNAMIC_INT8, format=Format.ONNX)
    assert refused_by("hexagon:v75", spec) == "hexagon:v75 runs float16, int8 and int16x8 ONNX files"
    assert [refused_by(name, spec) for name in ("host", "android:R58N", "ssh://pi@board")] == ["", "", ""]


def test_chips_that_differ_in_an_option_are_two():
    names = ("gpu", "gpu:float32", "hexagon:v68", "hexagon", "ethos-u55-128", "ethos-u55-128:Sram_Only")
    assert tuple(chip.name for chip in parse_chips(names)) == names
