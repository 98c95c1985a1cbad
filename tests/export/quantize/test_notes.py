from types import SimpleNamespace

import pytest

from pocketvae.export.quantize import notes as notes_module
from pocketvae.export.quantize.search import QuantizationPlan, Trial

LAYERS = {"m/norm/mul": 0, "m/norm/add": 0, "m/conv/a;m/conv/b": 90, "m/dense/x": 10}


@pytest.fixture
def notes(monkeypatch):
    monkeypatch.setattr(notes_module, "held_in_integers", lambda _, trial: trial.plan.weights_only)

    def noted(plan):
        trial = Trial(plan=plan, content=b"", rmse=0.0, error_ratio=0.5)
        return notes_module.layer_notes(trial, SimpleNamespace(layers=LAYERS, format=None))

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


def test_weights_in_4_bits_are_named_with_their_share(notes):
    assert notes(QuantizationPlan(four_bits=("m/conv/a;m/conv/b",))) == (
        "all layers with weights are quantized",
        "weights in 4 bits, rounded by their outputs: m/conv (90.0% of the weights)",
    )
