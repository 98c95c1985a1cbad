import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from pocketvae.bundle.quantization import SeedError
from pocketvae.documents import encode
from pocketvae.errors import ExportError, ParityError
from pocketvae.export.quantize import searched
from pocketvae.export.quantize.notes import tuning_notes
from pocketvae.export.quantize.search import QuantizationPlan, Search, Trial
from pocketvae.export.quantize.source import Source
from pocketvae.export.tuning.effort import Effort
from pocketvae.export.tuning.ladder import Tune
from pocketvae.export.tuning.names import Tuning
from pocketvae.spec import ArtifactSpec, Component, Format, Precision
from pocketvae.vae_spec import VaeSpec, vector_latent


def test_a_variant_that_does_not_load_is_never_within_the_budget(monkeypatch):
    def refused(*_):
        raise ExportError("the runtime cannot load it")

    monkeypatch.setattr(searched, "run_content", refused)
    quantizer = SimpleNamespace(quantize=lambda plan: b"content", spend_on_file=lambda *_: None)
    source = SimpleNamespace(trials=lambda: ({}, {}), golden_inputs={})
    trial = searched._attempt(SimpleNamespace(format=None), source, (), quantizer, QuantizationPlan())
    assert trial.fault == "the runtime cannot load it"
    assert not trial.within_budget


SPEC = ArtifactSpec(component=Component.DECODER, precision=Precision.INT8, format=Format.TFLITE)
SOURCE = Source(
    component=Component.DECODER,
    model=None,
    vae=VaeSpec(data_shape=(8, 8, 1), latents=vector_latent(2)),
    calibration={},
    golden_inputs={},
    golden_outputs={},
    tune=Tune.FAST,
)


@pytest.fixture
def find(monkeypatch):
    """Runs the choice between a network and its tuned form, given the error ratio of each with its own samples, and
    with others."""

    asked = []

    def found(stock, tuned, *, integer_only=False, tune=Tune.FAST, broken=None, effort=None):
        def ratios(source):
            return stock if source.tuning is None else tuned

        def start(_, source, **__):
            def trial(ratio):
                return Trial(plan=QuantizationPlan(), content=b"", rmse=0.0, error_ratio=ratio)

            search = SimpleNamespace(
                sensitivities=dict,
                attempt=lambda _: trial(ratios(source)[0]),
                tune_ranges=lambda *_: trial(ratios(source)[0]),
                run=lambda: None,
                store_float_weights=lambda _: trial(0.5),
            )
            quantizer = SimpleNamespace(storable=(), layers={}, dense_layers={}, best_range_scales=lambda _: {})
            return quantizer, search

        def seeds(source, *_):
            asked.append(source.tuning)
            return tuple(SeedError(seed=i, errors={}, error_ratio=r) for i, r in enumerate(ratios(source)))

        monkeypatch.setattr(searched, "_start", start)
        monkeypatch.setattr(searched, "_seeds", seeds)
        monkeypatch.setattr(Source, "tuned", broken or (lambda *_: SimpleNamespace(is_changed=True, sum_parts=1)))
        source = replace(SOURCE, tune=tune, effort=effort or Effort())
        return searched._find(SPEC, source, (), None, integer_only=integer_only)

    found.asked = asked
    return found


def test_a_network_that_is_within_its_budget_is_left_as_it_is(find):
    assert find((0.9, 0.8), (0.1, 0.1)).source.tuning is None


def test_ranges_are_looked_for_only_where_they_can_be_enough():
    asked = []

    def ranges(ratio):
        def scales(_):
            asked.append(ratio)
            return {"layer": 0.8}

        def attempt(plan):
            error = ratio * (0.8 if plan.range_scales else 1.0)
            return Trial(plan=plan, content=b"", rmse=error, error_ratio=error)

        quantizer = SimpleNamespace(best_range_scales=scales)
        return searched._with_ranges(SOURCE, quantizer, Search({"layer": 10}, attempt))

    assert ranges(1.1).plan.range_scales == {"layer": 0.8}
    assert ranges(2.5).plan.range_scales == {}
    assert asked == [1.1]


@pytest.mark.parametrize(("ratio", "looked_at"), [(3.9, True), (4.1, False)])
def test_ranges_of_a_tuned_network_far_from_its_budget_are_not_looked_for(monkeypatch, ratio, looked_at):
    asked = []
    quantizer = SimpleNamespace(best_range_scales=lambda _: asked.append(True) or {})

    def attempt(plan):
        return Trial(plan=plan, content=b"", rmse=1.0, error_ratio=ratio)

    monkeypatch.setattr(Source, "tuned", lambda *_: SimpleNamespace(is_changed=True, sum_parts=1))
    tuning = Tuning(exponent=0.5, latent_parts=True, output_parts=1, sum_parts=1)
    found = searched._tuned(lambda _: (quantizer, Search({"layer": 10}, attempt)), SOURCE, tuning)
    assert found.best.error_ratio == ratio
    assert bool(asked) is looked_at


