import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

STUDIES = Path(__file__).parents[2] / "studies"


def test_help_says_what_is_done():
    command = [sys.executable, str(STUDIES / "latency_crosscheck.py"), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    assert "--json FILE" in done.stdout


def test_a_crosscheck_may_be_off_by_fifteen_per_cent_either_way(study):
    crosscheck = study("latency_crosscheck")
    check = crosscheck.Crosscheck(artifact="a", tool="t", ours_s=(1.0, 2.0, 3.0), theirs_s=(1.1, 2.2, 30.0))
    assert check.ratio == pytest.approx(1.1)
    assert check.agrees
    assert not replace(check, theirs_s=(1.2, 2.4, 3.6)).agrees
    assert not replace(check, theirs_s=(0.8, 1.6, 2.4)).agrees


def test_a_tool_that_is_missing_is_reported_as_not_run(study, tmp_path, bundles, monkeypatch, capsys):
    crosscheck = study("latency_crosscheck")
    monkeypatch.setattr(crosscheck, "our_median_s", lambda bundle, record: 1e-3)

    def missing(path):
        raise crosscheck.TargetError("it is not installed")

    monkeypatch.setattr(crosscheck, "tool_for", lambda kind: ("tool", missing))
    path = bundles.make_bundle(tmp_path / "b")
    assert crosscheck.main([str(path), "--json", str(tmp_path / "r.json")]) == 1
    assert "not run: decoder.float32.onnx: it is not installed" in capsys.readouterr().err
    assert set(json.loads((tmp_path / "r.json").read_text())["not_run"]) == {
        "decoder.float32.onnx",
        "encoder.float32.onnx",
    }


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"latency": {}}', '{"latency": {"median_ms": null}}'])
def test_a_tool_s_result_without_the_figure_is_reported(study, monkeypatch, tmp_path, text):
    crosscheck = study("latency_crosscheck")

    def run(command):
        (file,) = (word.partition("=")[2] for word in command if word.startswith("--result_json="))
        Path(file).write_text(text)
        return ""

    monkeypatch.setattr(crosscheck, "_run", run)
    monkeypatch.setattr(crosscheck, "_tool", lambda name: name)
    with pytest.raises(crosscheck.TargetError, match=r"no latency\.median_ms"):
        crosscheck.litert_benchmark_s(tmp_path / "x.tflite")


def test_a_tool_that_hangs_costs_its_artifact_alone(study, tmp_path, bundles, monkeypatch):
    crosscheck = study("latency_crosscheck")

    def run(command, **options):
        if Path(command[1]).name.startswith("decoder"):
            raise subprocess.TimeoutExpired(command, options["timeout"])
        return subprocess.CompletedProcess(command, 0, "1e-3", "")

    monkeypatch.setattr(crosscheck, "our_median_s", lambda bundle, record: 1e-3)
    timed = ("tool", lambda path: float(crosscheck._run(["/usr/bin/tool", str(path)])))
    monkeypatch.setattr(crosscheck, "tool_for", lambda kind: timed)
    tools = SimpleNamespace(run=run, TimeoutExpired=subprocess.TimeoutExpired)
    monkeypatch.setattr(crosscheck, "subprocess", tools)
    path, record = bundles.make_bundle(tmp_path / "b"), tmp_path / "r.json"
    assert crosscheck.main([str(path), "--turns", "1", "--json", str(record)]) == 0
    found = json.loads(record.read_text())
    assert found["not_run"] == {"decoder.float32.onnx": "tool took longer than 300 s and was ended"}
    assert [check["artifact"] for check in found["checks"]] == ["encoder.float32.onnx"]


def test_a_record_that_cannot_be_written_is_refused_before_any_work(study, tmp_path, bundles, capsys):
    script, words = study("latency_crosscheck"), [str(bundles.make_bundle(tmp_path / "b"))]
    (tmp_path / "r.json").write_text("kept")
    assert script.main([*words, "--json", str(tmp_path / "r.json")]) == 2
    assert "pass --force to replace it" in capsys.readouterr().err
    assert script.main([*words, "--json", str(tmp_path / "no" / "r.json")]) == 2
    assert "the output's folder must exist" in capsys.readouterr().err
    assert (tmp_path / "r.json").read_text() == "kept"


def test_numbers_that_make_no_sense_are_refused(study, tmp_path, bundles, capsys):
    assert study("latency_crosscheck").main([str(bundles.make_bundle(tmp_path / "b")), "--turns", "0"]) == 2
    assert "at least one turn, got 0" in capsys.readouterr().err
