"""The commands on good input."""

import json
import shutil
from functools import partial

import pytest

from pocketvae.cli.main import main
from pocketvae.installation import install_command

pytestmark = pytest.mark.usefixtures("few_values")


def test_verify_prints_a_row_per_artifact_and_writes_both_files(command, tmp_path, bundles):
    bundle = bundles.make_bundle(tmp_path / "b")
    outcome = command("verify", bundle, "--json", tmp_path / "v.json", "--junit", tmp_path / "v.xml")
    assert outcome.code == 0
    assert "decoder.float32.onnx" in outcome.out
    assert "2 of 2 artifacts match the original" in outcome.out
    document = json.loads((tmp_path / "v.json").read_text())
    assert document["passed"] is True
    assert (tmp_path / "v.xml").read_text().startswith("<?xml")


def test_verify_of_a_wrong_decoder_returns_1(command, tmp_path, bundles):
    weight = bundles.right_weight().copy()
    weight[0, 0] += 1
    outcome = command("verify", bundles.make_bundle(tmp_path / "b", decoder=bundles.decoder_model(weight)))
    assert outcome.code == 1
    assert "FAIL" in outcome.out
    assert "1 of 2 artifacts match the original" in outcome.out


def test_verify_returns_3_where_something_could_not_run(command, tmp_path, bundles, monkeypatch):
    from pocketvae.benchmarks.execution import running
    from pocketvae.errors import TargetError

    def missing(*_, **__):
        raise TargetError("onnxruntime is not installed")

    bundle = bundles.make_bundle(tmp_path / "b")
    monkeypatch.setattr(running, "open_runner", missing)
    assert command("verify", bundle).code == 3


def test_quiet_keeps_the_result_and_drops_the_progress(command, tmp_path, bundles):
    bundle = bundles.make_bundle(tmp_path / "b")
    loud, quiet = command("verify", bundle), command("verify", bundle, "--quiet")
    assert loud.err != ""
    assert quiet.err == ""
    assert quiet.out == loud.out


def test_bench_writes_every_value(command, tmp_path, bundles):
    bundle = bundles.make_bundle(tmp_path / "b")
    outcome = command("bench", bundle, "--no-original", "--json", tmp_path / "b.json")
    assert outcome.code == 0
    rows = json.loads((tmp_path / "b.json").read_text())["results"]
    assert [row["artifact"] for row in rows] == ["decoder.float32.onnx", "encoder.float32.onnx"]
    assert all(min(row["values_s"]) <= row["median_s"] <= row["p90_s"] <= row["p99_s"] for row in rows)


def test_bench_names_the_artifact_to_embed_and_writes_its_page(command, tmp_path, bundles):
    bundle = bundles.make_bundle(tmp_path / "b")
    outputs = ("--html", tmp_path / "b.html", "--markdown", tmp_path / "b.md", "--json", tmp_path / "b.json")
    outcome = command("bench", bundle, "--no-original", "--recommend", *outputs)
    assert outcome.code == 0
    assert "embed decoder.float32.onnx: " in outcome.out
    assert "peaks with 1 thread: sgemm" in outcome.out
    assert "tiny: latency" in (tmp_path / "b.html").read_text()
    assert "# tiny: latency" in (tmp_path / "b.md").read_text()
    assert json.loads((tmp_path / "b.json").read_text())["recommendation"]["artifact"] == "decoder.float32.onnx"


def test_bench_returns_1_where_nothing_fits(command, tmp_path, bundles):
    outcome = command("bench", bundles.make_bundle(tmp_path / "b"), "--no-original", "--recommend", "--max-kb", "0.1")
    assert outcome.code == 1
    assert "embed nothing: none of the 1 decoder artifacts" in outcome.out


def test_bench_shows_what_it_measured_before_it_writes(command, tmp_path, bundles, monkeypatch):
    from pocketvae import benchmarks

    def broken(*_):
        raise RuntimeError("no page today")

    monkeypatch.setattr(benchmarks, "bench_page", broken)
    bundle = bundles.make_bundle(tmp_path / "b")
    outcome = command("bench", bundle, "--no-original", "--html", tmp_path / "b.html")
    assert outcome.code == 70
    assert "encoder.float32.onnx" in outcome.out


def test_bench_returns_3_where_nothing_could_be_compared(command, tmp_path, bundles, monkeypatch):
    from pocketvae.benchmarks.latency.measure import regression

    problems = {"decoder.float32.onnx": "its process was lost too often"}
    monkeypatch.setattr(regression, "compare", lambda contests, **_: ([], problems))
    bundle = bundles.make_bundle(tmp_path / "b")
    outcome = command("bench", bundle, "--no-original", "--baseline", bundle, "--margin", "0.4")
    assert outcome.code == 3
    assert "0.4% slower is allowed" in outcome.out
    assert "lost too often" in outcome.out