def test_values_that_are_not_finite_leave_whole_ranges():
    def scales(_):
        raise FloatingPointError("an output is not finite")

    def attempt(plan):
        return Trial(plan=plan, content=b"", rmse=1.0, error_ratio=0.9)

    quantizer = SimpleNamespace(best_range_scales=scales)
    assert searched._with_ranges(SOURCE, quantizer, Search({"layer": 10}, attempt)).within_budget


def test_a_network_over_its_budget_is_tuned(find):
    found = find((1.5, 1.5), (0.9, 0.8))
    assert found.source.tuning is not None
    assert found.best.error_ratio == 0.9


def test_a_network_that_only_its_own_samples_suit_is_tuned(find):
    assert find((0.9, 2.8), (0.9, 0.95)).source.tuning is not None


@pytest.mark.parametrize(("others", "count"), [(0.8, 1), (0.95, 13)])
def test_other_samples_are_asked_of_forms_that_may_be_better(find, others, count):
    find((1.5, 1.5), (0.9, others), tune=Tune.FULL)
    assert len(find.asked) == count


def test_what_other_samples_suit_best_is_taken_where_none_suits_all(find):
    assert find((0.9, 1.2), (0.9, 2.8)).source.tuning is None


def test_layers_stay_in_float_where_tuning_is_not_enough(find):
    found = find((1.5, 1.5), (1.2, 1.2))
    assert found.source.tuning is None
    assert found.best.error_ratio == 0.5  # of the search layer by layer


def test_nothing_is_tuned_where_nothing_is_wanted(find):
    assert find((1.5, 1.5), (0.1, 0.1), tune=Tune.NONE).source.tuning is None


def test_what_there_is_no_time_for_is_left_out(find):
    late = Effort(time_limit_s=0.0)
    assert find((1.5, 1.5), (0.1, 0.1), effort=late).source.tuning is None
    assert late.was_cut


def test_other_samples_are_not_measured_when_time_is_over():
    def quantizer_for_others(_):
        raise AssertionError("measured")

    best = Trial(plan=QuantizationPlan(), content=b"", rmse=0.0, error_ratio=0.5)
    source = replace(SOURCE, effort=Effort(time_limit_s=0.0), other_calibrations=({"z": np.zeros((4, 2))},))
    quantizer = SimpleNamespace(with_calibration=quantizer_for_others)
    assert [item.seed for item in searched._seeds(source, (), best, quantizer)] == [0]
    with pytest.raises(AssertionError, match="measured"):
        searched._seeds(replace(source, effort=Effort()), (), best, quantizer)


@pytest.mark.parametrize("error", [FloatingPointError("not finite"), ParityError("it cannot be loaded")])
def test_other_samples_with_which_no_file_can_be_made_are_never_within_the_budget(error):
    def fail(plan):
        raise error

    other = SimpleNamespace(quantize=fail, spend_on_calibration=lambda: None, spend_on_file=lambda *_: None)
    best = Trial(plan=QuantizationPlan(), content=b"", rmse=0.0, error_ratio=0.5)
    source = replace(SOURCE, other_calibrations=({"z": np.zeros((4, 2))},))
    found = searched._seeds(source, (), best, SimpleNamespace(format=None, with_calibration=lambda _: other))
    assert [seed.error_ratio for seed in found] == [0.5, math.inf]


@pytest.fixture
def searched_with(monkeypatch):
    """Makes the record of a file with this error ratio, given those with other calibration samples."""

    def made(ratio, others):
        found = searched._Found(
            source=SOURCE,
            quantizer=SimpleNamespace(format=None, layers={}, convolutions={}, input_ranges=lambda _: {}),
            search=SimpleNamespace(trials=()),
            best=Trial(plan=QuantizationPlan(), content=b"file", rmse=0.0, error_ratio=ratio),
            seeds=tuple(SeedError(seed=i, errors={}, error_ratio=r) for i, r in enumerate((ratio, *others))),
        )
        monkeypatch.setattr(searched, "_find_on_few", lambda *_, **__: found)
        monkeypatch.setattr(searched, "diagnose_layers", lambda *_: ())
        monkeypatch.setattr(searched, "_with_front", lambda record, *_: record)
        return searched.search_artifact(SPEC, SOURCE, ())

    return made


def test_a_file_whose_errors_are_not_finite_is_none(searched_with):
    with pytest.raises(ExportError, match="its integers return what is not finite"):
        searched_with(math.inf, ())


def test_other_samples_without_finite_errors_are_noted_and_left_out_of_the_record(searched_with):
    made = searched_with(0.5, (0.75, math.inf))
    assert [seed.error_ratio for seed in made.record.seeds] == [0.5, 0.75]
    assert encode(made.record)
    assert made.notes[-1] == "no file, or none with finite errors, with 1 of 2 other sets of calibration samples"
    assert not any("finite" in note for note in searched_with(0.5, (0.75,)).notes)


def test_a_file_without_floats_takes_the_smaller_error_even_above_the_budget(find):
    found = find((1.5, 1.5), (1.2, 1.2), integer_only=True)
    assert found.best.error_ratio == 1.2


