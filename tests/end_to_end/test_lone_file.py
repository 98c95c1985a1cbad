"""verify and inspect of one file, and the linter."""

import json

import pytest

from pocketvae.spec import Format


@pytest.fixture(params=list(Format))
def lone(request, tmp_path, bundles, tflite_models, lone_files):
    weight = bundles.right_weight()
    content = tflite_models.decoder(weight, bundles.SIDE)
    if request.param is Format.ONNX:
        content = bundles.decoder_model(weight).SerializeToString()
    path = tmp_path / f"mine.{request.param}"
    path.write_bytes(lone_files.signed(tmp_path, request.param, content, weight))
    return path


def test_verify_of_one_file(command, lone, tmp_path):
    outcome = command("verify", lone, "--json", tmp_path / "v.json", "--junit", tmp_path / "v.xml", "--details")
    assert outcome.code == 0, outcome
    assert f"decoder.float32{lone.suffix}" in outcome.out
    document = json.loads((tmp_path / "v.json").read_text())
    assert document["passed"] is True
    assert document["checks"][0]["metric"] == "content"
    assert 'name="content"' in (tmp_path / "v.xml").read_text()


def test_a_swapped_model_fails(command, lone, tmp_path, bundles, tflite_models, lone_files):
    weight = bundles.right_weight()
    other = weight + 0.2
    stored, changed = (
        [w.T.astype("<f4").tobytes(), w.astype("<f4").tobytes()][lone.suffix == ".onnx"] for w in (weight, other)
    )
    lone.write_bytes(lone.read_bytes().replace(stored, changed))
    outcome = command("verify", lone)
    assert outcome.code == 1
    assert "FAIL" in outcome.out
    assert "CHANGED since it was exported" in command("inspect", lone).out


def test_a_file_without_metadata_is_refused(refused, command, tmp_path, bundles):
    path = tmp_path / "plain.onnx"
    path.write_bytes(bundles.decoder_model(bundles.right_weight()).SerializeToString())
    refused(r"plain\.onnx has no pocketvae metadata: verify the bundle that it came from", "verify", path)
    assert "the file does not contain pocketvae metadata" in command("inspect", path).out


@pytest.mark.parametrize("content", [b"", b"text", b"\x00" * 2000])
@pytest.mark.parametrize("suffix", [".tflite", ".onnx"])
def test_what_is_no_model_is_refused(refused, tmp_path, content, suffix):
    path = tmp_path / f"bad{suffix}"
    path.write_bytes(content)
    refused(rf"bad\{suffix}", "verify", path)
    refused(".", "inspect", path)
    refused(rf"bad\{suffix}: ", "inspect", "--lint", path)


def test_what_needs_a_bundle_is_refused(refused, lone, tmp_path):
    refused("--html needs a bundle, but .* is a single file", "verify", lone, "--html", tmp_path / "v.html")
    refused("--save-worst needs a bundle", "verify", lone, "--save-worst", tmp_path / "w")
    assert not (tmp_path / "v.html").exists()


def test_inspect_shows_the_metadata(command, lone):
    out = command("inspect", lone).out
    for text in ("CC0", "A. Author", "as it was exported", "needs ", "the decoded image: 6x6, grey", "d" * 64, "prior"):
        assert text in out


def test_lint_names_what_falls_off(command, lone, tmp_path, bundles):
    outcome = command("inspect", "--lint", lone)
    assert outcome.code == 0
    backend = "xnnpack" if lone.suffix == ".tflite" else "nnapi"
    assert backend in outcome.out
    assert "3 of 3" in outcome.out
    bad = tmp_path / "bad.onnx"
    bad.write_bytes(bundles.decoder_model(bundles.right_weight(), head="Sinh").SerializeToString())
    assert "Sinh x1: no kernel for it" in command("inspect", "--lint", bad).out


def test_lint_of_a_bundle_looks_at_every_file(command, tmp_path, bundles):
    outcome = command("inspect", "--lint", bundles.make_bundle(tmp_path / "b"))
    assert outcome.code == 0
    assert outcome.out.count("coreml_ml_program") == 3


def test_lint_without_the_package_that_is_asked_returns_3(command, lone, monkeypatch):
    from pocketvae.errors import TargetError
    from pocketvae.portability import lint as lint_module

    def missing(*_):
        raise TargetError("onnx is not installed: run pip install 'pocketvae[export]'")

    monkeypatch.setattr(lint_module, "lint", missing)
    outcome = command("inspect", "--lint", lone)
    assert outcome.code == 3
    assert f"{lone.name} was not examined: onnx is not installed" in outcome.err


def test_a_run_is_not_linted(refused, tmp_path, monkeypatch):
    from pocketvae.bundle import run

    monkeypatch.setattr(run, "is_run", lambda path: True)
    refused("--lint examines exported files, but .* is a run: export it first", "inspect", "--lint", tmp_path)
