"""Series of figures, and what is said of them."""

from dataclasses import replace

import pytest

from pocketvae.benchmarks.devices import DeviceState
from pocketvae.benchmarks.trends.page import trends_page
from pocketvae.benchmarks.trends.store import DeviceEntry, Entry, Origin
from pocketvae.benchmarks.trends.trends import (
    Filter,
    device_lines,
    failure_lines,
    trends_line,
    trends_of,
    trends_table,
    what_changed,
)
from pocketvae.errors import SpecError

NAME = "decoder.int8.tflite"


def entries(
    values,
    what="image p99_abs",
    *,
    failed=(),
    bundle="faces",
    machine="a CPU, 2 cores",
    artifact=NAME,
    devices=(),
    start=1,
):
    return [
        Entry(
            number=number,
            kind="a verification",
            bundle=bundle,
            added="2026-01-01T00:00:00+00:00",
            origin=Origin(revision=f"r{number}", label="<main>"),
            artifact=artifact,
            target="host",
            what=what,
            machine=machine,
            value=value,
            passed=number not in failed,
            failed_on=tuple(devices) if number in failed else (),
        )
        for number, value in enumerate(values, start=start)
    ]


def device(number, name, *, lost=True, state=DeviceState.LOST, label="<main>"):
    state, reason = (state, "the cable was pulled") if lost else (DeviceState.DONE, "")
    return DeviceEntry(number=number, label=label, name=name, model="pi", state=state, reason=reason)


def only(found):
    [series] = trends_of(found, Filter()).series
    return series


def test_the_newest_change_is_told_with_its_revision():
    assert what_changed(only(entries([0.5, 0.5, 0.5, 0.4, 0.4]))) == "-20.0% since r4"
    assert what_changed(only(entries([0.5, 0.5, 0.5, 0.5]))) == ""
    assert what_changed(only(entries([0.0, 0.0, 0.0, 1.0]))) == "since r4"


def test_results_with_another_label_count_for_nothing():
    old, new = entries([0.5, 0.5]), entries([0.9], failed={3}, start=3)
    branch = [replace(item, origin=Origin(revision="r3", label="branch")) for item in new]
    lost = [device(1, "d1", lost=False), device(3, "d1", label="branch")]
    trends = trends_of([*old, *branch], Filter(label="<main>"), lost)
    assert (trends.results, trends.failing, trends.changed, trends.unfinished) == (2, (), (), ())
    assert trends_of([*old, *branch], Filter(label="branch"), lost).failing
    # Without a label all results are one series, in the order in which they were added.
    assert what_changed(only([*old, *branch])) == "FAILS since r3"
    with pytest.raises(SpecError, match="no result with the label v2; it has: <main>, branch"):
        trends_of([*old, *branch], Filter(label="v2"), lost)


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
    lost = [device(1, "d1")]
    for wanted in (Filter(what="median_s"), Filter(artifact="nothere")):
        for devices in ([], lost):
            with pytest.raises(SpecError, match="has no such figure"):
                trends_of(found, wanted, devices)
    assert len(trends_of([], Filter(), lost).unfinished) == 1


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


def test_what_fails_is_named_with_its_devices_and_when_it_last_passed():
    found = entries([0.5, 0.5, 0.9, 0.9], failed={3, 4}, devices=["d3", "d5"])
    found += entries([1.0, 1.0, 1.0, 2.0], what="image mean_abs", failed={4}, devices=["d3"])
    trends = trends_of(found, Filter())
    since, last = "on d3, d5 since r3 (2026-01-01)", "last passed in r2 (2026-01-01)"
    assert failure_lines(trends) == [f"{NAME} on host FAILS {since}: image p99_abs, image mean_abs; {last}"]
    assert f"<li>{failure_lines(trends)[0]}</li>" in trends_page(trends)
    [never] = failure_lines(trends_of(entries([0.5], failed={1}), Filter()))
    assert never == f"{NAME} on host FAILS since r1 (2026-01-01): image p99_abs; never passed here"


