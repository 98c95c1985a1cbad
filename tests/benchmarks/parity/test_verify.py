import json
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from pocketvae.benchmarks import junit_xml, verify_bundle, verify_markdown, write_report
from pocketvae.benchmarks.execution import running
from pocketvae.benchmarks.execution.local import HostRun
from pocketvae.benchmarks.not_run import NotRun
from pocketvae.benchmarks.parity.limits import Limits
from pocketvae.benchmarks.parity.results import Verdict
from pocketvae.benchmarks.parity.tables import verdict_line, verify_table
from pocketvae.benchmarks.parity.verify import Verifier
from pocketvae.benchmarks.targets.host import HostTarget
from pocketvae.bundle.bundle import open_bundle
from pocketvae.bundle.manifest import FailureRecord
from pocketvae.documents import encode
from pocketvae.errors import ManifestError, SpecError, TargetError
from pocketvae.numerics.tolerance import Tolerance
from pocketvae.progress import ignore_progress
from tests.picky_target import add_picky


def failed(result):
    return {(check.artifact, check.metric) for check in result.checks if not check.passed}


def test_a_right_bundle_passes_every_check(tmp_path, bundles):
    result = verify_bundle(bundles.make_bundle(tmp_path / "b"))
    assert result.passed
    assert failed(result) == set()
    assert {check.metric for check in result.checks} == {"loads", "interface", "finite", "range", "max_abs", "kl_mean"}


def test_the_result_is_deterministic(tmp_path, bundles):
    path = bundles.make_bundle(tmp_path / "b")
    texts = [json.loads(encode(verify_bundle(path))) for _ in range(2)]
    for text in texts:
        del text["environment"]["load_average"]
    assert texts[0] == texts[1]


@pytest.mark.parametrize("mutation", ["one weight", "swapped columns", "wrong activation", "transposed image"])
def test_a_decoder_that_computes_something_else_fails(tmp_path, bundles, mutation):
    weight, head = bundles.right_weight().copy(), "Sigmoid"
    if mutation == "one weight":
        weight[1, 7] += 1e-3
    elif mutation == "swapped columns":
        weight[:, [3, 4]] = weight[:, [4, 3]]
    elif mutation == "wrong activation":
        head = "HardSigmoid"
    else:
        side = bundles.SIDE
        weight = weight.reshape(-1, side, side).transpose(0, 2, 1).reshape(-1, side * side)
    result = verify_bundle(bundles.make_bundle(tmp_path / "b", decoder=bundles.decoder_model(weight, head=head)))
    assert not result.passed
    assert failed(result) == {("decoder.float32.onnx", "max_abs")}


def test_one_nan_fails_and_is_counted(tmp_path, bundles):
    weight = bundles.right_weight().copy()
    weight[0, 0] = np.nan
    result = verify_bundle(bundles.make_bundle(tmp_path / "b", decoder=bundles.decoder_model(weight)))
    assert {("decoder.float32.onnx", "finite"), ("decoder.float32.onnx", "max_abs")} <= failed(result)
    (finite,) = [check for check in result.checks if check.metric == "finite" and not check.passed]
    assert finite.detail == f"{bundles.COUNT} of {bundles.COUNT * 36} values are NaN or infinite"
    assert all(check.value is None for check in result.checks if check.metric == "max_abs")


def test_a_target_s_figure_that_is_not_finite_is_left_out(tmp_path, bundles, monkeypatch):
    monkeypatch.setattr(HostRun, "figures", lambda self, artifact: {"cpu_max_abs": np.nan, "arena_bytes": 9.0})
    document = json.loads(encode(verify_bundle(bundles.make_bundle(tmp_path / "b"))))
    assert {f["metric"] for f in document["figures"] if f["metric"] in ("cpu_max_abs", "arena_bytes")} == {
        "arena_bytes"
    }


def test_an_output_of_another_name_fails_the_interface(tmp_path, bundles):
    decoder = bundles.decoder_model(bundles.right_weight(), output="picture")
    result = verify_bundle(bundles.make_bundle(tmp_path / "b", decoder=decoder))
    (check,) = [check for check in result.checks if not check.passed]
    assert check.detail == "outputs must be ['image'], got ['picture']"


