from dataclasses import replace

import pytest

from pocketvae.bundle.manifest import Stratum
from pocketvae.errors import SpecError
from pocketvae.export import budgets
from pocketvae.export.budgets import (
    FLOOR_FACTOR,
    Budget,
    LimitRules,
    base_tolerances,
    few_goldens,
    of_few_samples,
    tolerances,
    with_pixel_rounding,
)
from pocketvae.export.original.goldens import NoiseFloor
from pocketvae.numerics.metrics import ELBO_CHANGE
from pocketvae.outputs import Meaning, Output
from pocketvae.spec import ArtifactSpec, Component, Format, ImageDtype, Precision
from pocketvae.vae_spec import DataKind

DECODER = NoiseFloor(float32={"image": 3e-6}, float16={"image": 1e-3}, cause={"image": "as a graph with batch size 1"})
ENCODER = NoiseFloor(
    float32=dict.fromkeys(("z_mean", "z_log_var"), 1e-6), float16=dict.fromkeys(("z_mean", "z_log_var"), 1e-3)
)


def spec(component, precision):
    return ArtifactSpec(component=component, precision=precision, format=Format.TFLITE)


def test_a_float_artifact_is_held_to_ten_times_the_original_s_own_spread():
    (tolerance,) = tolerances(spec(Component.DECODER, Precision.FLOAT32), DECODER)
    assert (tolerance.metric, tolerance.limit) == ("max_abs", pytest.approx(3e-5))
    assert tolerance.source == "10 x 3.0e-06, the original against itself, most as a graph with batch size 1"


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


@pytest.mark.parametrize(
    ("precision", "limit"), [(Precision.FLOAT32, 1e-3), (Precision.FLOAT16, 0.03), (Precision.INT8, 0.05)]
)
def test_integer_codes_are_held_to_the_share_that_differs(precision, limit):
    floor = NoiseFloor(float32={"z": 0.0}, float16={"z": 0.003})
    (tolerance,) = base_tolerances(spec(Component.ENCODER, precision), floor)
    assert (tolerance.output, tolerance.metric, tolerance.limit) == ("z", "codes_changed", pytest.approx(limit))


def test_codes_beside_real_numbers_have_limits_of_their_own():
    small = dict.fromkeys(("codes", "z_mean", "z_log_var"), 0.0)
    floor = NoiseFloor(float32=small, float16=small, ranges=dict.fromkeys(small, 1.0))
    limits = [(item.output, item.metric) for item in tolerances(spec(Component.ENCODER, Precision.INT8), floor)]
    assert limits == [("codes", "codes_changed"), ("posterior", "kl_mean")]
    kernels = dict.fromkeys(small, 1e-6)
    found = tolerances(spec(Component.ENCODER, Precision.FLOAT32), floor, kernel_spread=kernels)
    limits = [(item.output, item.metric) for item in found]
    assert limits == [("codes", "codes_changed"), ("z_log_var", "max_abs"), ("z_mean", "max_abs")]
    means = floor.without(["z_log_var"])
    limits = [(item.output, item.metric) for item in tolerances(spec(Component.ENCODER, Precision.INT8), means)]
    assert limits == [("codes", "codes_changed"), ("z_mean", "p99_abs"), ("z_mean", "mean_abs")]


@pytest.mark.parametrize("precision", [precision for precision in Precision if not precision.is_float])
def test_every_quantized_artifact_has_a_budget_in_the_unit_of_its_use(precision):
    decoder = tolerances(spec(Component.DECODER, precision), DECODER)
    steps = {"p99_abs": 12.0, "mean_abs": 2.0} if precision is Precision.INT8_IO else {"p99_abs": 4.0, "mean_abs": 1.0}
    assert {tolerance.metric: tolerance.limit * 255 for tolerance in decoder} == pytest.approx(steps)
    (encoder,) = tolerances(spec(Component.ENCODER, precision), ENCODER)
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


def elbo_limits(precision, component=Component.DECODER, **options):
    limits = tolerances(spec(component, precision), DECODER, **options)
    return [limit for limit in limits if limit.metric == ELBO_CHANGE]


def test_a_quantized_decoder_whose_images_were_observed_is_held_to_its_elbo():
    (limit,) = elbo_limits(Precision.INT8, observed_values=784)
    assert (limit.output, limit.limit) == ("image", pytest.approx(0.1))
    assert limit.source == "budget: 0.1 nats between the ELBO of the original and of the artifact"
    assert elbo_limits(Precision.INT8) == []


def test_nats_add_up_over_the_values_of_an_image():
    assert elbo_limits(Precision.INT8, observed_values=100)[0].limit == pytest.approx(0.1)
    (limit,) = elbo_limits(Precision.INT8, observed_values=64 * 64 * 3)
    assert limit.limit == pytest.approx(0.1 * 12288 / 784)
    assert limit.source == "budget: 0.1 nats for each 784 of 12288 observed values of the ELBO"


