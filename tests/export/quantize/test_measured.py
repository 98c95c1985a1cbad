import math
from types import SimpleNamespace

import numpy as np
import pytest

from pocketvae.export.quantize import measured
from pocketvae.export.quantize.measured import error_name, error_ratio_of_errors, errors_of, kernel_spread
from pocketvae.numerics.tolerance import Tolerance
from pocketvae.runtimes.base import Optimizations
from pocketvae.spec import Format
from pocketvae.vae_spec import VaeSpec, vector_latent


def limit(metric, value):
    return Tolerance(output="image", metric=metric, limit=value, source="test")


LIMITS = (limit("max_abs", 0.5), limit("mean_abs", 0.1), limit("rmse", 0.0))


@pytest.mark.parametrize(
    ("errors", "ratio"),
    [
        ((0.25, 0.09, 0.0), 0.9),
        ((1.0, 0.01, 0.0), 2.0),
        ((0.0, 0.0, 0.0), 0.0),
        # Nothing is allowed, so that anything is infinitely too much.
        ((0.0, 0.0, 1e-9), math.inf),
        ((math.nan, 0.01, 0.0), math.inf),
        ((0.25, math.nan, 0.0), math.inf),
        ((0.25, 0.01, math.nan), math.inf),
    ],
)
@pytest.mark.parametrize("order", [1, -1])
def test_the_largest_ratio_counts_whatever_the_order(errors, ratio, order):
    named = {error_name(one): value for one, value in zip(LIMITS, errors, strict=True)}
    assert error_ratio_of_errors(named, LIMITS[::order]) == pytest.approx(ratio)


def test_errors_are_of_the_goldens_by_output_and_metric():
    golden = np.zeros((2, 2, 2, 1), np.float32)
    vae = VaeSpec(data_shape=(2, 2, 1), latents=vector_latent(1), data_range=(-1.0, 1.0))
    source = SimpleNamespace(golden_outputs={"image": golden}, vae=vae, observed=None, anomalous=None)
    found = golden.copy()
    found[0, 0, 0, 0] = -1.5 / 255
    errors = errors_of({"image": found}, source, (limit("max_abs", 1.0), limit("share_off_by_1", 1.0)))
    # The range has a span of 2, so that a grey step is 2 / 255.
    assert errors == {"image max_abs": pytest.approx(1.5 / 255), "image share_off_by_1": 0.0}


def test_kernels_are_as_far_apart_as_their_most_different_value(monkeypatch):
    outputs = {
        Optimizations.ON: {"image": np.array([1.0, 2.0, 3.0], np.float32), "z": np.zeros(2, np.float32)},
        Optimizations.OFF: {"image": np.array([1.0, 2.5, 3.1], np.float32), "z": np.zeros(2, np.float32)},
    }
    monkeypatch.setattr(measured, "run_content", lambda *arguments: outputs[arguments[-1]])
    vae = VaeSpec(data_shape=(1, 3, 1), latents=vector_latent(1))
    source = SimpleNamespace(golden_inputs={"z": np.zeros((3, 1), np.float32)}, vae=vae)
    assert kernel_spread(Format.TFLITE, b"", source) == {"image": 0.5, "z": 0.0}
