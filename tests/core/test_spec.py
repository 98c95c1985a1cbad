import pytest

from pocketvae.errors import SpecError
from pocketvae.spec import (
    ArtifactSpec,
    Component,
    Format,
    Precision,
    VaeSpec,
    parse_choice,
    unsupported_reason,
)

SUPPORTED = [
    (format, precision) for format in Format for precision in Precision if not unsupported_reason(format, precision)
]


@pytest.mark.parametrize(("format", "precision"), SUPPORTED)
@pytest.mark.parametrize("component", Component)
def test_a_file_name_says_what_the_artifact_is(component, format, precision):
    spec = ArtifactSpec(component=component, precision=precision, format=format)
    assert ArtifactSpec.parse(spec.filename) == spec


def test_tflite_has_six_precisions_and_onnx_four():
    assert len(SUPPORTED) == 10


def test_a_combination_that_does_not_exist_is_refused_with_the_reason():
    with pytest.raises(SpecError, match="onnx has no int8_io artifacts: .* float interface"):
        ArtifactSpec(component=Component.DECODER, precision=Precision.INT8_IO, format=Format.ONNX)


@pytest.mark.parametrize("name", ["decoder.tflite", "decoder.int8.tflite.bak", "", "decoder"])
def test_a_name_of_another_form_is_refused(name):
    with pytest.raises(SpecError, match="COMPONENT.PRECISION.FORMAT"):
        ArtifactSpec.parse(name)


def test_an_unknown_choice_gets_a_close_match():
    with pytest.raises(SpecError, match="unknown precision 'flaot32': did you mean 'float32'"):
        parse_choice(Precision, "flaot32", "precision")


def test_an_unknown_choice_without_a_close_match_lists_what_is_known():
    with pytest.raises(SpecError, match="unknown format 'zzz': known: tflite, onnx"):
        parse_choice(Format, "zzz", "format")


@pytest.mark.parametrize(
    "kwargs", [{"image_shape": (0, 8, 1), "latent_dim": 2}, {"image_shape": (8, 8, 1), "latent_dim": 0}]
)
def test_a_vae_without_extent_is_refused(kwargs):
    with pytest.raises(SpecError, match="must be"):
        VaeSpec(**kwargs)
