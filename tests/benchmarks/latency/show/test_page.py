import re
from dataclasses import replace

import pytest

from pocketvae.benchmarks import (
    BenchConfig,
    Constraints,
    Extra,
    baseline_table,
    bench_bundle,
    bench_markdown,
    bench_page,
    bench_table,
    recommend,
    verify_bundle,
)
from pocketvae.benchmarks.latency.results import (
    ArtifactComparison,
    BaselineComparison,
    Interval,
    Ratio,
    Rejection,
    TargetRow,
    Verdict,
)
from pocketvae.benchmarks.not_run import NotRun


@pytest.fixture(scope="module")
def measured(tmp_path_factory, bundles, few_values):
    path = bundles.make_bundle(tmp_path_factory.mktemp("page") / "b")
    config = BenchConfig(include_original=False, paced_calls_per_s=(200.0,), extras=frozenset([Extra.PROFILE]))
    return bench_bundle(path, config), verify_bundle(path)


def comparison():
    ratio = Ratio(value=1.2, interval=Interval(low=1.1, high=1.3))
    item = ArtifactComparison(
        artifact="decoder.float32.onnx",
        threads=1,
        metric="latency",
        ratio=ratio,
        minimum_detectable=1.05,
        pairs=12,
        verdict=Verdict.PASS,
        reason="at most +1.0%",
    )
    slow = replace(item, artifact="encoder.float32.onnx", verdict=Verdict.REGRESSED, reason="at least +10.0%")
    lost = NotRun(artifact="x.onnx", target="baseline", reason="<gone>")
    return BaselineComparison(
        baseline="the bundle b",
        side_by_side=True,
        margin=0.03,
        level=0.01,
        artifacts=(item, slow),
        not_compared=(lost,),
    )


def test_the_page_has_every_section_and_loads_nothing(measured):
    bench, verify = measured
    bench = replace(bench, comparison=comparison(), warnings=("busy & slow",))
    page = bench_page(bench, verify)
    assert "<script" not in page
    assert "://" not in page.replace("http://www.w3.org/2000/svg", "")
    for heading in (
        "Every artifact",
        "Compared with the bundle b",
        "Latency",
        "What to embed",
        "First calls",
        "The machine",
    ):
        assert f"<h2>{heading}</h2>" in page
    assert "Where the time goes" in page
    assert "&lt;gone&gt;" in page
    assert "busy &amp; slow" in page
    assert "1 regressed" in page
    assert "verdict failed" in page
    assert page.count("<svg") == page.count("</svg>") > 0
    assert "<h2>First calls</h2>" in page


def elsewhere(bench):
    rows = [
        TargetRow(
            artifact=f"decoder.{name}.onnx", target="node", threads=1, load_s=0.001, first_s=0.002, median_s=median_s,
            p90_s=median_s, p99_s=median_s, mad_s=0.0, loops=1, values_s=(median_s,), warnings=("unstable: <wind>",),
        )
        for name, median_s in (("float32", 4.5e-5), ("int8", 2.5e-5))
    ]  # fmt: skip
    return replace(bench, elsewhere=tuple(rows))


def test_other_targets_are_on_the_page_and_in_markdown(measured):
    bench = elsewhere(measured[0])
    page, text = bench_page(bench), bench_markdown(bench)
    assert "<h2>Other targets</h2>" in page
    assert "unstable: &lt;wind&gt;" in page
    alone = bench_page(replace(bench, results=(), recommendation=None))
    assert "decoder.int8.onnx. This figure may be unreliable: unstable: &lt;wind&gt;.</p>" in alone
    assert "## Other targets" in text
    assert "| decoder.int8.onnx | node | 1 | 1.0 | 2.00 | 25.0 |" in text
    assert "on node" not in page.split("</p>")[0]


def test_a_page_of_other_targets_alone_is_whole(measured):
    bench = replace(elsewhere(measured[0]), results=(), profiles=())
    page, text = bench_page(bench, measured[1]), bench_markdown(bench)
    assert "The fastest decoder takes 25.0 µs on node: decoder.int8.onnx." in page
    headings = re.findall(r"<h2>(.*?)</h2>", page)
    assert headings == ["Other targets", "The machine"]
    assert text.startswith("# tiny: latency\n\n## Other targets\n\n| artifact | target |")


def test_what_was_forced_and_what_was_rejected_is_told_beside_a_baseline(measured):
    bench, verify = measured
    chosen = replace(
        recommend(bench, verify, Constraints()), rejected=(Rejection(artifact="a.onnx", reason="it is <big>"),)
    )
    forced = replace(comparison(), forced=("another processor: VAX & co there",), margin=0.004)
    bench = replace(bench, comparison=forced, recommendation=chosen)
    page, text = bench_page(bench), bench_markdown(bench)
    assert "<h2>What to embed</h2>" in page
    assert "<p>decoder.float32.onnx: " in page
    assert "not a.onnx: it is &lt;big&gt;" in page
    assert "compared because of --force-compare: another processor: VAX &amp; co there" in page
    assert "0.4% slower is allowed" in page
    # Each of the two bounds may fail at the level of 1 %.
    assert "intervals hold for all artifacts together at 98%" in page
    assert "- not a.onnx: it is &lt;big>" in text
    assert "- compared because of --force-compare: another processor: VAX & co there" in text


def test_the_table_has_only_columns_of_what_was_measured(measured):
    bench, _ = measured
    headers, rows = bench_table(bench)
    assert "200/s µs" in headers
    assert not {"batch", "samples/s", "k instr."} & set(headers)
    assert all(len(row) == len(headers) for row in rows)
    counted = replace(bench, results=tuple(replace(row, instructions=5000, batch=8) for row in bench.results))
    headers, rows = bench_table(counted)
    assert {"batch", "samples/s", "k instr."} <= set(headers)
    assert rows[0][headers.index("k instr.")] == "5"


def test_the_worst_verdict_comes_first():
    headers, rows = baseline_table(comparison())
    assert [row[headers.index("verdict")] for row in rows] == ["regressed", "pass", "not run"]
    assert rows[0][headers.index("new/old")] == "1.200 [1.100, 1.300]"
    assert rows[0][headers.index("detectable")] == "5.0%"


def test_markdown_has_whole_tables(measured):
    bench, verify = measured
    bench = replace(bench, comparison=comparison(), recommendation=recommend(bench, verify, Constraints()))
    text = bench_markdown(bench)
    assert "## What to embed\n\ndecoder.float32.onnx" in text
    blocks = re.findall(r"(?:^\|.*\n?)+", text, re.MULTILINE)
    assert len(blocks) >= 2
    for block in blocks:
        assert len({line.count(" | ") for line in block.strip().splitlines()}) == 1


def test_paced_calls_are_kept_one_by_one(measured):
    for row in measured[0].results:
        (paced,) = row.paced
        assert paced.calls_per_s == 200
        assert len(paced.values_s) == 30
        assert min(paced.values_s) <= paced.median_s <= paced.p90_s <= paced.p99_s


def test_scaling_is_drawn_where_there_is_more_than_one_setting(measured):
    bench, _ = measured
    assert "Threads and batches" not in bench_page(bench)
    more = tuple(replace(row, batch=8, median_s=row.median_s * 4) for row in bench.results)
    page = bench_page(replace(bench, results=(*bench.results, *more)))
    assert "The decoder with more samples per call" in page
