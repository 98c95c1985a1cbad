import re

from pocketvae.reporting.trend_chart import TrendPoint, trend_chart


def point(value, *, passed=True, mark=""):
    text = "FAIL" if value is None else f"{value:g}"
    return TrendPoint(name="result <1>", value=value, text=text, title="a & b", passed=passed, mark=mark)


def heights(chart):
    return [float(y) for y in re.findall(r'<circle cx="[\d.]+" cy="([\d.]+)"', chart)]


def test_larger_values_are_higher_and_changes_are_marked():
    chart = trend_chart([point(1.0), point(1.0), point(3.0, mark="r3")], title="t")
    first, second, third = heights(chart)
    assert first == second > third
    assert chart.count('class="change"') == 1
    assert ">r3</text>" in chart
    assert ">1</text>" in chart
    assert ">3</text>" in chart


def test_what_failed_is_a_cross():
    chart = trend_chart([point(1.0), point(2.0, passed=False)], title="t")
    assert len(heights(chart)) == 1
    assert chart.count('class="failing"') == 1


def test_verdicts_without_numbers_lie_in_one_line():
    chart = trend_chart([point(None), point(None, passed=False)], title="t")
    assert heights(chart) == [95.0]
    assert "polyline" not in chart


def test_a_flat_line_and_a_single_point_have_a_place():
    assert len(set(heights(trend_chart([point(0.0), point(0.0)], title="t")))) == 1
    assert len(heights(trend_chart([point(5.0)], title="t"))) == 1
    assert trend_chart([], title="t") == ""


def test_text_is_escaped():
    chart = trend_chart([point(1.0, mark="<b>")], title="a <t>")
    assert "<b>" not in chart
    assert "result &lt;1&gt;" in chart
    assert 'aria-label="a &lt;t&gt;"' in chart
    assert "a &amp; b" in chart


def edges(chart):
    """The width, and the least and the largest place of a point or text."""
    width = float(re.search(r'viewBox="0 0 ([\d.]+) ', chart)[1])
    return width, [float(x) for x in re.findall(r'(?:c?x)="([\d.]+)"', chart)]


def test_a_narrow_one_is_no_wider_than_a_phone():
    points = [point(float(number), mark="abcdefabcdef" if number in (0, 1, 29) else "") for number in range(30)]
    chart = trend_chart(points, title="t", is_narrow=True)
    width, places = edges(chart)
    assert width <= 340
    assert 0 < min(places) <= max(places) < width
    marks = [float(x) for x in re.findall(r'<text x="([\d.]+)" y="12"', chart)]
    # The second is in the way of the first; its line is there.
    assert len(marks) == 2
    assert min(marks) >= 42
    assert max(marks) <= width - 42
    assert chart.count('class="change"') == 3
