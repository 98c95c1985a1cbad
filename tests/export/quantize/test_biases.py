"""Biases take back what rounding of weights moves the mean of a layer's sums by."""

import numpy as np
import pytest

from pocketvae.export.quantize import npu_form
from pocketvae.export.quantize.biases import input_means, with_corrected_biases
from pocketvae.export.quantize.npu_form import with_coarse_weights
from pocketvae.formats.tflite.model import constant, read_model

WEIGHTS = np.random.default_rng(0).integers(-127, 128, (72, 4))
# Integers 2, 4 and 6, since z has the scale 0.5.
SAMPLES = {"z": np.repeat(np.array([[1.0], [2.0], [3.0]], np.float32), 4, axis=1)}


@pytest.fixture
def coarse(tflite_models, monkeypatch):
    monkeypatch.setattr(npu_form, "_FEWEST_WEIGHTS", 10)

    def make(bias):
        content = tflite_models.shuffled_dense(WEIGHTS, (1, 2, 3, 12), 2, bias)
        return content, with_coarse_weights(content, "FULLY_CONNECTED", 16)

    return make


def tensor(content, name, dtype):
    model = read_model(content)
    (found,) = [item for item in model.subgraphs[0].tensors if item.name.decode() == name]
    return constant(model, found).view(dtype)


def test_the_mean_of_a_layers_sums_stays(coarse):
    bias = np.arange(72)
    before, after = coarse(bias)
    found = with_corrected_biases(before, after, input_means(before, SAMPLES))
    change = tensor(after, "w", np.int8).reshape(72, 4).astype(int) - WEIGHTS
    assert change.any()
    assert tensor(found, "b", np.int32).tolist() == (bias - 4 * change.sum(axis=1)).tolist()
    assert tensor(found, "w", np.int8).tolist() == tensor(after, "w", np.int8).tolist()


def test_what_has_no_bias_or_the_same_weights_stays(coarse):
    before, after = coarse(None)
    means = input_means(before, SAMPLES)
    assert [values.tolist() for values in means.values()] == [[4.0] * 4]
    assert with_corrected_biases(before, after, means) == after
    assert with_corrected_biases(before, before, means) == before