def test_an_image_outside_the_unit_interval_fails_whatever_the_tolerance(tmp_path, bundles):
    wide = (Tolerance(output="image", metric="max_abs", limit=1e9, source="test"),)
    decoder = bundles.decoder_model(bundles.right_weight(), head="Identity")
    result = verify_bundle(bundles.make_bundle(tmp_path / "b", decoder=decoder, tolerances=wide))
    assert failed(result) == {("decoder.float32.onnx", "range")}


def test_an_artifact_without_tolerances_does_not_pass_by_omission(tmp_path, bundles):
    result = verify_bundle(bundles.make_bundle(tmp_path / "b", tolerances=()))
    assert failed(result) == {("decoder.float32.onnx", "tolerances")}


def test_an_unknown_metric_fails_and_is_named(tmp_path, bundles):
    odd = (Tolerance(output="image", metric="max_abz", limit=1.0, source="test"),)
    result = verify_bundle(bundles.make_bundle(tmp_path / "b", tolerances=odd))
    (check,) = [check for check in result.checks if not check.passed]
    assert "did you mean 'max_abs'" in check.detail


def test_an_artifact_that_export_could_not_make_is_told_and_not_passed(tmp_path, bundles):
    failures = (FailureRecord(artifact="decoder.int8.onnx", reason="the converter crashed"),)
    result = verify_bundle(bundles.make_bundle(tmp_path / "b", failures=failures))
    assert not result.passed
    assert result.not_run[0].reason == "export could not make it: the converter crashed"


def test_a_missing_runtime_is_told_and_not_passed(tmp_path, bundles, monkeypatch):
    def missing(*_, **__):
        raise TargetError("onnxruntime is not installed")

    monkeypatch.setattr(running, "open_runner", missing)
    result = verify_bundle(bundles.make_bundle(tmp_path / "b"))
    assert not result.passed
    assert [item.reason for item in result.not_run] == ["onnxruntime is not installed"] * 2


def test_a_reason_of_several_batch_sizes_is_told_once(tmp_path, bundles, monkeypatch):
    def missing(*_, **__):
        raise TargetError("onnxruntime is not installed")

    monkeypatch.setattr(running, "open_runner", missing)
    monkeypatch.setattr(HostTarget, "batches", lambda self, artifact: (1, 8))
    result = verify_bundle(bundles.make_bundle(tmp_path / "b"))
    assert [item.artifact for item in result.not_run] == ["decoder.float32.onnx", "encoder.float32.onnx"]


def test_goldens_that_are_not_finite_are_refused(tmp_path, bundles):
    goldens = np.full((bundles.COUNT, bundles.SIDE, bundles.SIDE, 1), np.nan, np.float32)
    with pytest.raises(ManifestError, match="golden 'image' of the decoder holds values that are not finite"):
        verify_bundle(bundles.make_bundle(tmp_path / "b", goldens=goldens))


def test_goldens_of_another_count_are_refused(tmp_path, bundles):
    goldens = np.zeros((3, bundles.SIDE, bundles.SIDE, 1), np.float32)
    with pytest.raises(ManifestError, match="must all have as many samples as their strata"):
        verify_bundle(bundles.make_bundle(tmp_path / "b", goldens=goldens))


@pytest.mark.parametrize("side", [5, 12])
def test_goldens_of_another_model_are_named(tmp_path, bundles, side):
    goldens = np.zeros((bundles.COUNT, side, side, 1), np.float32)
    with pytest.raises(ManifestError, match="the decoder's goldens belong to another model: outputs must be"):
        verify_bundle(bundles.make_bundle(tmp_path / "b", goldens=goldens))


def test_a_bundle_without_goldens_is_refused(tmp_path, bundles):
    path = bundles.make_bundle(tmp_path / "b") / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["goldens"] = [item for item in manifest["goldens"] if item["component"] != "decoder"]
    path.write_text(json.dumps(manifest))
    with pytest.raises(ManifestError, match="the bundle has no goldens for the decoder"):
        verify_bundle(tmp_path / "b")


