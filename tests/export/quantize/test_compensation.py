"""Coarser weights that make up for what rounding changes."""

import numpy as np
import pytest

from pocketvae.export.quantize import npu_form
from pocketvae.export.quantize.compensation import Compensation
from pocketvae.export.quantize.npu_form import with_coarse_weights
from pocketvae.formats.tflite.model import constant, read_model

STEP = 16
WEIGHTS = np.random.default_rng(0).integers(-110, 111, (72, 4))
# Three of the four inputs nearly go together; z has the scale 0.5.
SAMPLES = np.random.default_rng(1).integers(-20, 21, (40, 1)) * np.array([1, 1, 1, 0])
SAMPLES = SAMPLES + np.random.default_rng(2).integers(-2, 3, (40, 4)) + 10


@pytest.fixture
def coarse(tflite_models, monkeypatch):
    monkeypatch.setattr(npu_form, "_FEWEST_WEIGHTS", 10)

    def make(bias):
        content = tflite_models.shuffled_dense(WEIGHTS, (1, 2, 3, 12), 2, bias)
        return content, with_coarse_weights(content, "FULLY_CONNECTED", STEP)

    return make


def tensor(content, name, dtype):
    model = read_model(content)
    (found,) = [item for item in model.subgraphs[0].tensors if item.name.decode() == name]
    return constant(model, found).view(dtype)


def weights(content):
    return tensor(content, "w", np.int8).reshape(72, 4).astype(int)


def compensation(content):
    return Compensation(content, {"z": (SAMPLES * 0.5).astype(np.float32)})


def test_sums_change_less_than_with_every_weight_rounded_by_itself(coarse):
    before, after = coarse(np.arange(72))
    found = weights(compensation(before).apply(after, STEP))
    assert not np.any(found % STEP)
    centred = SAMPLES - SAMPLES.mean(axis=0)
    errors = [np.abs(centred @ (each - WEIGHTS).T).mean() for each in (found, weights(after))]
    assert errors[0] < 0.7 * errors[1]


def test_the_mean_of_a_layers_sums_stays(coarse):
    before, after = coarse(np.arange(72))
    found = compensation(before).apply(after, STEP)
    moved = (weights(found) - WEIGHTS) @ SAMPLES.mean(axis=0)
    assert tensor(found, "b", np.int32).tolist() == np.rint(np.arange(72) - moved).astype(int).tolist()


def test_the_same_weights_stay(coarse):
    before, after = coarse(None)
    assert compensation(before).apply(before, STEP) == before
    assert not np.any(weights(compensation(before).apply(after, STEP)) % STEP)
