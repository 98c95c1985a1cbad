"""The form of a file for an Ethos-U, with an estimate by rule in place of vela."""

from types import SimpleNamespace

import numpy as np
import pytest

from pocketvae.export.quantize import npu_form as module
from pocketvae.export.quantize.npu_form import npu_form, with_coarse_weights, without_depth_to_space
from pocketvae.formats.tflite.operators import read_operators
from pocketvae.numerics.tolerance import Tolerance
from pocketvae.portability.ethos_u import EthosU
from pocketvae.runtimes.opening import open_runner
from pocketvae.spec import Format

CHIP = EthosU.parse("ethos-u55-128")
SOURCE = SimpleNamespace(calibration={"z": np.zeros(4)}, vae=SimpleNamespace(data_shape=(4, 6, 3)))
LIMIT = (Tolerance(output="image", metric="max_abs", limit=1.0, source="test"),)


def file(tflite_models, shape=(1, 2, 3, 12), block=2, inputs=4):
    weights = np.random.default_rng(0).integers(-127, 128, (int(np.prod(shape)), inputs))
    return tflite_models.shuffled_dense(weights, shape, block)


def operators(content):
    return [operator.name for operator in read_operators(content)[0]]


def outputs(content):
    with open_runner(content, Format.TFLITE) as runner:
        return runner.run({"z": np.array([[3, -7, 11, 2]], np.int8)})["image"]


@pytest.mark.parametrize(("shape", "block"), [((1, 2, 3, 12), 2), ((1, 3, 2, 9), 3), ((1, 1, 4, 8), 2)])
def test_the_same_values_are_moved_by_other_operators(tflite_models, shape, block):
    content = file(tflite_models, shape, block)
    moved = without_depth_to_space(content)
    assert operators(moved) == ["FULLY_CONNECTED", "RESHAPE", "RESHAPE", "TRANSPOSE", "RESHAPE"]
    assert np.array_equal(outputs(moved), outputs(content))
    assert len(np.unique(outputs(content))) > 5
    assert without_depth_to_space(moved) == moved


def test_large_weights_are_rounded_and_small_ones_stay(tflite_models, monkeypatch):
    content = file(tflite_models)
    assert with_coarse_weights(content, "FULLY_CONNECTED", 16) == content
    monkeypatch.setattr(module, "_FEWEST_WEIGHTS", 10)
    coarse = with_coarse_weights(content, "FULLY_CONNECTED", 16)
    assert with_coarse_weights(coarse, "FULLY_CONNECTED", 16) == coarse
    assert with_coarse_weights(content, "CONV_2D", 16) == content
    assert outputs(coarse).shape == outputs(content).shape
    assert not np.array_equal(outputs(coarse), outputs(content))


@pytest.mark.parametrize(("coarsest", "step"), [(20, 16), (8, 8), (2, 0)])
def test_the_coarsest_weights_within_the_budget_are_taken(tflite_models, monkeypatch, coarsest, step):
    content = file(tflite_models)
    steps = {}

    def coarse(given, kind, size):
        if kind != "FULLY_CONNECTED":
            return given
        steps[made := given + bytes([size])] = size
        return made

    def estimate(chip, given, name):
        left = ("image",) if given == content else ()
        return SimpleNamespace(left=left, cycles=1000 - 10 * steps.get(given, 0))

    same = SimpleNamespace(apply=lambda after, step: after)
    monkeypatch.setattr(module, "Compensation", lambda given, samples: same)
    monkeypatch.setattr(module, "with_coarse_weights", coarse)
    monkeypatch.setattr(module, "compile_for", estimate)
    monkeypatch.setattr(module, "_keeps_budget", lambda given, source, limits: steps[given] <= coarsest)
    found = npu_form(content, "d.tflite", (CHIP,), SOURCE, LIMIT)
    assert f"0 operators on the CPU in place of 1, {1000 - 10 * step} cycles in place of 1000" in found.note.replace(
        ",0", "0"
    )
    assert ("multiples of" in found.note) == bool(step)
    assert steps.get(found.content, 0) == step


def test_a_file_that_is_part_of_another_keeps_its_weights(tflite_models, monkeypatch):
    content = file(tflite_models)
    monkeypatch.setattr(
        module, "compile_for", lambda chip, given, name: SimpleNamespace(left=(), cycles=len(operators(given)))
    )
    assert npu_form(content, "d.tflite", (CHIP,), None, ()) is None
