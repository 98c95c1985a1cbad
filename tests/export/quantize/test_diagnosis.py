import numpy as np
import pytest

from pocketvae.bundle.manifest import Stratum
from pocketvae.export.quantize.diagnosis import clipped_inputs, diagnose_layers
from pocketvae.export.quantize.search import QuantizationPlan


class Network:
    """One layer of four channels: alive, dead in integers, tipping between two integers, constant in float."""

    activation_bytes = 800

    def __init__(self, stored_type=np.int8):
        self.layers, self.ranges = {"layer": 40}, {"layer": (0.0, 10.0)}
        rows = np.arange(50)
        self._real = np.stack([rows * 0.3, rows * 1e-3, 5 + rows * 1e-3, np.full(50, 2.0)], axis=1)
        self._stored = np.stack([rows, np.zeros(50), 60 + rows % 2, np.full(50, 9)], axis=1).astype(stored_type)

    def float_activations(self, inputs):
        return {"layer": self._real}

    def activations(self, content, inputs):
        return {"layer": self._stored}


GOLDENS = {"z": np.zeros((50, 2), np.float32)}


def diagnose(plan=None, network=None):
    (layer,) = diagnose_layers(network or Network(), b"", plan or QuantizationPlan(), GOLDENS, {"layer": 0.25})
    return layer


def test_channels_that_died_of_quantization_are_named_and_those_dead_before_are_counted():
    layer = diagnose()
    assert (layer.channels, layer.dead_channels, layer.constant_in_float) == (4, (1, 2), 1)
    assert layer.error_ratio_alone == 0.25


def test_a_layer_in_float_has_no_dead_channels_and_clips_nothing():
    layer = diagnose(QuantizationPlan(float_layers=("layer",)), Network(np.float32))
    assert layer.dead_channels == ()
    assert layer.inside_integers == 1.0


def test_a_narrowed_range_covers_less():
    full, half = diagnose(), diagnose(QuantizationPlan(range_scales={"layer": 0.5}))
    assert full.inside_calibrated == half.inside_calibrated == full.inside_integers
    assert full.inside_calibrated == pytest.approx((34 + 150) / 200)
    assert half.inside_integers < full.inside_integers


def test_the_clipped_share_is_given_for_each_kind_of_latent():
    z = np.array([[0.0, 1.0], [2.0, 5.0]], np.float32)
    strata = (Stratum(name="prior", start=0, count=1), Stratum(name="tails", start=1, count=1))
    (found,) = clipped_inputs({"z": (-3.0, 3.0), "unknown": (0.0, 1.0)}, {"z": z}, strata)
    assert (found.input, found.low, found.high) == ("z", -3.0, 3.0)
    assert found.clipped == {"prior": 0.0, "tails": 0.5}


def test_what_rounds_to_the_last_integer_is_not_clipped():
    z = np.array([[3.0 + 6 / 511]], np.float32)
    (found,) = clipped_inputs({"z": (-3.0, 3.0)}, {"z": z}, (Stratum(name="prior", start=0, count=1),))
    assert found.clipped == {"prior": 0.0}


def test_a_network_whose_values_do_not_fit_into_memory_is_not_diagnosed():
    network = Network()
    network.activation_bytes = 2 * 10**9
    assert diagnose_layers(network, b"", QuantizationPlan(), GOLDENS, {}) == ()