def test_the_elbo_of_signals_may_change_by_a_share_of_what_it_differs_from_item_to_item():
    (limit,) = elbo_limits(Precision.INT8, observed_values=200, data=DataKind.SEQUENCE)
    assert (limit.output, limit.limit) == ("sequence", pytest.approx(0.05 * 10))
    assert limit.source.endswith("artifact, 5 % of what noise alone changes it with 200 values from item to item")
    spread = replace(DECODER, elbo_spread_nats=40.0)
    *_, wide = tolerances(spec(Component.DECODER, Precision.INT8), spread, observed_values=200, data=DataKind.SEQUENCE)
    assert (wide.metric, wide.limit) == (ELBO_CHANGE, pytest.approx(2))
    assert wide.source.endswith("of the artifact, 5 % of what it differs from item to item")
    assert elbo_limits(Precision.INT8, observed_values=6, data=DataKind.VECTOR)[0].limit == pytest.approx(0.1)
    encoder = spec(Component.ENCODER, Precision.INT8)
    floor = NoiseFloor(float32={"z_mean": 0, "z_log_var": 0}, float16={})
    (limit,) = tolerances(encoder, floor, observed_values=200, data=DataKind.SEQUENCE)
    assert (limit.metric, limit.limit) == ("kl_mean", pytest.approx(0.5))
    assert tolerances(encoder, floor, observed_values=200)[0].limit == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("precision", "component"),
    [
        (Precision.INT8_IO, Component.DECODER),
        (Precision.INT8, Component.ENCODER),
        (Precision.INT8, Component.GENERATOR),
        (Precision.FLOAT32, Component.DECODER),
    ],
)
def test_what_has_no_probabilities_or_no_observed_images_has_no_elbo(precision, component):
    assert elbo_limits(precision, component, observed_values=784) == []


def test_pixels_are_no_probabilities():
    limits = with_pixel_rounding(
        replace(spec(Component.DECODER, Precision.INT8), image_dtype=ImageDtype.UINT8),
        tolerances(spec(Component.DECODER, Precision.INT8), DECODER, observed_values=784),
    )
    assert {limit.metric for limit in limits} == {"p99_abs", "mean_abs"}


def test_a_budget_that_is_asked_for_replaces_the_default():
    budget = Budget(p99_steps=2.0, mean_steps=0.5, elbo_nats=0.3)
    limits = tolerances(spec(Component.DECODER, Precision.INT8), DECODER, budget=budget, observed_values=784)
    assert [limit.limit for limit in limits] == pytest.approx([2 / 255, 0.5 / 255, 0.3])
    assert limits[2].source == "budget: 0.3 nats of the ELBO, as requested"


@pytest.mark.parametrize("value", [0.0, -1.0, float("inf"), float("nan")])
def test_a_budget_that_is_no_positive_number_is_refused(value):
    with pytest.raises(SpecError, match="--budget-elbo must be a positive number"):
        Budget(elbo_nats=value)


def test_a_single_file_is_held_to_all_but_what_needs_images():
    rules = LimitRules(floor=DECODER, observed_values=784)
    limits = rules.for_artifact(spec(Component.DECODER, Precision.INT8), {})
    assert [limit.metric for limit in limits] == ["p99_abs", "mean_abs", ELBO_CHANGE]
    assert of_few_samples(limits) == limits[:2]


def test_the_rules_of_a_component_give_what_the_functions_give():
    budget = Budget(p99_steps=2.0)
    rules = LimitRules(floor=DECODER, image_span=2.0, budget=budget, observed_values=784)
    pixels = replace(spec(Component.DECODER, Precision.INT8), image_dtype=ImageDtype.UINT8)
    network = base_tolerances(pixels, DECODER, 2.0, budget=budget, observed_values=784)
    assert rules.for_network(pixels) == network
    assert rules.for_artifact(pixels, {}) == with_pixel_rounding(pixels, network, 2.0)


def test_what_the_original_loses_against_doubles_is_added():
    floor = NoiseFloor(float32={"image": 2e-6}, float16={}, rounding={"image": 4e-5})
    (tolerance,) = tolerances(spec(Component.DECODER, Precision.FLOAT32), floor)
    assert tolerance.limit == pytest.approx(6e-5)
    assert tolerance.source.startswith(
        "4.0e-05, the original's own rounding against double precision, plus 10 x 2.0e-06"
    )
    less = NoiseFloor(float32={"image": 2e-6}, float16={}, rounding={"image": 1e-6})
    assert tolerances(spec(Component.DECODER, Precision.FLOAT32), less)[0].limit == pytest.approx(2e-5)


def test_kernels_that_differ_widen_a_limit_up_to_what_it_was():
    floor = NoiseFloor(float32={"image": 2e-6}, float16={}, cause={"image": "with batch size 1"})

    def limit(spread):
        (tolerance,) = tolerances(spec(Component.DECODER, Precision.FLOAT32), floor, kernel_spread={"image": spread})
        return tolerance.limit, tolerance.source

    assert limit(1e-6) == (pytest.approx(2e-5), "10 x 2.0e-06, the original against itself, most with batch size 1")
    assert limit(5e-6) == (
        pytest.approx(5e-5),
        "10 x 5.0e-06, how far the runtime's optimized and built-in kernels differ on this file",
    )
    # A kernel that computes something else must not set its own limit.
    assert limit(0.5)[0] == pytest.approx(FLOOR_FACTOR * 2e-6)