def test_the_newest_result_of_an_artifact_decides():
    gone = entries([None], what="loads", failed={1})
    trends = trends_of(gone + entries([0.5], start=2), Filter())
    assert failure_lines(trends) == []
    assert trends_line(trends) == "0 figures of 2 changed in 2 results"
    assert len(failure_lines(trends_of(gone + entries([0.5], start=2, artifact="other.tflite"), Filter()))) == 1
    again = trends_of(entries([None, None], what="loads", failed={2}) + entries([0.5], start=3), Filter())
    assert what_changed(again.changed[0]) == "failed in r2, not checked since"


def test_machines_fail_apart():
    failed, passed = entries([0.9], failed={1}), entries([0.5], start=2, machine="another CPU, 4 cores")
    assert len(trends_of(failed + passed, Filter()).failing) == 1


@pytest.mark.parametrize(
    ("artifact", "what"), [("golden/z.npy", "content"), ("MODEL_CARD.md", "content"), ("all", "loads")]
)
def test_what_is_written_only_where_it_fails_fails_until_the_next_result(artifact, what):
    broken = entries([None], what=what, artifact=artifact, failed={1})
    assert len(trends_of(broken + entries([0.5]), Filter()).failing) == 1
    assert trends_of(broken + entries([0.5], start=2), Filter()).failing == ()
    assert len(trends_of(broken + entries([0.5], start=2, machine="another CPU, 4 cores"), Filter()).failing) == 1


def test_bundles_are_apart():
    trends = trends_of(entries([0.9, 0.9], failed={1, 2}) + entries([0.5, 0.5], bundle="digits", start=3), Filter())
    assert failure_lines(trends) == [
        f"{NAME} of faces on host FAILS since r1 (2026-01-01): image p99_abs; never passed here"
    ]
    assert trends.changed == ()
    headers, rows = trends_table(trends, everything=True)
    assert (headers[-1], [row[-1] for row in rows]) == ("bundle", ["faces", "digits"])


def test_results_that_were_added_before_bundles_were_kept_go_on():
    old = entries([0.9], bundle="", failed={1})
    [series] = trends_of(old + entries([0.5], start=2), Filter()).series
    assert (series.bundle, len(series.moments), series.fails) == ("faces", 2, False)
    several = entries([0.5], start=2) + entries([0.5], bundle="digits", start=3)
    assert trends_of(old + several, Filter()).failing == ()


def test_a_lost_device_is_told_until_it_runs_again_and_fails_nothing():
    found, lost = entries([0.5]), [device(1, "d1", lost=False), device(1, "d2", lost=True), device(2, "d1", lost=True)]
    trends = trends_of(found, Filter(), lost)
    assert device_lines(trends) == [
        "d1 (pi) was lost in result 2: the cable was pulled; last ran in result 1",
        "d2 (pi) was lost in result 1: the cable was pulled; never ran here",
    ]
    assert trends.failing == ()
    assert trends_line(trends) == "0 figures of 1 changed in 2 results; 2 devices lost"
    page = trends_page(trends)
    assert 'class="verdict incomplete"' in page
    assert f"<li>{device_lines(trends)[0]}</li>" in page
    back = trends_of(found, Filter(), [*lost, device(3, "d1", lost=False), device(3, "d2", lost=False)])
    assert back.unfinished == ()
    assert trends_of(found, Filter(target="ho*"), lost).unfinished == ()


def test_a_history_of_lost_devices_alone_is_shown():
    trends = trends_of([], Filter(), [device(1, "d1", lost=True)])
    assert trends_line(trends) == "0 figures of 0 changed in 1 result; 1 device lost"


def test_a_device_that_ran_a_part_is_told():
    trends = trends_of(entries([0.5]), Filter(), [device(1, "d1", state=DeviceState.PARTIAL)])
    assert device_lines(trends) == ["d1 (pi) ran only a part in result 1: the cable was pulled"]
    assert trends_line(trends) == "0 figures of 1 changed in 1 result; 1 device able to run only a part"
    assert trends.failing == ()
