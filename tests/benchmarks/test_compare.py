import json

import pytest

from pocketvae.benchmarks import compare_paths, comparison_line, comparison_markdown, comparison_table, verify_bundle
from pocketvae.benchmarks.comparison import Change, Figure, compare_figures
from pocketvae.cli.main import main
from pocketvae.documents import encode
from pocketvae.errors import ManifestError


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        (Figure(value=1.0), Figure(value=1.005), Change.SAME),
        (Figure(value=1.0), Figure(value=1.02), Change.WORSE),
        (Figure(value=1.0), Figure(value=0.9), Change.BETTER),
        (Figure(value=0.0), Figure(value=0.0), Change.SAME),
        (Figure(value=0.0), Figure(value=1e-9), Change.WORSE),
        (Figure(value=1.0), Figure(value=0.5, passed=False), Change.REGRESSED),
        (Figure(value=1.0, passed=False), Figure(value=1.0), Change.FIXED),
        (Figure(value=None), Figure(value=None), Change.SAME),
        (Figure(value=None), Figure(value=None, passed=False), Change.REGRESSED),
        (None, Figure(value=1.0), Change.ADDED),
        (None, Figure(value=1.0, passed=False), Change.REGRESSED),
        (Figure(value=1.0), None, Change.REMOVED),
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


def test_another_runtime_is_noted(tmp_path, bundles):
    document = json.loads(encode(verify_bundle(bundles.make_bundle(tmp_path / "b"))))
    (tmp_path / "a.json").write_text(json.dumps(document))
    document["environment"]["versions"]["onnxruntime"] = "0.1"
    document["environment"]["cpu"] = "abacus"
    (tmp_path / "b.json").write_text(json.dumps(document))
    notes = compare_paths(tmp_path / "a.json", tmp_path / "b.json").notes
    assert any(note.endswith("then abacus") for note in notes)
    assert any(note.startswith("another onnxruntime: ") and note.endswith("then 0.1") for note in notes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("not json", "is no bundle and no result"),
        ("[]", "is no bundle and no result"),
        ('{"schema_version": 1, "runs": []}', "is no bundle and no result"),
        ('{"schema_version": 99, "checks": []}', "schema_version 99, but this pocketvae reads up to"),
        ('{"schema_version": 1, "checks": [], "surprise": 1}', "is damaged at"),
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
    with pytest.raises(ManifestError, match="b is a bundle and .*v.json is none: compare two bundles or two results"):
        compare_paths(bundle, tmp_path / "v.json")


def test_a_side_that_is_missing_is_named(tmp_path, capsys):
    assert main(["compare", str(tmp_path / "a.json"), str(tmp_path / "b.json")]) == 2
    assert "a.json: No such file" in capsys.readouterr().err
