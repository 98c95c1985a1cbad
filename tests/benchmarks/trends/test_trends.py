"""Series of figures, and what is said of them."""

import pytest

from pocketvae.benchmarks.trends.page import trends_page
from pocketvae.benchmarks.trends.store import Entry, Origin
from pocketvae.benchmarks.trends.trends import Filter, trends_line, trends_of, trends_table, what_changed
from pocketvae.errors import SpecError

NAME = "decoder.int8.tflite"


def entries(values, what="image p99_abs", *, failed=(), machine="a CPU, 2 cores", artifact=NAME):
    return [
        Entry(
            number=number,
            added="2026-01-01T00:00:00+00:00",
            origin=Origin(revision=f"r{number}", label="<main>"),
            artifact=artifact,
            target="host",
            what=what,
            machine=machine,
            value=value,
            passed=number not in failed,
        )
        for number, value in enumerate(values, start=1)
    ]


def only(found):
    [series] = trends_of(found, Filter()).series
    return series


def test_the_newest_change_is_told_with_its_revision():
    assert what_changed(only(entries([0.5, 0.5, 0.5, 0.4, 0.4]))) == "-20.0% since r4"
    assert what_changed(only(entries([0.5, 0.5, 0.5, 0.5]))) == ""
    assert what_changed(only(entries([0.0, 0.0, 0.0, 1.0]))) == "since r4"


def test_a_verdict_that_changed_comes_before_the_figure():
    series = only(entries([0.5, 0.5, 0.5, 0.9], failed={4}))
    assert what_changed(series) == "FAILS since r4"
    assert what_changed(only(entries([0.9, 0.9, 0.5], failed={1, 2}))) == "passes since r3"


def test_a_check_without_a_number_has_a_verdict():
    series = only(entries([None, None, None], what="loads", failed={3}))
    assert series.has_changed
    assert what_changed(series) == "FAILS since r3"
    _, [row] = trends_table(trends_of(entries([None, None], what="loads"), Filter()), everything=True)
    assert row[4:6] == ["pass", "pass"]


def test_levels_of_times_are_compared_not_single_values():
    values = [1.0e-5, 1.01e-5, 0.99e-5, 1.0e-5, 1.02e-5, 1.3e-5, 1.29e-5, 1.31e-5, 1.3e-5, 1.28e-5]
    [series] = trends_of(entries(values, what="median_s"), Filter()).series
    assert what_changed(series) == "+30.0% since r6"
    _, [row] = trends_table(trends_of(entries(values, what="median_s"), Filter()), everything=False)
    assert row[3:6] == ["10", "10.0 µs", "12.8 µs"]


def test_machines_are_apart():
    found = entries([1.0, 1.0, 1.0]) + entries([2.0, 2.0, 2.0], machine="another CPU, 4 cores")
    trends = trends_of(found, Filter())
    assert len(trends.series) == 2
    assert trends.changed == ()
    headers, rows = trends_table(trends, everything=True)
    assert headers[-1] == "machine"
    assert {row[-1] for row in rows} == {"a CPU, 2 cores", "another CPU, 4 cores"}


def test_filters_are_patterns():
    found = entries([1.0]) + entries([1.0], artifact="encoder.int8.tflite")
    assert [item.artifact for item in trends_of(found, Filter(artifact="enc*")).series] == ["encoder.int8.tflite"]
    with pytest.raises(SpecError, match="has no such figure"):
        trends_of(found, Filter(what="median_s"))


def test_the_line_counts():
    found = entries([0.5, 0.5, 0.9], failed={3}) + entries([1.0, 1.0, 1.0], what="image mean_abs")
    assert trends_line(trends_of(found, Filter())) == "1 figure of 2 changed in 3 results; 1 fails now"


def test_the_page_has_a_chart_of_each_change_and_escapes_what_others_wrote():
    found = entries([0.5, 0.5, 0.9], failed={3}) + entries([1.0, 1.0, 1.0], what="image mean_abs")
    page = trends_page(trends_of(found, Filter()))
    assert page.count("<figure>") == 1
    # One of the two is for narrow screens.
    assert page.count("<svg") == 2
    assert page.count('class="failing"') == 2
    assert page.count('class="change"') == 2
    assert "r3, &lt;main&gt;, 0.9" in page
    assert "image mean_abs" in page