def test_an_unknown_target_is_refused(tmp_path, bundles):
    with pytest.raises(SpecError, match="unknown target 'hots': did you mean 'host'"):
        verify_bundle(bundles.make_bundle(tmp_path / "b"), targets=("hots",))


@pytest.mark.parametrize("change", ["truncate", "append", "flip", "remove"])
@pytest.mark.parametrize("name", ["decoder.float32.onnx", "golden/z.npy"])
def test_a_changed_file_is_named(tmp_path, bundles, name, change):
    file = bundles.make_bundle(tmp_path / "b") / name
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    changed = {"truncate": content[:-1], "append": content + b"x", "flip": content}
    if change == "remove":
        file.unlink()
    else:
        file.write_bytes(changed[change])
    result = verify_bundle(tmp_path / "b")
    assert not result.passed
    assert failed(result) == {(name, "content")}
    (content,) = [check for check in result.checks if not check.passed]
    assert re.search(f"{name} (was changed|is missing)", content.detail)
    others = {check.artifact for check in result.checks if check.passed}
    assert others == {"encoder.float32.onnx"}
    if name.startswith("golden"):
        assert [(item.artifact, item.reason) for item in result.not_run] == [
            ("decoder.float32.onnx", f"its goldens are damaged: {content.detail}")
        ]
    else:
        assert (result.not_run, result.diagnoses[0].culprit) == ((), "file")


def test_a_link_that_leads_outside_the_bundle_is_refused(tmp_path, bundles):
    path = bundles.make_bundle(tmp_path / "b")
    file = path / "golden" / "z.npy"
    file.rename(tmp_path / "z.npy")
    file.symlink_to(tmp_path / "z.npy")
    with pytest.raises(ManifestError, match="leads outside the bundle"):
        verify_bundle(path)


def test_a_manifest_of_a_newer_schema_is_refused(tmp_path, bundles):
    path = bundles.make_bundle(tmp_path / "b") / "manifest.json"
    path.write_text(path.read_text().replace('"schema_version": 6', '"schema_version": 7'))
    with pytest.raises(ManifestError, match="schema_version 7, but this pocketvae reads up to 6: upgrade"):
        verify_bundle(tmp_path / "b")


@pytest.mark.slow
def test_an_exported_bundle_passes_on_both_runtimes(tiny_bundle):
    result = verify_bundle(tiny_bundle)
    assert [check.detail for check in result.checks if not check.passed] == []
    assert result.passed
    assert len(result.artifacts()) == 34


@pytest.mark.slow
def test_two_threads_pass_too(tiny_bundle):
    assert verify_bundle(tiny_bundle, num_threads=2).passed


def test_an_image_may_have_another_range_or_none(tmp_path, bundles):
    weight = bundles.right_weight()
    z = np.random.default_rng(1).normal(size=(bundles.COUNT, bundles.LATENT)).astype(np.float32)
    images = np.tanh(z @ weight).reshape(bundles.COUNT, bundles.SIDE, bundles.SIDE, 1).astype(np.float32)
    decoder = bundles.decoder_model(weight, head="Tanh")
    for name, limits, strict, passed in (
        ("unit", [0.0, 1.0], True, False),
        ("tanh", [-1.0, 1.0], True, True),
        ("any", [0.0, 1.0], False, True),
    ):
        bundle = bundles.make_bundle(tmp_path / name, decoder=decoder, goldens=images)
        manifest = json.loads((bundle / "manifest.json").read_text())
        manifest["vae"] |= {"data_range": limits, "range_is_strict": strict}
        (bundle / "manifest.json").write_text(json.dumps(manifest))
        result = verify_bundle(bundle)
        assert result.passed is passed
        assert [c.detail[:27] for c in result.checks if not c.passed] == (
            [] if passed else ["values must be in [0, 1], go"[:27]]
        )


@pytest.mark.parametrize(("limit", "fails"), [(1e-3, False), (1.7, True)])
def test_a_limit_that_passes_anything_fails_with_its_reason(tmp_path, bundles, limit, fails):
    source = "10 x 1.7e-01, the original against itself, most with batch size 1"
    wide = (Tolerance(output="image", metric="max_abs", limit=limit, source=source),)
    result = verify_bundle(bundles.make_bundle(tmp_path / "b", tolerances=wide))
    assert failed(result) == ({("decoder.float32.onnx", "limit")} if fails else set())
    details = [check.detail for check in result.checks if check.metric == "limit"]
    assert all("1.7 passes anything: rounding explains at most 0.001" in detail for detail in details)
    assert all(source in detail and "export it again" in detail for detail in details)


