from dataclasses import replace
from types import SimpleNamespace

import pytest

from pocketvae.bundle.quantization import SeedError
from pocketvae.errors import ExportError
from pocketvae.export.quantize import searched
from pocketvae.export.quantize.search import QuantizationPlan, Trial
from pocketvae.export.quantize.source import Source
from pocketvae.export.tuning.ladder import Tune
from pocketvae.spec import ArtifactSpec, Component, Format, Precision
from pocketvae.vae_spec import VaeSpec, vector_latent

LAYERS = {"m/norm/mul": 0, "m/norm/add": 0, "m/conv/a;m/conv/b": 90, "m/dense/x": 10}


@pytest.fixture
def notes(monkeypatch):
    monkeypatch.setattr(searched, "_held_in_integers", lambda _, trial: trial.plan.weights_only)

    def noted(plan):
        trial = Trial(plan=plan, content=b"", rmse=0.0, error_ratio=0.5)
        return searched._notes(trial, SimpleNamespace(layers=LAYERS, format=None))

    return noted


def test_a_layer_of_several_operators_is_named_once(notes):
    plan = QuantizationPlan(
        float_layers=("m/norm/mul", "m/norm/add"),
        range_scales={"m/norm/mul": 0.8, "m/norm/add": 0.6, "m/dense/x": 0.8},
    )
    assert notes(plan) == (
        "kept in float to meet the budget: m/norm (0.0% of the weights)",
        "integers cover part of the calibrated range: m/dense 80%, m/norm 60% to 80%",
    )


def test_float_layers_with_8_bit_weights_are_named_as_such(notes):
    plan = QuantizationPlan(float_layers=("m/conv/a;m/conv/b", "m/dense/x"), weights_only=("m/conv/a;m/conv/b",))
    assert notes(plan) == (
        "kept in float to meet the budget: m/dense (10.0% of the weights)",
        "8-bit weights, float activations to meet the budget: m/conv (90.0% of the weights)",
    )


def test_a_variant_that_does_not_load_is_never_within_the_budget(monkeypatch):
    def refused(*_):
        raise ExportError("the runtime cannot load it")

    monkeypatch.setattr(searched, "run_content", refused)
    quantizer = SimpleNamespace(quantize=lambda plan: b"content")
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

    def found(stock, tuned, *, integer_only=False, tune=Tune.FAST, broken=None):
        def ratios(source):
            return stock if source.tuning is None else tuned

        def start(_, source, **__):
            def trial(ratio):
                return Trial(plan=QuantizationPlan(), content=b"", rmse=0.0, error_ratio=ratio)

            search = SimpleNamespace(
                sensitivities=dict,
                tune_ranges=lambda *_: trial(ratios(source)[0]),
                run=lambda: None,
                store_float_weights=lambda _: trial(0.5),
            )
            return SimpleNamespace(storable=(), best_range_scales=lambda _: {}), search

        def seeds(source, *_):
            return tuple(SeedError(seed=i, errors={}, error_ratio=r) for i, r in enumerate(ratios(source)))

        monkeypatch.setattr(searched, "_start", start)
        monkeypatch.setattr(searched, "_seeds", seeds)
        monkeypatch.setattr(Source, "tuned", broken or (lambda *_: SimpleNamespace(is_changed=True, sum_parts=1)))
        return searched._find(SPEC, replace(SOURCE, tune=tune), (), None, integer_only=integer_only)

    return found


def test_a_network_that_is_within_its_budget_is_left_as_it_is(find):
    assert find((0.9, 0.8), (0.1, 0.1)).source.tuning is None


def test_a_network_over_its_budget_is_tuned(find):
    found = find((1.5, 1.5), (0.9, 0.8))
    assert found.source.tuning is not None
    assert found.best.error_ratio == 0.9


def test_a_network_that_only_its_own_samples_suit_is_tuned(find):
    assert find((0.9, 2.8), (0.9, 0.95)).source.tuning is not None


def test_what_other_samples_suit_best_is_taken_where_none_suits_all(find):
    assert find((0.9, 1.2), (0.9, 2.8)).source.tuning is None


def test_layers_stay_in_float_where_tuning_is_not_enough(find):
    found = find((1.5, 1.5), (1.2, 1.2))
    assert found.source.tuning is None
    assert found.best.error_ratio == 0.5  # of the search layer by layer


def test_nothing_is_tuned_where_nothing_is_wanted(find):
    assert find((1.5, 1.5), (0.1, 0.1), tune=Tune.NONE).source.tuning is None


def test_a_file_without_floats_takes_the_smaller_error_even_above_the_budget(find):
    found = find((1.5, 1.5), (1.2, 1.2), integer_only=True)
    assert found.best.error_ratio == 1.2


@pytest.mark.parametrize("error", [ExportError("the decoder cannot be tuned"), FloatingPointError("not finite")])
def test_what_cannot_be_tuned_is_searched_layer_by_layer(find, error):
    def fail(*_):
        raise error

    found = find((1.5, 1.5), (0.9, 0.9), broken=fail)
    assert found.source.tuning is None
    assert found.best.error_ratio == 0.5
