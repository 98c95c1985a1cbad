import math

import numpy as np
import pytest

from pocketvae.benchmarks.latency.analyse.verdicts import LEVEL, MARGIN, judge_instructions, judge_pairs, judge_results
from pocketvae.benchmarks.latency.results import Verdict

ALPHA = LEVEL / (31 * 3)


def judge(log_ratios):
    return judge_pairs("a", 1, log_ratios, margin=MARGIN, alpha=ALPHA)


def launches(rng, slowdown, noise, count=16):
    # A launch now and then is far off, as on a machine that others use.
    wild = rng.random(count) < 0.05
    return np.log1p(slowdown) + rng.normal(0, noise, count) + wild * rng.exponential(0.3, count) * rng.choice([-1, 1])


def test_identical_files_are_never_called_regressed():
    rng = np.random.default_rng(0)
    verdicts = [judge(launches(rng, 0.0, rng.uniform(0.005, 0.05))).verdict for _ in range(3100)]
    assert Verdict.REGRESSED not in verdicts
    assert verdicts.count(Verdict.PASS) > 2000


def test_a_slowdown_of_the_margin_is_called_regressed_no_more_often_than_the_level():
    rng = np.random.default_rng(1)
    wrong = sum(judge(launches(rng, MARGIN, 0.02)).verdict is Verdict.REGRESSED for _ in range(1000))
    assert wrong <= 2


def test_a_slowdown_of_ten_per_cent_is_caught():
    rng = np.random.default_rng(2)
    caught = 0
    for _ in range(200):
        drawn = launches(rng, 0.1, 0.015, count=40)
        caught += any(judge(drawn[:look]).verdict is Verdict.REGRESSED for look in (16, 24, 40))
    assert caught >= 195


def test_a_slowdown_of_ten_per_cent_never_passes():
    rng = np.random.default_rng(3)
    assert all(judge(launches(rng, 0.1, 0.04)).verdict is not Verdict.PASS for _ in range(500))


def test_noise_is_inconclusive_and_says_what_could_have_been_found():
    rng = np.random.default_rng(4)
    judged = judge(rng.normal(0.02, 0.1, 16))
    assert judged.verdict is Verdict.INCONCLUSIVE
    assert judged.minimum_detectable > 1.08
    assert judged.ratio.interval.low < 1 < judged.ratio.interval.high
    assert judged.reason.startswith("between ")


def test_the_smallest_detectable_slowdown_is_where_the_verdict_changes():
    log_ratios = np.random.default_rng(5).normal(0, 0.01, 16)
    base = judge(log_ratios)
    found = math.log(base.minimum_detectable / base.ratio.value)
    assert judge(log_ratios + found + 1e-9).verdict is Verdict.REGRESSED
    assert judge(log_ratios + found - 1e-9).verdict is not Verdict.REGRESSED


def results(slowdown, machine):
    rng = np.random.default_rng(6)
    before = rng.normal(0, 0.005, 10)
    after = np.log1p(slowdown) + rng.normal(0, 0.005, 10)
    return judge_results("a", 1, before, after, margin=0.1, alpha=0.001, machine=machine)


def test_results_alone_are_judged_by_a_larger_margin():
    assert results(0.05, 1.0).verdict is Verdict.PASS
    assert results(0.3, 1.0).verdict is Verdict.REGRESSED


def test_a_slower_machine_is_no_slower_file():
    judged = results(0.3, 1.25)
    assert judged.verdict is not Verdict.REGRESSED
    assert "the machine itself was 25.0% slower" in judged.reason


def test_a_slowdown_of_the_margin_passes_at_most_one_time_in_twenty_however_often_it_is_looked_at():
    rng = np.random.default_rng(7)
    passed = 0
    for _ in range(400):
        drawn = rng.normal(np.log1p(MARGIN), 0.02, 40)
        passed += any(judge(drawn[:look]).verdict is Verdict.PASS for look in (16, 24, 40))
    assert 0.02 <= passed / 400 <= 0.055


@pytest.mark.parametrize(("slowdown", "verdict"), [(1.0299, Verdict.PASS), (1.0301, Verdict.REGRESSED)])
def test_the_margin_is_of_the_ratio_and_not_of_its_logarithm(slowdown, verdict):
    assert judge([math.log(slowdown)] * 16).verdict is verdict


def test_as_many_pairs_are_told_as_the_smaller_result_has():
    values = list(np.linspace(0, 0.01, 12))
    for before, after in ((values, values[:10]), (values[:10], values)):
        assert judge_results("a", 1, before, after, margin=0.1, alpha=0.001, machine=1.0).pairs == 10


@pytest.mark.parametrize(
    ("after", "verdict"),
    [
        (1_009, Verdict.PASS),
        (1_010, Verdict.PASS),
        (1_011, Verdict.REGRESSED),
        (1_020, Verdict.REGRESSED),
        (500, Verdict.PASS),
    ],
)
def test_instructions_have_no_noise(after, verdict):
    judged = judge_instructions("a", 1_000, after)
    assert judged.verdict is verdict
    assert judged.ratio.value == after / 1_000
