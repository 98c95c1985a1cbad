import re
from dataclasses import replace

import pytest

from pocketvae.benchmarks import BenchResult, Check, Constraints, VerifyResult, recommend
from pocketvae.benchmarks.latency.results import BenchRow, Interval, Paced
from pocketvae.benchmarks.latency.show.charts import is_best, trade_off_chart
from pocketvae.benchmarks.parity.results import Measurement
from pocketvae.spec import Component
from pocketvae.system.environment import current_environment

NOWHERE = Interval(low=0.0, high=1.0)


def row(artifact, kilobytes, median_us, **values):
    median_s = median_us * 1e-6
    known = {
        "artifact": artifact, "target": "host", "threads": 1, "batch": 1, "size_bytes": kilobytes * 1000,
        "load_s": 0.0, "first_s": median_s, "first_calls_s": (median_s,), "median_s": median_s,
        "median_interval_s": NOWHERE, "p90_s": median_s, "p90_interval_s": NOWHERE, "p99_s": median_s,
        "p99_interval_s": NOWHERE, "mad_s": 0.0, "loops": 1, "rounds": 1, "values_s": (median_s,), "cpu_share": 1.0,
        "peak_rss_bytes": 1, "baseline_rss_bytes": 1, "speedup_vs_original": None, "speedups": {}, "warnings": (),
    }  # fmt: skip
    return BenchRow(**{**known, **values})


def check(artifact, grey_steps, *, passed=True):
    return Check(
        artifact=artifact, target="host", output="image", metric="max_abs", value=grey_steps / 255, limit=4 / 255,
        limit_source="", passed=passed, detail="" if passed else "9 is above the limit of 4",
    )  # fmt: skip


ROWS = (
    row("decoder.float32.tflite", 1700, 30),
    row("decoder.float16.tflite", 850, 31),
    row("decoder.int8.tflite", 480, 7),
    row("decoder.dynamic_int8.tflite", 450, 12),
    row("encoder.float32.tflite", 10, 1),
)
CHECKS = (
    check("decoder.float32.tflite", 0.0001),
    check("decoder.float16.tflite", 0.2),
    check("decoder.int8.tflite", 3.8),
    check("decoder.dynamic_int8.tflite", 2.7),
)


def ask(rows=ROWS, checks=CHECKS, figures=(), image_span=1.0, **constraints):
    environment = current_environment()
    bench = BenchResult(bundle="b", environment=environment, results=rows)
    verify = VerifyResult(
        passed=True, bundle="b", environment=environment, checks=checks, figures=figures, image_span=image_span
    )
    return recommend(bench, verify, Constraints(**constraints))


def test_what_nobody_sees_counts_as_equal_and_the_smaller_file_wins():
    answer = ask()
    assert answer.artifact == "decoder.float16.tflite"
    assert "deviates by at most 0.2 of 255 grey steps in any pixel (nobody sees that)" in answer.why
    assert answer.rejected == ()


def test_of_what_is_alike_and_hardly_larger_the_fastest_wins():
    rows = tuple(replace(each, size_bytes=455_000) if "decoder.int8" in each.artifact else each for each in ROWS)
    assert ask(rows=rows, max_bytes=500_000).artifact == "decoder.int8.tflite"


def test_what_comes_much_closer_wins_over_the_smaller_and_faster():
    checks = (*CHECKS[:2], check("decoder.int8.tflite", 1.9), CHECKS[3])
    assert ask(checks=checks, max_bytes=500_000).artifact == "decoder.int8.tflite"


def test_nats_are_no_grey_steps():
    elbo = replace(check("decoder.dynamic_int8.tflite", 0), metric="elbo_change", value=0.09)
    answer = ask(checks=(*CHECKS, elbo), max_bytes=500_000)
    assert answer.artifact == "decoder.dynamic_int8.tflite"
    assert "deviates by at most 2.7 of 255 grey steps" in answer.why


def figures(output, metric, values):
    return tuple(
        Measurement(artifact=name, target="host", output=output, stratum="", metric=metric, value=value)
        for name, value in values.items()
    )


def test_images_are_ranked_by_the_percentile_where_all_have_it():
    # By its largest pixel float32 would look worse than an int8 file that was checked by its percentile.
    names = [each.artifact for each in ROWS[:4]]
    checks = (check(names[0], 40), *CHECKS[1:])
    assert ask(checks=checks).artifact == "decoder.float16.tflite"
    percentiles = figures("image", "p99_abs", dict(zip(names, (0.1 / 255, 9 / 255, 9 / 255, 9 / 255), strict=True)))
    answer = ask(checks=checks, figures=percentiles)
    assert answer.artifact == "decoder.float32.tflite"
    assert "at most 0.1 of 255 grey steps in 99 of 100 pixels (nobody sees that)" in answer.why