def test_a_custom_limit_is_the_user_s_own_decision(tmp_path, bundles):
    wide = (Tolerance(output="image", metric="max_abs", limit=1.7, source="test"),)
    path = bundles.make_bundle(tmp_path / "b", tolerances=wide)
    (tmp_path / "pocketvae.toml").write_text('[limits."decoder.*".image]\nmax_abs = 0.5\n')
    assert verify_bundle(path).passed


@pytest.fixture
def picky(monkeypatch):
    return add_picky(monkeypatch)


def test_a_target_that_supports_nothing_is_seen_and_no_failure(tmp_path, bundles, picky):
    path = bundles.make_bundle(tmp_path / "b")
    result = verify_bundle(path, targets=("host", "picky"))
    assert result.passed
    assert verdict_line(result) == "2 of 2 artifacts match the original; nothing ran on picky"
    assert verify_table(result)[1][-1] == ["all", "picky", "nothing ran", "", "", "it runs no ONNX", "-"]
    markdown = verify_markdown(result)
    # Beside the verdict, and not only among the rows that are folded.
    assert "| all | picky | nothing ran |" in markdown[: markdown.index("<details>")]
    (suite,) = [suite for suite in ElementTree.fromstring(junit_xml(result)) if suite.get("name") == "picky"]
    counts = [suite.get(count) for count in ("tests", "failures", "errors", "skipped")]
    assert counts == ["1", "0", "0", "1"]
    assert suite.find("testcase/skipped").get("message") == "nothing ran: it runs no ONNX"
    write_report(path, tmp_path / "r.html", result)
    page = (tmp_path / "r.html").read_text()
    assert "All 2 artifacts match the original model; nothing ran on picky." in page
    assert "<code>all</code> on picky: it runs no ONNX" in page


def test_a_target_that_is_not_set_up_does_not_pass_whatever_it_supports(tmp_path, bundles, picky):
    picky.reason = "picky is not set up: run pocketvae targets setup picky"
    result = verify_bundle(bundles.make_bundle(tmp_path / "b"), targets=("host", "picky"))
    assert result.verdict is Verdict.INCOMPLETE
    assert result.not_run == (NotRun(artifact="all", target="picky", reason=picky.reason),)
    line = "Incomplete: no check failed; 2 of 2 artifacts match the original; nothing ran on picky"
    assert verdict_line(result) == line
    assert ElementTree.fromstring(junit_xml(result)).get("errors") == "1"


def test_where_no_target_supports_anything_nothing_passes(tmp_path, bundles, picky):
    result = verify_bundle(bundles.make_bundle(tmp_path / "b"), targets=("picky",))
    assert result.verdict is Verdict.INCOMPLETE
    assert [row[-1] for row in verify_table(result)[1]] == ["-"]


def test_another_thread_may_ask_for_what_is_done(tmp_path, bundles):
    bundle = open_bundle(bundles.make_bundle(tmp_path / "b"))
    found = []

    class AskingRun(HostRun):
        def run(self, artifact, inputs, **options):
            found.append(verifier.so_far(target, "interrupted"))
            return super().run(artifact, inputs, **options)

    target = HostTarget()
    target.open = AskingRun
    verifier = Verifier(bundle, Limits(), 1, ignore_progress, 1)
    verifier.run_on(target)
    checked = [list(dict.fromkeys(check.artifact for check in each.result.checks)) for each in (found[0], found[-1])]
    missed = [[item.artifact for item in each.result.not_run] for each in (found[0], found[-1])]
    assert checked == [[], ["decoder.float32.onnx"]]
    assert missed == [["decoder.float32.onnx", "encoder.float32.onnx"], ["encoder.float32.onnx"]]
    assert not found[-1].result.passed
    assert verifier.so_far(target, "interrupted").result == verifier.verification().result