def test_no_limit_of_a_float_artifact_exceeds_what_rounding_explains():
    wild = NoiseFloor(float32={"image": 0.17}, float16={"image": float("inf")}, ranges={"image": 2.0})
    for precision, most in ((Precision.FLOAT32, 2e-3), (Precision.FLOAT16, 2e-2)):
        (limit,) = base_tolerances(spec(Component.DECODER, precision), wild)
        assert limit.limit == most
        assert limit.source.startswith(f"{most:.1e}, the most that rounding explains, less than ")


def test_limits_of_large_images_say_how_many_goldens_they_rest_on():
    strata = (Stratum(name="prior", start=0, count=6), Stratum(name="tails", start=6, count=2))
    rules = LimitRules(floor=DECODER, few_goldens=few_goldens(strata))
    limits = rules.for_artifact(spec(Component.DECODER, Precision.INT8), {})
    assert limits[0].source == "budget: 4 of 255 grey steps; over 8 goldens"
    assert few_goldens((replace(strata[0], count=320),)) == 0


@pytest.mark.parametrize(("goldens", "area"), [(512, 0.005), (1000, 0.005), (128, 0.01), (0, 0.005)])
def test_few_goldens_of_a_scorer_say_less_of_a_change_of_the_area(goldens, area):
    limits = {limit.metric: limit for limit in budgets._decision_tolerances(goldens)}
    assert limits["auroc_change"].limit == pytest.approx(area)
    assert ("and 2 times as much for 128" in limits["auroc_change"].source) == (goldens == 128)
    error = (0.01 * 0.99 / goldens) ** 0.5 if goldens else 0
    assert limits["decisions_changed"].limit == pytest.approx(0.01 + 2 * error)


def test_every_output_of_a_quantized_decoder_has_a_budget_in_its_own_unit():
    more = (
        Output(name="half", data=DataKind.IMAGE, shape=(4, 4, 1), data_range=(-1.0, 1.0)),
        Output(name="log_var", data=DataKind.IMAGE, shape=(8, 8, 1), meaning=Meaning.LOG_VAR, data_range=(-0.1, 0.1)),
        Output(name="std", data=DataKind.IMAGE, shape=(8, 8, 1), meaning=Meaning.STD, data_range=(0.0, 0.4)),
        Output(name="digit", data=DataKind.VECTOR, shape=(10,), meaning=Meaning.LOGITS, data_range=(-6.0, 4.0)),
        Output(name="slant", data=DataKind.VECTOR, shape=(1,), data_range=(0.0, 5.0)),
    )
    names = ("image", *(output.name for output in more))
    floor = NoiseFloor(float32=dict.fromkeys(names, 1e-6), float16=dict.fromkeys(names, 1e-3))
    limits = tolerances(spec(Component.DECODER, Precision.INT8), floor, more=more)
    found = {limit.output: limit for limit in limits if limit.metric == "p99_abs"}
    assert list(found) == list(names)
    assert {name: round(255 / 4 * limit.limit, 6) for name, limit in found.items()} == {
        "image": 1.0,
        "half": 2.0,
        "log_var": 2.0,
        "std": 0.4,
        "digit": 10.0,
        "slant": 5.0,
    }
    assert [found[name].source for name in names] == [
        "budget: 4 of 255 grey steps",
        "budget: 4 of 255 grey steps of 0.00784",
        "budget: 1.6 % of the noise of p(x|z), whose logarithm of the variance spans 2",
        "budget: 1.6 % of the largest standard deviation, 0.4",
        "budget: 1.6 % of the logits of classes, 10",
        "budget: 1.6 % of the range, 5",
    ]
    # A component that does not return them is not held to them.
    alone = tolerances(spec(Component.DECODER, Precision.INT8), DECODER, more=more)
    assert {limit.output for limit in alone} == {"image"}
    floats = tolerances(spec(Component.DECODER, Precision.FLOAT32), floor, more=more)
    assert sorted(limit.output for limit in floats) == sorted(names)


def test_whole_pixels_leave_the_limits_of_other_outputs_alone():
    more = (Output(name="slant", data=DataKind.VECTOR, shape=(1,), data_range=(0.0, 5.0)),)
    floor = NoiseFloor(float32={"image": 1e-6, "slant": 1e-6}, float16={})
    pixels = replace(spec(Component.DECODER, Precision.DYNAMIC_INT8), image_dtype=ImageDtype.UINT8)
    both = replace(pixels, image_dtype=ImageDtype.FLOAT32), pixels
    plain, rounded = (tolerances(item, floor, more=more) for item in both)
    changes = {(new.output, new.limit - old.limit > 0) for old, new in zip(plain, rounded, strict=True)}
    assert changes == {("image", True), ("slant", False)}
