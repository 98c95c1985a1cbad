import itertools
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from pocketvae.reporting.charts import (
    Bar,
    Curve,
    Line,
    Point,
    Range,
    level_chart,
    line_chart,
    range_chart,
    scatter_chart,
    unit_square_chart,
)


@pytest.mark.parametrize("values", [[1e-6], [1e-6, 1e-3], [0.9, 1.0, 1.1], [1e-9, 10.0]])
def test_ranges_stay_inside_their_chart(values):
    quantiles = [(value, value, value * 1.1, value * 2, value * 3) for value in values]
    ranges = [Range(label=str(q[0]), quantiles=q, text="x", kind="tflite") for q in quantiles]
    chart = range_chart(ranges, title="t")
    rows = re.findall(r'<rect x="([\d.]+)" y="[\d.]+" width="([\d.]+)"[^>]* class="tflite"', chart)
    assert len(rows) == 2 * len(values)
    assert all(float(x) >= 210 and float(x) + float(width) <= 630.01 for x, width in rows)
    thin, thick = rows[0::2], rows[1::2]
    assert all(float(a[1]) > float(b[1]) for a, b in zip(thin, thick, strict=True))


def test_what_is_apart_is_a_ring_with_its_name_and_the_text_is_not_in_its_way():
    def drawn(apart, *, is_narrow=False):
        each = Range(label="a", quantiles=(1, 1, 1.01, 1.02, 1.03), text="x", kind="tflite", apart=apart)
        chart = range_chart([each], title="t", is_narrow=is_narrow)
        rings = [float(x) for x in re.findall(r'<circle cx="([\d.]+)"', chart)]
        return rings, float(re.search(r'<text x="([\d.]+)"[^>]*class="value"', chart)[1]), chart

    rings, text, chart = drawn((("phone <3>", 3.0), ("phone 4", 1.1)))
    assert "<title>phone &lt;3&gt;</title>" in chart
    assert rings[1] < text < rings[0]
    assert drawn(())[1] < rings[1] + 8 < text + 1
    assert all(0 < ring < 340 for ring in drawn((("b", 9.0),), is_narrow=True)[0])


def test_labels_of_a_narrow_chart_stand_above_their_rows():
    ranges = [Range(label=name, quantiles=(1, 2, 3, 4, 5), text="x", kind="onnx") for name in "ab"]
    chart = range_chart(ranges, title="t", is_narrow=True)
    assert re.search(r'viewBox="0 0 340 ', chart)
    heights = [float(y) for y in re.findall(r'y="([\d.]+)" class="label"', chart)]
    middles = [float(y) + 8 for y in re.findall(r'y="([\d.]+)" width="2" height="16"', chart)]
    assert [middle - height for middle, height in zip(middles, heights, strict=True)] == [19, 19]
    assert all(middle < height - 8 for middle, height in zip(middles, heights[1:], strict=False))


def test_lines_go_from_left_to_right_and_end_at_their_label():
    lines = [Line(label=name, points=((1, y), (10, 2 * y), (50, y)), kind="onnx") for name, y in (("a", 5), ("b", 50))]
    chart = line_chart(lines, title="t", x_label="x", y_label="y")
    drawn = re.findall(r'<polyline points="([^"]+)" class="line onnx"/>', chart)
    assert len(drawn) == 2
    for text in drawn:
        xs = [float(pair.split(",")[0]) for pair in text.split()]
        assert xs == sorted(xs)
        assert all(0 <= x <= 510 for x in xs)
    assert re.findall(r'class="label">(\w)<', chart) == ["b", "a"]


def test_a_chart_of_nothing_is_nothing():
    assert line_chart([], title="t", x_label="", y_label="") == range_chart([], title="t") == ""


def test_points_stay_inside_their_chart():
    rng = np.random.default_rng(0)
    points = [
        Point(label=str(i), x=x, y=y, kind="tflite") for i, (x, y) in enumerate(10 ** rng.uniform(-3, 3, (20, 2)))
    ]
    chart = scatter_chart(points, title="t", x_label="x", y_label="y")
    places = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', chart)
    assert len(places) == 20
    assert all(0 <= float(x) <= 720 and 0 <= float(y) <= 420 for x, y in places)


@pytest.mark.parametrize("values", [[1.0], [2.0, 2.0], [6e-7, 4.0, 4.1, 4.2, 12.0], [480.0, 481.0, 1700.0], [5.0] * 20])
def test_every_label_can_be_read(values):
    points = [Point(label=f"name {i}", x=value, y=value, kind="onnx") for i, value in enumerate(values)]
    chart = scatter_chart(points, title="t", x_label="x", y_label="y")
    heights = {name: float(y) for y, name in re.findall(r'y="([\d.]+)" class="label">(name \d+)<', chart)}
    assert set(heights) == {point.label for point in points}
    ordered = sorted(heights.values())
    assert all(0 <= height <= 420 for height in ordered)
    assert all(below - above >= 15 for above, below in itertools.pairwise(ordered))


@pytest.mark.parametrize("values", [[1.0], [10.0], [3.0, 4.0], [450.0, 1709.0], [1.5e-4, 5.6], [0.02, 20.0]])
def test_an_axis_holds_its_values_between_round_ticks(values):
    chart = scatter_chart([Point(label="p", x=v, y=v, kind="onnx") for v in values], title="t", x_label="", y_label="")
    ticks = [float(tick) for tick in re.findall(r'class="tick" text-anchor="middle">([^<]+)<', chart)]
    assert ticks == sorted(set(ticks))
    assert ticks[0] <= min(values) <= max(values) <= ticks[-1]
    assert all(f"{tick:e}"[0] in "125" and float(f"{tick:.0e}") == tick for tick in ticks)


def test_labels_are_escaped_in_every_chart():
    label = '<a> & "b"'
    curve = Curve(label=label, points=(np.array([0.0, 1.0]), np.array([0.0, 1.0])))
    charts = [
        level_chart([Bar(label=label, value=1.0, text=label, kind="onnx")], title=label),
        scatter_chart([Point(label=label, x=1.0, y=1.0, kind="onnx")], title=label, x_label=label, y_label=label),
        line_chart([Line(label=label, points=((1, 1), (2, 2)), kind="onnx")], title=label, x_label="", y_label=""),
        range_chart([Range(label=label, quantiles=(1, 2, 3, 4, 5), text=label, kind="onnx")], title=label),
        unit_square_chart([curve], x_label=label, y_label=label),
    ]
    for chart in charts:
        assert label in "".join(ElementTree.fromstring(chart).itertext())


def test_formats_differ_in_shape_and_the_chosen_one_is_marked():
    points = [
        Point(label="a", x=1, y=1, kind="tflite best"),
        Point(label="b", x=2, y=2, kind="onnx", chosen=True),
    ]
    chart = scatter_chart(points, title="t", x_label="x", y_label="y")
    assert len(re.findall(r'<circle [^>]*class="tflite best"', chart)) == 1
    assert len(re.findall(r'<rect [^>]*class="onnx"', chart)) == 1
    assert len(re.findall(r'<circle [^>]*class="chosen"', chart)) == 1
    assert '<text x="' in chart
    assert re.findall(r'class="label chosen">(\w)<', chart) == ["b"]
