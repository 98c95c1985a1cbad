from dataclasses import replace

import pytest

from pocketvae.export.budgets import base_tolerances, tolerances
from pocketvae.export.goldens import NoiseFloor
from pocketvae.spec import ArtifactSpec, Component, Format, ImageDtype, Precision

DECODER = NoiseFloor(float32={"image": 3e-6}, float16={"image": 1e-3}, cause={"image": "as a graph at batch 1"})


def spec(component, precision):
    return ArtifactSpec(component=component, precision=precision, format=Format.TFLITE)


def test_a_float_artifact_is_held_to_ten_times_the_original_s_own_spread():
    (tolerance,) = tolerances(spec(Component.DECODER, Precision.FLOAT32), DECODER)
    assert (tolerance.metric, tolerance.limit) == ("max_abs", pytest.approx(3e-5))
    assert tolerance.source == "10 x 3.0e-06, the original against itself, most as a graph at batch 1"


def test_a_spread_of_nothing_still_leaves_room_for_rounding():
    (tolerance,) = tolerances(
        spec(Component.DECODER, Precision.FLOAT32), NoiseFloor(float32={"image": 0.0}, float16={})
    )
    assert tolerance.limit == pytest.approx(1e-5)
    assert "measured 0.0e+00" in tolerance.source


def test_what_is_exact_must_be_equal():
    floor = NoiseFloor(float32={"z": 0.0}, float16={"z": 0.0}, exact=True)
    (tolerance,) = tolerances(spec(Component.SAMPLER, Precision.FLOAT32), floor)
    assert (tolerance.output, tolerance.metric, tolerance.limit) == ("z", "max_abs", 0.0)
    assert tolerance.source.startswith("bit-identical by construction")


def test_half_precision_adds_what_rounding_the_weights_does():
    (tolerance,) = tolerances(spec(Component.DECODER, Precision.FLOAT16), DECODER)
    assert tolerance.limit == pytest.approx(2e-3 + 3e-5)


@pytest.mark.parametrize("precision", [precision for precision in Precision if not precision.is_float])
def test_every_quantized_artifact_has_a_budget_in_the_unit_of_its_use(precision):
    decoder = tolerances(spec(Component.DECODER, precision), DECODER)
    assert {tolerance.metric for tolerance in decoder} == {"p99_abs", "mean_abs"}
    (encoder,) = tolerances(spec(Component.ENCODER, precision), DECODER)
    assert (encoder.output, encoder.metric, encoder.limit) == ("posterior", "kl_mean", 0.1)


@pytest.mark.parametrize("precision", [precision for precision in Precision if precision is not Precision.INT8_IO])
@pytest.mark.parametrize("span", [1.0, 2.0])
def test_pixels_have_half_a_grey_step_more(precision, span):
    pixels = replace(spec(Component.DECODER, precision), image_dtype=ImageDtype.UINT8)
    for plain, limit in zip(base_tolerances(pixels, DECODER, span), tolerances(pixels, DECODER, span), strict=True):
        assert limit.limit == pytest.approx(plain.limit + span / 510)
        assert limit.source == f"half a grey step of rounding, and {plain.source}"


def test_a_float_artifact_of_pixels_stays_within_one_grey_step():
    pixels = replace(spec(Component.DECODER, Precision.FLOAT32), image_dtype=ImageDtype.UINT8)
    (limit,) = tolerances(pixels, DECODER)
    assert limit.limit < 1 / 255


def test_pixels_that_are_taken_are_exactly_the_numbers():
    floor = NoiseFloor(float32={"z_mean": 1e-6, "z_log_var": 1e-6}, float16={})
    encoder = spec(Component.ENCODER, Precision.FLOAT32)
    assert tolerances(replace(encoder, image_dtype=ImageDtype.UINT8), floor) == tolerances(encoder, floor)


def test_grey_steps_are_those_of_the_image_s_range():
    limits = tolerances(spec(Component.DECODER, Precision.INT8), DECODER, image_span=2.0)
    assert [limit.limit for limit in limits] == pytest.approx([8 / 255, 2 / 255])
    assert limits[0].source == "budget: 4 of 255 grey steps of 0.00784"