def test_grey_steps_are_of_the_image_s_own_range():
    # 2.7/255 of an image from 0 to 255 is a hundredth of a grey step.
    answer = ask(image_span=255.0, max_bytes=500_000)
    assert answer.artifact == "decoder.dynamic_int8.tflite"
    assert "at most 0.011 of 255 grey steps in any pixel (nobody sees that)" in answer.why


ENCODERS = (row("encoder.float32.tflite", 100, 30), row("encoder.int8.tflite", 30, 9))


def posterior(artifact, metric, value, output="posterior"):
    return replace(check(artifact, 0), output=output, metric=metric, value=value)


def test_encoders_are_compared_by_the_divergence_of_their_posteriors():
    names = [each.artifact for each in ENCODERS]
    checks = (posterior(names[0], "max_abs", 0.03, "z_mean"), posterior(names[1], "kl_mean", 0.02))
    values = figures("posterior", "kl_mean", dict(zip(names, (1e-4, 0.02), strict=True)))
    answer = ask(rows=ENCODERS, checks=checks, figures=values, component=Component.ENCODER)
    assert answer.artifact == "encoder.float32.tflite"
    assert "deviates by 0.0001 nats on average (nobody sees that)" in answer.why
    alone = ask(rows=ENCODERS[:1], checks=checks[:1], component=Component.ENCODER)
    assert "deviates by at most 0.03 in z_mean (none that would do is closer" in alone.why


def test_of_what_has_no_figure_no_deviation_is_told():
    rows = (row("prior.float32.tflite", 100, 30), row("prior.float16.tflite", 50, 30))
    checks = tuple(posterior(each.artifact, "max_abs", 0.5, "z") for each in rows)
    answer = ask(rows=rows, checks=checks, component=Component.PRIOR)
    assert answer.artifact == "prior.float16.tflite"
    assert answer.why.startswith("50 kB, nine calls in ten within ")
    assert answer.why.endswith(". It passes every check; 1 other file would do too.")


@pytest.mark.parametrize("span", [1.0, 255.0])
def test_an_artifact_without_any_error_is_drawn_too(span):
    rows = tuple(replace(each, values_s=(1e-5, 2e-5)) for each in ROWS[:2])
    verify = VerifyResult(
        passed=True,
        bundle="b",
        environment=current_environment(),
        checks=(check(rows[0].artifact, 0.0), check(rows[1].artifact, 0.2 * span)),
        image_span=span,
    )
    chart = trade_off_chart(BenchResult(bundle="b", environment=current_environment(), results=rows), verify).svg
    assert chart.count("<circle") == 2
    assert "errors below 0.001 are drawn at 0.001" in chart
    heights = [float(match) for match in re.findall(r'cy="([0-9.]+)"', chart)]
    assert max(heights) == 372.0  # the axis's lower end, where 0.001 is


@pytest.mark.parametrize(
    ("constraints", "artifact"),
    [
        ({"max_bytes": 500_000}, "decoder.dynamic_int8.tflite"),
        ({"max_bytes": 500_000, "target_s": 10e-6}, "decoder.int8.tflite"),
        ({"target_s": 1e-6}, None),
        ({"component": Component.ENCODER}, None),
    ],
)
def test_limits_come_before_looks(constraints, artifact):
    assert ask(**constraints).artifact == artifact


def test_every_rejection_has_its_reason():
    reasons = {item.artifact: item.reason for item in ask(max_bytes=500_000, target_s=10e-6).rejected}
    assert reasons["decoder.float32.tflite"] == "its 1700 kB are more than 500 kB"
    assert "one call in ten takes 0.012 ms or more, but the target is 0.01 ms" in reasons["decoder.dynamic_int8.tflite"]


def test_what_fails_parity_is_never_recommended():
    failed = (*CHECKS[:2], check("decoder.int8.tflite", 9, passed=False), CHECKS[3])
    answer = ask(checks=failed, max_bytes=500_000, target_s=10e-6)
    assert answer.artifact is None
    assert "passes parity and meets the limits" in answer.why
    assert any("fails parity: image max_abs 9 is above" in item.reason for item in answer.rejected)


def test_what_was_not_verified_is_never_recommended():
    answer = ask(checks=CHECKS[:1])
    assert answer.artifact == "decoder.float32.tflite"
    assert {item.reason for item in answer.rejected} == {"it was not verified"}


def test_the_slowest_pace_counts():
    paced = Paced(calls_per_s=10.0, median_s=1e-3, median_interval_s=NOWHERE, p90_s=6e-3, p99_s=6e-3, values_s=(6e-3,))
    rows = tuple(replace(each, paced=(paced,)) if "float16" in each.artifact else each for each in ROWS)
    assert ask(rows=rows, target_s=5e-3).artifact == "decoder.float32.tflite"


def test_nothing_was_timed():
    assert ask(rows=()).artifact is None


def test_pareto_optima():
    costs = [(1.0, 1.0), (2.0, 0.5), (2.0, 2.0), (1.0, 1.0)]
    assert [is_best(cost, costs) for cost in costs] == [True, True, False, True]
