import pytest

from pocketvae.errors import SpecError
from pocketvae.spec import (
    ArtifactSpec,
    Component,
    Format,
    ImageDtype,
    Precision,
    check_batches,
    parse_choice,
    signature_key,
    unsupported_reason,
)

SUPPORTED = [
    (component, format, precision)
    for component in Component
    for format in Format
    for precision in Precision
    if not unsupported_reason(format, precision, component)
]


@pytest.mark.parametrize(("component", "format", "precision"), SUPPORTED)
def test_a_file_name_says_what_the_artifact_is(component, format, precision):
    spec = ArtifactSpec(component=component, precision=precision, format=format)
    assert ArtifactSpec.parse(spec.filename) == spec


def test_tflite_has_six_precisions_and_onnx_five():
    made = [format for component, format, _ in SUPPORTED if component is Component.DECODER]
    assert (made.count(Format.TFLITE), made.count(Format.ONNX)) == (6, 5)


@pytest.mark.parametrize("precision", [precision for precision in Precision if precision is not Precision.INT8_IO])
def test_uint8_images_are_in_the_file_name(precision):
    spec = ArtifactSpec(
        component=Component.DECODER, precision=precision, format=Format.TFLITE, image_dtype=ImageDtype.UINT8
    )
    assert spec.filename == f"decoder.{precision}.uint8.tflite"
    assert ArtifactSpec.parse(spec.filename) == spec


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "sampler.float32.uint8.onnx",
            "onnx does not support float32 for a sampler with uint8 images: it does not have an image",
        ),
        (
            "decoder.int8_io.uint8.tflite",
            "tflite does not support int8_io for a decoder with uint8 images: .* use int8",
        ),
        ("decoder.uint8.float32.tflite", r"COMPONENT.PRECISION\[.uint8\].FORMAT"),
        ("decoder.uint8.tflite", "unknown precision 'uint8'"),
    ],
)
def test_uint8_images_that_do_not_exist_are_refused(name, message):
    with pytest.raises(SpecError, match=message):
        ArtifactSpec.parse(name)


@pytest.mark.parametrize("batches", [(), (8,), (8, 1), (1, 8, 8), (0, 1), (-1, 1)])
def test_batch_sizes_begin_with_1_and_rise(batches):
    with pytest.raises(SpecError, match="begin with 1 and increase, such as 1,8,32, got"):
        check_batches(batches)


def test_signatures_have_stable_names():
    check_batches((1, 8, 32))
    assert [signature_key(batch) for batch in (1, 8, 32)] == ["serving_default", "batch_8", "batch_32"]


@pytest.mark.parametrize("part", [Component.PRIOR, Component.SAMPLER])
def test_what_makes_latents_is_exported_in_float32_alone(part):
    made = [(format, precision) for component, format, precision in SUPPORTED if component is part]
    assert made == [(Format.TFLITE, Precision.FLOAT32), (Format.ONNX, Precision.FLOAT32)]


@pytest.mark.parametrize(
    ("component", "precision", "message"),
    [
        (Component.DECODER, Precision.INT8_IO, "onnx does not support int8_io for a decoder: .* float interface"),
        (Component.PRIOR, Precision.FLOAT16, "onnx does not support float16 for a prior: .* use float32"),
        (
            Component.SAMPLER,
            Precision.INT8,
            "onnx does not support int8 for a sampler: .* samplers are small; use float32",
        ),
    ],
)
def test_a_combination_that_does_not_exist_is_refused_with_the_reason(component, precision, message):
    with pytest.raises(SpecError, match=message):
        ArtifactSpec(component=component, precision=precision, format=Format.ONNX)


def test_a_generator_has_no_integer_interface():
    with pytest.raises(
        SpecError, match="tflite does not support int8_io for a generator: its inputs are already integers; use int8"
    ):
        ArtifactSpec(component=Component.GENERATOR, precision=Precision.INT8_IO, format=Format.TFLITE)


@pytest.mark.parametrize("name", ["decoder.tflite", "decoder.int8.tflite.bak", "", "decoder"])
def test_a_name_of_another_form_is_refused(name):
    with pytest.raises(SpecError, match=r"COMPONENT.PRECISION\[.uint8\].FORMAT"):
        ArtifactSpec.parse(name)


def test_an_unknown_choice_gets_a_close_match():
    with pytest.raises(SpecError, match="unknown precision 'flaot32': did you mean 'float32'"):
        parse_choice(Precision, "flaot32", "precision")


def test_an_unknown_choice_without_a_close_match_lists_what_is_known():
    with pytest.raises(SpecError, match="unknown format 'zzz': known: tflite, onnx"):
        parse_choice(Format, "zzz", "format")