def test_bench_returns_1_for_a_proven_regression(command, tmp_path, bundles):
    bundle = bundles.make_bundle(tmp_path / "b")
    assert command("bench", bundle, "--no-original", "--json", tmp_path / "now.json").code == 0
    past = json.loads((tmp_path / "now.json").read_text())
    past["peaks"] = []
    for row in past["results"]:
        row["values_s"] = [value / 100 for value in row["values_s"]]
    (tmp_path / "past.json").write_text(json.dumps(past))
    outcome = command("bench", bundle, "--no-original", "--baseline", tmp_path / "past.json")
    assert outcome.code == 1
    assert "compared with results measured before, 10% slower is allowed" in outcome.out
    assert "regressed" in outcome.out


def test_bench_says_which_batch_a_file_has_not_got(command, tmp_path, bundles):
    outcome = command("bench", bundles.make_bundle(tmp_path / "b"), "--no-original", "--batch", "1,64")
    assert outcome.code == 3
    assert "not run: decoder.float32.onnx (host): the file supports batch sizes 1, not 64" in outcome.err


def test_inspect_of_a_bundle_and_of_one_artifact(command, tmp_path, bundles):
    bundle = bundles.make_bundle(tmp_path / "b")
    whole, alone = command("inspect", bundle), command("inspect", bundle / "decoder.float32.onnx")
    assert whole.code == alone.code == 0
    assert "bundle: tiny, every file matches its hash" in whole.out
    assert "z 1x3 float32" in alone.out
    assert "image 1x6x6x1 float32" in alone.out


def test_doctor_says_what_works(command):
    outcome = command("doctor")
    assert outcome.code == 0
    assert "verify, bench" in outcome.out


def test_doctor_says_what_is_missing_and_how_to_get_it(command, monkeypatch):
    from pocketvae.cli import doctor

    installed = doctor._version
    monkeypatch.setattr(doctor, "_version", lambda p, m: None if p == "onnxruntime" else installed(p, m))
    outcome = command("doctor")
    assert outcome.code == 3
    assert install_command("run") in " ".join(outcome.out.split())
    assert "missing onnxruntime" in outcome.out


@pytest.mark.slow
def test_inspect_of_a_run(command, tiny_run):
    outcome = command("inspect", tiny_run)
    assert outcome.code == 0
    assert "test_negative_elbo_nats" in outcome.out
    assert "28x28x1 images, 4 latent dimensions" in outcome.out


@pytest.mark.slow
def test_inspect_shows_the_quantization_of_an_integer_interface(command, tiny_bundle):
    outcome = command("inspect", tiny_bundle / "decoder.int8_io.tflite")
    assert outcome.code == 0
    assert "image 1x28x28x1 int8, real = 0.003906 * (q + 128)" in outcome.out


@pytest.mark.slow
def test_export_of_a_choice(command, tiny_run, tmp_path):
    options = ("--components", "decoder", "--formats", "onnx", "--precisions", "float32,float16")
    outcome = command("export", tiny_run, "--out", tmp_path / "bundle", *options)
    assert outcome.code == 0
    artifacts = [artifact["file"]["path"] for artifact in _manifest(tmp_path)["artifacts"]]
    assert artifacts == ["decoder.float32.onnx", "decoder.float16.onnx"]


@pytest.mark.slow
def test_the_quickstart_makes_a_report_that_stands_alone(tmp_path, capsys, mnist_npz, monkeypatch):
    # One short epoch on few images: the same line end to end, in seconds.
    from pocketvae import export
    from pocketvae.cli import quickstart

    monkeypatch.setattr(quickstart, "MNIST", str(mnist_npz))
    # More sets of calibration samples do not change a file; a rewrite by name is in the files whatever its time is.
    by_name = export.RewriteChoice(wanted=(export.Rewrite.NARROW_CONVOLUTION,))
    monkeypatch.setattr(export, "ExportConfig", partial(export.ExportConfig, calibration_seeds=1, rewrites=by_name))
    small = ["epochs=1", "channels=[4, 8]", "hidden_units=16", "latent_dim=4"]
    words = [word for value in small for word in ("--set", value)]
    assert main(["quickstart", "--out", str(tmp_path / "q"), "--quiet", *words]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert "decoder.int8.tflite" in captured.out
    page = (tmp_path / "q" / "report.html").read_text()
    assert "All 34 artifacts match the original model." in page
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in page
    for name in ("verify.json", "junit.xml", "bench.json"):
        assert (tmp_path / "q" / "bundle" / "reports" / name).is_file()
    rewritten = {item["file"]["path"] for item in _manifest(tmp_path / "q")["artifacts"] if item["rewrites"]}
    assert {"decoder.int8.tflite", "decoder.dynamic_int8.onnx", "generator.float16.tflite"} <= rewritten
    shutil.rmtree(tmp_path / "q")


def _manifest(folder):
    return json.loads((folder / "bundle" / "manifest.json").read_text())
