import json
from dataclasses import replace
from pathlib import Path

import pytest

from pocketvae.benchmarks import compare_paths, comparison_line, comparison_markdown, comparison_table, verify_bundle
from pocketvae.benchmarks.compare.comparison import Change, Measurement, compare_figures
from pocketvae.benchmarks.latency.results import BenchResult, BenchRow, Execution, Interval, TargetRow
from pocketvae.benchmarks.not_run import NotRun
from pocketvae.benchmarks.parity.checks import fault_checks, structural_check
from pocketvae.benchmarks.parity.results import VerifyResult
from pocketvae.cli.main import main
from pocketvae.documents import encode
from pocketvae.errors import ManifestError
from pocketvae.system.environment import current_environment


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        (Measurement(value=1.0), Measurement(value=1.005), Change.SAME),
        (Measurement(value=1.0), Measurement(value=1.02), Change.WORSE),
        (Measurement(value=1.0), Measurement(value=0.9), Change.BETTER),
        (Measurement(value=0.0), Measurement(value=0.0), Change.SAME),
        (Measurement(value=0.0), Measurement(value=1e-9), Change.WORSE),
        (Measurement(value=1.0), Measurement(value=0.5, passed=False), Change.REGRESSED),
        (Measurement(value=1.0, passed=False), Measurement(value=1.0), Change.FIXED),
        (Measurement(value=None), Measurement(value=None), Change.SAME),
        (Measurement(value=None), Measurement(value=None, passed=False), Change.REGRESSED),
        (None, Measurement(value=1.0), Change.ADDED),
        (None, Measurement(value=1.0, passed=False), Change.REGRESSED),
        (Measurement(value=1.0), None, Change.REMOVED),
    ],
)
def test_what_became_of_a_figure(before, after, change):
    key = ("a", "host", "w")
    sides = [{} if figure is None else {key: figure} for figure in (before, after)]
    (found,) = compare_figures(*sides)
    assert found.change is change


def test_two_bundles_are_compared_in_parity_and_size(tmp_path, bundles):
    right = bundles.make_bundle(tmp_path / "right")
    wrong = bundles.make_bundle(tmp_path / "wrong", decoder=bundles.decoder_model(bundles.right_weight() * 2))
    same = compare_paths(right, right)
    assert not same.regressed
    assert {item.change for item in same.differences} == {Change.SAME}
    assert {item.what for item in same.differences} >= {"size_bytes", "image max_abs", "posterior kl_mean"}
    worse = compare_paths(right, wrong)
    assert worse.regressed
    _, rows = comparison_table(worse)
    assert rows[0][:3] == ["decoder.float32.onnx", "host", "image max_abs"]
    assert rows[0][-1].startswith("REGRESSED")
    assert comparison_line(worse).startswith("1 regressed")
    assert not compare_paths(wrong, right).regressed
    assert "| decoder.float32.onnx | host | image max\\_abs |" in comparison_markdown(worse)


@pytest.mark.parametrize("damage", [Path.unlink, lambda file: file.write_bytes(b"other")])
def test_a_file_that_is_missing_or_changed_is_a_difference(tmp_path, bundles, capsys, damage):
    right, damaged = (bundles.make_bundle(tmp_path / name) for name in ("right", "damaged"))
    damage(damaged / "decoder.float32.onnx")
    words = ["compare", str(right), str(damaged), "--markdown", str(tmp_path / "c.md"), "--quiet"]
    assert main(words) == 1
    assert "REGRESSED" in capsys.readouterr().out
    page = (tmp_path / "c.md").read_text()
    assert "| decoder.float32.onnx | host | content | - | - | REGRESSED |" in page
    assert "| decoder.float32.onnx |  | size\\_bytes |" in page
    assert "encoder.float32.onnx" not in page


def test_two_results_are_compared(tmp_path, bundles, capsys):
    paths = []
    for name, factor in (("a", 1.0), ("b", 1.0 + 1e-7)):
        decoder = bundles.decoder_model(bundles.right_weight() * factor)
        result = verify_bundle(bundles.make_bundle(tmp_path / name, decoder=decoder))
        paths.append(tmp_path / f"{name}.json")
        paths[-1].write_text(encode(result))
    options = ["--json", str(tmp_path / "c.json"), "--markdown", str(tmp_path / "c.md")]
    assert main(["compare", *map(str, paths), *options]) == 0
    assert "same" in capsys.readouterr().out
    assert json.loads((tmp_path / "c.json").read_text())["before"] == str(paths[0])
    assert (tmp_path / "c.md").read_text().startswith("### pocketvae: ")


