"""The studies of latency: that they run, and that their verdicts can fail."""

import importlib.util
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

STUDIES = Path(__file__).parents[2] / "studies"


@pytest.fixture
def study(monkeypatch):
    """Returns a script as a module, which finds its neighbours as when it is run."""
    monkeypatch.syspath_prepend(str(STUDIES))

    def load(name):
        spec = importlib.util.spec_from_file_location(name, STUDIES / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.mark.parametrize("name", ["regression_gate", "latency_crosscheck", "scaling"])
def test_help_says_what_is_done(name):
    command = [sys.executable, str(STUDIES / f"{name}.py"), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    assert "--json FILE" in done.stdout


def test_extra_work_does_not_change_the_image(study, tmp_path, bundles):
    from pocketvae.runtimes.opening import open_runner
    from pocketvae.spec import Format

    path = bundles.make_bundle(tmp_path / "b") / "decoder.float32.onnx"
    slow = tmp_path / "slow.onnx"
    slow.write_bytes(study("slowed").with_extra_work(path, 64))
    z = {"z": np.random.default_rng(0).standard_normal((1, 3)).astype(np.float32)}
    with open_runner(path, Format.ONNX) as right, open_runner(slow, Format.ONNX) as slowed:
        assert np.array_equal(right.infer(z)["image"], slowed.infer(z)["image"])


def test_a_gate_that_misses_or_invents_a_regression_fails(study, tmp_path, bundles, monkeypatch):
    from pocketvae.benchmarks.latency.analyse.verdicts import judge_pairs

    gate = study("regression_gate")
    path = bundles.make_bundle(tmp_path / "b")
    monkeypatch.setattr(gate, "slowed_bundle", lambda bundle, name, folder, slowdown: (path, slowdown))
    slowdowns = {"same": 0.0, "slowed": 0.1}

    def compare(contests, *, margin, level, seed, progress):
        name = "slowed" if len(contests) == 1 else "same"
        drawn = np.log1p(slowdowns[name]) + np.random.default_rng(seed).normal(0, 0.005, 16)
        return [judge_pairs(c.artifact, 1, drawn, margin=margin, alpha=1e-4) for c in contests], {}

    monkeypatch.setattr(gate, "compare", compare)
    artifacts = "decoder.float32.onnx,encoder.float32.onnx"
    words = [str(path), "--comparisons", "3", "--artifacts", artifacts, "--json", str(tmp_path / "r.json")]
    assert gate.main(words) == 0
    assert gate.main(words) == 2, "a record that exists is kept"
    words.append("--force")
    record = json.loads((tmp_path / "r.json").read_text())
    assert record["results"]["identical"]["verdicts"] == {"pass": 6, "regressed": 0, "inconclusive": 0}
    assert record["results"]["slowed"]["comparisons_with_a_regression"] == 10
    assert str(tmp_path) not in (tmp_path / "r.json").read_text()
    slowdowns["slowed"] = 0.0
    assert gate.main(words) == 1
    slowdowns.update(same=0.1, slowed=0.1)
    assert gate.main(words) == 1
    slowdowns.update(same=0.0)
    assert gate.main(words) == 0

    def nothing(contests, **options):
        return ([], {"x": "it was lost"}) if len(contests) == 2 else compare(contests, **options)

    monkeypatch.setattr(gate, "compare", nothing)
    assert gate.main(words) == 1
    assert gate.main([*words, "--comparisons", "0"]) == 2
    assert gate.main([*words, "--slowed-comparisons", "0"]) == 2


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


def test_a_tool_that_hangs_costs_its_artifact_alone(study, monkeypatch):
    crosscheck = study("latency_crosscheck")

    def hang(command, **options):
        raise subprocess.TimeoutExpired(command, options["timeout"])

    monkeypatch.setattr(crosscheck.subprocess, "run", hang)
    with pytest.raises(crosscheck.TargetError, match="tool took longer than 300 s and was ended"):
        crosscheck._run(["/usr/bin/tool"])


@pytest.mark.parametrize("name", ["latency_crosscheck", "scaling"])
def test_a_record_that_cannot_be_written_is_refused_before_any_work(study, tmp_path, bundles, capsys, name):
    script = study(name)
    words = [str(bundles.make_bundle(tmp_path / "b"))] if name == "latency_crosscheck" else []
    (tmp_path / "r.json").write_text("kept")
    assert script.main([*words, "--json", str(tmp_path / "r.json")]) == 2
    assert "pass --force to replace it" in capsys.readouterr().err
    assert script.main([*words, "--json", str(tmp_path / "no" / "r.json")]) == 2
    assert "the output's folder must exist" in capsys.readouterr().err
    assert (tmp_path / "r.json").read_text() == "kept"


def test_numbers_that_make_no_sense_are_refused(study, tmp_path, bundles, capsys):
    assert study("latency_crosscheck").main([str(bundles.make_bundle(tmp_path / "b")), "--turns", "0"]) == 2
    assert "at least one turn, got 0" in capsys.readouterr().err
    assert study("scaling").main(["--sides", "28,big"]) == 2
    assert "whole numbers such as 28,64, got '28,big'" in capsys.readouterr().err


def test_a_decoder_whose_work_is_not_known_is_reported(study):
    scaling = study("scaling")
    with pytest.raises(scaling.TargetError, match="multiply-adds of none of its rows"):
        scaling.multiply_adds(())


@pytest.mark.parametrize("side", [28, 64, 128, 256])
@pytest.mark.parametrize("parameters", [100_000, 1_000_000, 10_000_000])
def test_the_grid_of_decoders_has_about_the_parameters_that_were_asked_for(study, side, parameters):
    model = study("scaling_model")
    channels, units = model.network_sizes(side, parameters)
    convolutions = model._convolution_parameters(channels[0], len(channels))
    bottom = (-(-side // 2 ** len(channels))) ** 2
    dense = units * (model.LATENT_DIM + bottom * channels[-1])
    assert 0.7 * parameters <= convolutions + dense <= 1.3 * parameters


def decoder(scaling, side, parameters, multiply_adds, cost):
    step = scaling.Step(wall_s=cost, peak_rss_bytes=int(1e6))
    return scaling.Decoder(
        side=side,
        parameters=parameters,
        multiply_adds=multiply_adds,
        steps=dict.fromkeys(("export", "verify", "bench"), step),
        median_s={"decoder.float32.onnx": cost},
        size_bytes={"decoder.float32.onnx": parameters * 4},
    )


def test_growth_is_measured_against_the_work_that_grows_most(study):
    scaling = study("scaling")
    small = decoder(scaling, 28, 10**5, 10**6, 1.0)
    fair = decoder(scaling, 56, 10**5, 10**7, 10.0)
    steep = decoder(scaling, 56, 10**5, 10**7, 100.0)
    other = decoder(scaling, 14, 10**6, 10**7, 1000.0)
    assert scaling.growth([small, fair])["export time"] == pytest.approx(1.0)
    assert scaling.growth([small, steep])["verify time"] == pytest.approx(2.0)
    assert scaling.growth([small, steep])["verify memory"] == 0
    # A decoder that is smaller in one way and larger in another says nothing.
    assert scaling.growth([small, fair, other]) == scaling.growth([small, fair])
    page = scaling.page([small, fair])
    assert page.count("<svg") == 4
    assert "<script" not in page
