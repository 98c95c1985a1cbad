import math

from pocketvae.benchmarks.results import Check
from pocketvae.benchmarks.tables import used_share, worst_check


def check(value, limit, metric="max_abs"):
    return Check(
        artifact="sampler.float32.onnx",
        target="host",
        output="z",
        metric=metric,
        value=value,
        limit=limit,
        limit_source="test",
        passed=value is None or value <= limit,
        detail="",
    )


def test_a_check_uses_a_share_of_its_limit():
    assert used_share(check(1.0, 4.0)) == 0.25
    assert used_share(check(None, None)) == -1


def test_a_limit_of_nothing_is_used_up_by_anything():
    assert used_share(check(0.0, 0.0)) == 0
    assert used_share(check(1e-9, 0.0)) == math.inf


def test_a_comparison_is_shown_before_a_check_without_a_number():
    assert worst_check([check(None, None, "loads"), check(0.0, 0.0)]).metric == "max_abs"