def test_what_did_not_run_any_more_is_a_regression(tmp_path, bundles):
    bundle = bundles.make_bundle(tmp_path / "b")
    document = json.loads(encode(verify_bundle(bundle)))
    (tmp_path / "a.json").write_text(json.dumps(document))
    document["checks"] = [c for c in document["checks"] if c["artifact"].startswith("encoder")]
    document["not_run"] = [{"artifact": "decoder.float32.onnx", "target": "host", "reason": "gone"}]
    document["passed"] = False
    (tmp_path / "b.json").write_text(json.dumps(document))
    comparison = compare_paths(tmp_path / "a.json", tmp_path / "b.json")
    assert comparison.regressed
    changes = {item.what: item.change for item in comparison.differences if item.artifact.startswith("decoder")}
    assert changes["loads"] is Change.REGRESSED
    assert changes["image max_abs"] is Change.REMOVED


def bench_result(rows=(), elsewhere=(), not_run=()):
    return BenchResult(
        bundle="b", environment=current_environment(), results=rows, elsewhere=elsewhere, not_run=not_run
    )


def bench_row(artifact, target="host"):
    nowhere = Interval(low=0.0, high=1.0)
    return BenchRow(
        artifact=artifact, target=target, threads=1, batch=1, size_bytes=9, load_s=0.0, first_s=0.0,
        first_calls_s=(1e-5,), median_s=1e-5, median_interval_s=nowhere, p90_s=1e-5, p90_interval_s=nowhere,
        p99_s=1e-5, p99_interval_s=nowhere, mad_s=0.0, loops=1, rounds=1, values_s=(1e-5,), cpu_share=1.0,
        peak_rss_bytes=1, baseline_rss_bytes=1, speedup_vs_original=None, speedups={}, warnings=(),
        execution=Execution(runtime="r", delegate="d", node_count=1, delegated_count=1, kernels={}, arena_bytes=None),
    )  # fmt: skip


def away_row(artifact):
    return TargetRow(
        artifact=artifact, target="node", threads=1, load_s=0.0, first_s=0.0, median_s=2e-5, p90_s=2e-5, p99_s=2e-5,
        mad_s=0.0, loops=1, values_s=(2e-5,), warnings=(),
    )  # fmt: skip


def lost(artifact, target="host"):
    return NotRun(artifact=artifact, target=target, reason="it was tired")


def compared(tmp_path, before, after):
    for name, result in (("a", before), ("b", after)):
        (tmp_path / f"{name}.json").write_text(encode(result))
    return compare_paths(tmp_path / "a.json", tmp_path / "b.json")


@pytest.mark.parametrize(
    ("failed", "ran"),
    [
        (bench_result(not_run=(lost("x.onnx"),)), bench_result(rows=(bench_row("x.onnx"),))),
        (bench_result(not_run=(lost("x.onnx", "node"),)), bench_result(elsewhere=(away_row("x.onnx"),))),
        (
            bench_result(rows=(bench_row("x.onnx"),), not_run=(lost("x.onnx", "examination"),)),
            bench_result(rows=(bench_row("x.onnx"),)),
        ),
    ],
)
def test_what_runs_at_last_is_fixed_and_no_loss(tmp_path, failed, ran):
    if failed.results:
        failed = replace(failed, results=tuple(replace(row, execution=None) for row in failed.results))
    better = compared(tmp_path, failed, ran)
    assert not better.regressed
    assert [item.change for item in better.differences if item.what == "runs"].count(Change.FIXED) == 1
    worse = compared(tmp_path, ran, failed)
    assert worse.regressed
    assert [item.change for item in worse.differences if item.what == "runs"].count(Change.REGRESSED) == 1


def verify_result(checks, not_run=()):
    return VerifyResult(
        passed=False, bundle="b", environment=current_environment(), checks=tuple(checks), not_run=not_run
    )


LOADED = structural_check("x.onnx", "host", "loads", "")


