import math
from dataclasses import replace

import pytest

from pocketvae.benchmarks.not_run import NotRun
from pocketvae.benchmarks.parity.results import CONTENT, Check, Verdict, VerifyResult
from pocketvae.benchmarks.parity.tables import (
    check_error_ratio,
    format_value,
    verdict_line,
    verify_summary,
    verify_table,
    worst_check,
)
from pocketvae.documents import decode, encode
from pocketvae.integer_share import IntegerShare
from pocketvae.outputs import Meaning, Output
from pocketvae.system.environment import current_environment
from pocketvae.vae_spec import DataKind


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


def image(span):
    return Output(name="image", data=DataKind.IMAGE, shape=(8, 8, 1), data_range=(0.0, span))


@pytest.mark.parametrize(("value", "span"), [(0.02, 1.0), (0.04, 2.0), (5.1, 255.0)])
def test_a_pixel_s_error_is_shown_in_steps_of_its_own_range(value, span):
    assert format_value(value, replace(check(value, 9.0), output="image"), image(span)) == "5.10/255"


def test_a_value_and_its_limit_have_one_unit():
    small = replace(check(5e-7, 1e-3), output="image")
    assert [format_value(number, small, image(1.0)) for number in (small.value, small.limit)] == [
        "0.0001/255",
        "0.26/255",
    ]
    smaller = replace(check(5e-7, 1e-5), output="image")
    assert [format_value(number, smaller, image(1.0)) for number in (smaller.value, smaller.limit)] == [
        "5.0e-07",
        "1.0e-05",
    ]


def test_a_check_uses_a_share_of_its_limit():
    assert check_error_ratio(check(1.0, 4.0)) == 0.25
    assert check_error_ratio(check(None, None)) == -1


def test_a_limit_of_nothing_is_used_up_by_anything():
    assert check_error_ratio(check(0.0, 0.0)) == 0
    assert check_error_ratio(check(1e-9, 0.0)) == math.inf


def test_a_comparison_is_shown_before_a_check_without_a_number():
    assert worst_check([check(None, None, "loads"), check(0.0, 0.0)]).metric == "max_abs"


def test_the_share_of_integers_stands_before_the_verdict_where_it_is_known():
    share = IntegerShare(operators=4, integer_operators=1, multiply_adds=200, integer_multiply_adds=114)
    result = VerifyResult(
        passed=True,
        bundle="test",
        environment=current_environment(),
        checks=(check(0.5, 1.0), replace(check(2.0, 1.0), artifact="other.float32.onnx", passed=False, detail="wrong")),
        integers={"sampler.float32.onnx": share},
    )
    headers, rows = verify_table(result)
    assert headers[-2:] == ["in integers", "verdict"]
    assert [row[-2:] for row in rows] == [["57%, 1/4", "pass"], ["", "FAIL"]]
    headers, rows, problems = verify_summary(result)
    assert headers == ["artifact", "target", "worst", "value", "limit", "in integers", "verdict"]
    assert problems == ["other.float32.onnx on host: z max_abs: wrong"]
    assert "in integers" not in verify_table(replace(result, integers={}))[0]


def test_a_damaged_compiled_file_is_no_artifact():
    name = "compiled/hexagon-v75/decoder.int8.onnx"
    damaged = replace(check(None, None, CONTENT), artifact=name, passed=False, detail="was changed")
    result = VerifyResult(
        passed=False, bundle="test", environment=current_environment(), checks=(damaged, check(0.5, 1.0))
    )
    assert verdict_line(result) == f"1 of 1 artifacts match the original; 1 other file is damaged: {name}"


def test_every_output_of_a_decoder_is_shown_in_its_own_unit():
    half = Output(name="half", data=DataKind.IMAGE, shape=(4, 4, 1), data_range=(0.0, 2.0))
    noise = Output(name="noise", data=DataKind.IMAGE, shape=(8, 8, 1), meaning=Meaning.LOG_VAR, data_range=(-9.0, 1.0))
    checks = tuple(
        replace(check(0.1, 1.0, "mean_abs"), artifact=f"{name}.x", output=name) for name in ("half", "noise")
    )
    result = VerifyResult(
        passed=True, bundle="b", environment=current_environment(), checks=checks, more_outputs=(half, noise)
    )
    _, rows = verify_table(result)
    assert [row[2:5] for row in rows] == [
        ["half mean_abs", "12.75/255", "127.50/255"],
        ["noise mean_abs", "1 % of the range", "10 % of the range"],
    ]
    assert result.unit_of("z") is None


def test_what_could_not_run_is_incomplete_and_not_failed():
    gone = NotRun(artifact="other.float32.onnx", target="host", reason="no runtime")
    result = VerifyResult(
        passed=False, bundle="b", environment=current_environment(), checks=(check(0.5, 1.0),), not_run=(gone,)
    )
    assert result.verdict is Verdict.INCOMPLETE
    assert [row[-1] for row in verify_table(result)[1]] == ["pass", "incomplete"]
    said = "1 of 2 artifacts match the original; 1 could not be run"
    assert verdict_line(result) == f"Incomplete: no check failed; {said}"
    failed = replace(result, checks=(*result.checks, replace(check(2.0, 1.0), passed=False)))
    assert failed.verdict is Verdict.FAILED
    assert replace(result, not_run=(), passed=True).verdict is Verdict.PASSED
    # A document cannot say something else than its checks.
    forged = encode(failed).replace('"verdict": "FAIL"', '"verdict": "pass"')
    assert decode(VerifyResult, forged, "result").verdict is Verdict.FAILED
