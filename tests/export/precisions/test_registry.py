from types import SimpleNamespace

import numpy as np
import pytest

from pocketvae.export.budgets import base_tolerances
from pocketvae.export.original.goldens import NoiseFloor
from pocketvae.export.precisions.base import few_samples
from pocketvae.export.precisions.registry import export_of
from pocketvae.spec import ArtifactSpec, Component, Format, Precision, unsupported_reason

FLOOR = NoiseFloor(float32={"image": 1e-6}, float16={"image": 1e-4})


@pytest.mark.parametrize("precision", Precision)
def test_every_precision_has_a_module_that_can_be_held_to_limits(precision):
    formats = [format for format in Format if unsupported_reason(format, precision) is None]
    assert formats
    for format in formats:
        spec = ArtifactSpec(component=Component.DECODER, precision=precision, format=format)
        limits = base_tolerances(spec, FLOOR, observed_values=784)
        assert limits[0].metric == ("max_abs" if precision.is_float else "p99_abs")


def test_what_runs_like_another_precision_is_timed_as_one_that_is_timed_itself():
    timed = {precision: export_of(precision).timed_as for precision in Precision}
    assert timed[Precision.FLOAT16] is Precision.FLOAT32
    assert timed[Precision.INT8_IO] is Precision.INT8
    assert all(timed[other] is None for other in timed.values() if other is not None)


def test_onnx_finds_the_ranges_of_dynamic_int8_over_all_samples_of_a_call():
    mixing = [(p, f) for p in Precision for f in Format if export_of(p).mixes_samples(f)]
    assert mixing == [(Precision.DYNAMIC_INT8, Format.ONNX)]


def test_a_file_that_is_only_timed_is_calibrated_with_some_of_the_samples():
    source = SimpleNamespace(calibration={"z": np.arange(100)})
    assert few_samples(source)["z"].tolist() == list(range(16))