@pytest.mark.parametrize(
    "failed",
    [
        verify_result(fault_checks("x.onnx", "host", "runs", "it crashed")[:1:-1]),
        verify_result([structural_check("x.onnx", "host", "content", "it was changed")]),
        verify_result([structural_check("golden/z.npy", "host", "content", "it is missing")]),
        verify_result([structural_check("x.onnx", "host", "limit", "it passes anything", "image")]),
        verify_result([], (lost("all"),)),
    ],
)
def test_what_is_written_only_where_it_fails_is_fixed_where_it_is_gone(tmp_path, failed):
    better = compared(tmp_path, failed, verify_result([LOADED]))
    assert [item.change for item in better.differences] == [Change.FIXED, Change.ADDED]
    elsewhere = replace(LOADED, target="node")
    worse = compared(tmp_path, failed, verify_result([elsewhere]))
    assert worse.differences[0].change is Change.REMOVED


def test_medians_of_other_targets_are_compared(tmp_path):
    slow = replace(away_row("x.onnx"), median_s=4e-5)
    worse = compared(tmp_path, bench_result(elsewhere=(away_row("x.onnx"),)), bench_result(elsewhere=(slow,)))
    changes = {(item.target, item.what): item.change for item in worse.differences}
    assert changes == {("node", "runs"): Change.SAME, ("node, 1 thread", "median_s"): Change.WORSE}


def test_an_original_that_one_side_was_timed_without_decides_nothing(tmp_path):
    with_it = bench_result(rows=(bench_row("x.onnx"), bench_row("original decoder", "xla")))
    without = bench_result(rows=(bench_row("x.onnx"),), not_run=(lost("original decoder", "keras-predict"),))
    for pair in ((with_it, without), (without, with_it)):
        comparison = compared(tmp_path, *pair)
        assert not comparison.regressed
        assert {item.artifact for item in comparison.differences} == {"x.onnx"}


@pytest.mark.parametrize("item", [lost("x.onnx", "instructions"), lost("the machine", "peaks")])
def test_what_failed_beside_latency_and_is_not_asked_for_any_more_is_no_loss(tmp_path, item):
    failed = bench_result(rows=(bench_row("x.onnx"),), not_run=(item,))
    assert not compared(tmp_path, failed, bench_result(rows=(bench_row("x.onnx"),))).regressed


def test_another_runtime_is_noted(tmp_path, bundles):
    document = json.loads(encode(verify_bundle(bundles.make_bundle(tmp_path / "b"))))
    (tmp_path / "a.json").write_text(json.dumps(document))
    document["environment"]["versions"]["onnxruntime"] = "0.1"
    document["environment"]["cpu"] = "abacus"
    (tmp_path / "b.json").write_text(json.dumps(document))
    notes = compare_paths(tmp_path / "a.json", tmp_path / "b.json").notes
    assert any(note.endswith("then abacus") for note in notes)
    assert any(note.startswith("different onnxruntime: ") and note.endswith("then 0.1") for note in notes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "not json",
            "x.json is not a result: name a file that verify --json or bench --json wrote, or the folder of a b",
        ),
        ("[]", "is not a result"),
        ('{"schema_version": 1, "runs": []}', "is not a result"),
        ('{"schema_version": 1, "differences": []}', "is what compare --json wrote: name a file that verify"),
        ('{"schema_version": 1, "results": 3, "series": []}', "is what history show --json wrote: name a file"),
        ('{"schema_version": 1, "artifacts": []}', "is the manifest of a bundle: name"),
        ('{"schema_version": 99, "checks": []}', "schema_version 99, but this pocketvae reads up to"),
        (
            '{"schema_version": 1, "checks": [], "surprise": 1}',
            "is damaged or another kind of document: 'passed' is missing",
        ),
        ('{"checks": []}', "must be a JSON object with a schema_version"),
    ],
)
def test_what_is_no_result_is_named(tmp_path, bundles, text, message):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(ManifestError, match=message):
        compare_paths(tmp_path / "x.json", tmp_path / "x.json")


def test_sides_of_two_kinds_are_refused(tmp_path, bundles):
    bundle = bundles.make_bundle(tmp_path / "b")
    (tmp_path / "v.json").write_text(encode(verify_bundle(bundle)))
    with pytest.raises(ManifestError, match="b is a folder but .*v.json is a file: compare two bundles or two results"):
        compare_paths(bundle, tmp_path / "v.json")


def test_a_side_that_is_missing_is_named(tmp_path, capsys):
    assert main(["compare", str(tmp_path / "a.json"), str(tmp_path / "b.json")]) == 2
    assert "a.json does not exist: compare needs two bundles or two results" in capsys.readouterr().err