@pytest.mark.parametrize("error", [ExportError("the decoder cannot be tuned"), FloatingPointError("not finite")])
def test_what_cannot_be_tuned_is_searched_layer_by_layer_and_said(find, error):
    def fail(*_):
        raise error

    found = find((1.5, 1.5), (0.9, 0.9), broken=fail)
    assert found.source.tuning is None
    assert found.best.error_ratio == 0.5
    assert found.faults == (str(error),)  # once, although two forms fail
    assert tuning_notes(found.source, found.faults) == (f"not tuned for integers: {error}",)


def test_a_form_that_can_be_tuned_is_enough(find):
    answers = iter([ExportError("the decoder cannot be tuned"), SimpleNamespace(is_changed=True, sum_parts=2)])

    def first_fails(*_):
        answer = next(answers)
        if isinstance(answer, ExportError):
            raise answer
        return answer

    found = find((1.5, 1.5), (0.9, 0.9), broken=first_fails)
    assert found.source.tuning is not None
    assert found.faults == ()


@pytest.fixture
def four_bits(monkeypatch):
    """Runs the choice of weights of 4 bits, given the error ratio by the layers that have them."""

    def chosen(ratios, tune=Tune.FULL, others=0.5):
        def attempt(plan):
            return Trial(plan=plan, content=b"", rmse=0.0, error_ratio=ratios[plan.four_bits])

        def seeds(source, tolerances, best, quantizer):
            return tuple(SeedError(seed=seed, errors={}, error_ratio=others) for seed in range(2))

        monkeypatch.setattr(searched, "_seeds", seeds)
        quantizer = SimpleNamespace(
            layers={"small": 10, "conv": 50, "large": 90, "tiny": 1}, dense_layers={"tiny": 1, "small": 40, "large": 90}
        )
        found = searched._Found(
            source=replace(SOURCE, tune=tune),
            quantizer=quantizer,
            search=SimpleNamespace(attempt=attempt),
            best=Trial(plan=QuantizationPlan(), content=b"", rmse=0.0, error_ratio=0.5),
        )
        return searched._in_four_bits(found, ()).best.plan.four_bits

    return chosen


def test_weights_of_4_bits_are_tried_from_the_largest_layer_on(four_bits):
    assert four_bits({("large",): 0.6, ("large", "small"): 0.9}) == ("large", "small")
    assert four_bits({("large",): 1.2, ("small",): 0.9}) == ("small",)


def test_weights_of_4_bits_have_to_suit_other_samples_too(four_bits):
    assert four_bits({("large",): 0.6, ("small",): 0.6}, others=1.1) == ()


def test_weights_of_4_bits_are_for_the_most_that_can_be_tried(four_bits):
    assert four_bits({}, tune=Tune.FAST) == ()


@pytest.fixture
def convolutions(monkeypatch):
    """Runs the trials of convolutions in 4 bits beside a file with one dense layer in them."""

    def tried(ratios, tune=Tune.FULL, error=0.5):
        def attempt(plan):
            return Trial(plan=plan, content=b"", rmse=0.0, error_ratio=ratios[plan.four_bits])

        quantizer = SimpleNamespace(
            layers={"dense": 100, "small": 20, "tiny": 1, "large": 90, "float": 50},
            dense_layers={"dense": 100},
            convolutions={"small": 20, "tiny": 1, "large": 90, "float": 50},
        )
        plan = QuantizationPlan(four_bits=("dense",), float_layers=("float",))
        found = searched._Found(
            source=replace(SOURCE, tune=tune),
            quantizer=quantizer,
            search=SimpleNamespace(attempt=attempt),
            best=Trial(plan=plan, content=b"", rmse=0.0, error_ratio=error),
        )
        return [trial.plan.four_bits for trial in searched._convolutions_in_four_bits(found)]

    return tried


ALL = ("dense", "small", "tiny", "large", "float")


def test_convolutions_in_4_bits_are_tried_from_the_largest_on_and_all_together(convolutions):
    both = {("dense", "large"): 0.6, ("dense", "large", "small"): 0.9, ALL: 3.0}
    assert convolutions(both) == list(both)
    one = {("dense", "large"): 1.2, ("dense", "small"): 0.9, ALL: 3.0}
    assert convolutions(one) == list(one)


def test_convolutions_in_4_bits_are_for_the_most_that_can_be_tried_within_the_budget(convolutions):
    assert convolutions({}, tune=Tune.FAST) == []
    assert convolutions({}, error=1.1) == []


@pytest.mark.parametrize("error", [FloatingPointError("a weight is not finite"), ParityError("it cannot be loaded")])
def test_a_variant_whose_weights_cannot_be_set_by_what_it_makes_is_none(error):
    def fail(plan):
        raise error

    spec = SimpleNamespace(format="tflite")
    found = searched._attempt(
        spec,
        SOURCE,
        (),
        SimpleNamespace(quantize=fail, spend_on_file=lambda *_: None),
        QuantizationPlan(four_bits=("a",)),
    )
    assert found.fault == str(error)
    assert not found.within_budget
