import numpy as np
import onnx
import pytest
from mutations.mutation import flip_bit, put_nan, shift_kernel, swap_channels, transpose_kernel
from mutations.onnx_faults import onnx_mutations
from mutations.results import Trial, detection_rate, summarize
from mutations.study import Study
from onnx import numpy_helper

from pocketvae.benchmarks.parity.artifact import noise_problem
from pocketvae.bundle.bundle import open_bundle
from pocketvae.numerics.noise import normal_table


def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("dtype", [np.float32, np.int8, np.float16])
def test_a_flip_changes_one_bit_of_one_element(dtype):
    weights = np.arange(60).reshape(3, 20).astype(dtype)
    changed = flip_bit(weights, rng())
    bits = np.unpackbits(weights.view(np.uint8)) != np.unpackbits(changed.view(np.uint8))
    assert bits.sum() == 1
    assert np.array_equal(weights, np.arange(60).reshape(3, 20).astype(dtype))


def test_swapped_channels_are_two_of_the_longest_axis():
    weights = np.arange(30).reshape(3, 10)
    changed = swap_channels(weights, rng())
    assert sorted(map(tuple, changed.T)) == sorted(map(tuple, weights.T))
    assert (changed != weights).any(axis=0).sum() == 2
    assert swap_channels(np.ones((1, 1)), rng()) is None


def test_what_has_no_such_place_gives_none():
    assert put_nan(np.zeros(4, np.int8), rng()) is None
    assert transpose_kernel(np.zeros((4, 4)), rng(), (1, 2)) is None
    assert transpose_kernel(np.zeros((4, 1, 1, 4)), rng(), (1, 2)) is None
    assert shift_kernel(np.zeros((4, 1, 1, 4)), rng(), (1, 2)) is None
    assert np.isnan(put_nan(np.zeros(4, np.float32), rng())).sum() == 1


def test_every_fault_is_in_the_file_and_it_still_is_a_model(bundles):
    content = bundles.encoder_model(*[np.ones((36, 3), np.float32)] * 2).SerializeToString()
    found = list(onnx_mutations(content, rng(), bit_flips=3))
    assert {item.kind for item in found} == {
        "bit flip",
        "swapped channels",
        "wrong scale",
        "NaN",
        "NaN in one element",
        "mirrored output",
        "missing output",
    }
    for item in found:
        onnx.checker.check_model(onnx.load_from_string(item.content))
        assert item.content != content or item.kind == "swapped channels"


def test_a_table_of_noise_with_one_wrong_bit_is_found():
    table = normal_table()
    tensor = numpy_helper.from_array(table, "t").SerializeToString()
    assert noise_problem(tensor) == ""
    assert "is not the one that the noise is made from" in noise_problem(
        numpy_helper.from_array(flip_bit(table, rng()), "t").SerializeToString()
    )


def trial(effect, *, detected):
    return Trial(artifact="a", kind="k", where="w", effect=effect, detected=detected)


def test_only_what_is_above_its_limit_by_more_than_samples_differ_has_to_be_found():
    trials = [
        trial(None, detected=True),
        trial(2.0, detected=True),
        trial(1.2, detected=False),
        trial(1.01, detected=False),
        trial(0.99, detected=True),
        trial(0.1, detected=False),
        trial(0.5, detected=True),
    ]
    assert detection_rate(trials) == pytest.approx(2 / 3)
    (summary,) = summarize(trials)
    assert (summary.made, summary.exceeding, summary.detected) == (7, 3, 2)
    assert (summary.at_limit, summary.detected_at_limit) == (2, 1)
    assert (summary.below_limit, summary.detected_below_limit) == (2, 1)
    assert detection_rate([trial(0.1, detected=False)]) is None


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["decoder.float32.tflite", "decoder.float32.onnx", "encoder.int8.tflite", "sampler.float32.tflite"]
)
def test_verify_finds_every_fault_of_a_real_artifact(tiny_bundle, name):
    bundle = open_bundle(tiny_bundle)
    trials = list(Study(bundle).mutation_trials(bundle.manifest.artifact(name), seed=0, bit_flips=10))
    assert [item for item in trials if item.exceeds and not item.detected] == []
    assert sum(item.exceeds for item in trials) >= 10
    assert "stale golden" in {item.kind for item in trials if item.detected}


@pytest.mark.slow
def test_clean_runs_raise_no_alarm(tiny_bundle):
    study = Study(open_bundle(tiny_bundle))
    runs = [study.clean_run(seed) for seed in range(6)]
    assert [run.alarms for run in runs] == [()] * 6
    assert {run.fresh for run in runs} == {True, False}
