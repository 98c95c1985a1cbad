import contextlib
import io
import re
import subprocess
import sys

import pytest

from tests.picky_target import add_picky

# Nothing that keeps files, changes this process, or tells of what was imported before.
ABSENT = ("cacheprovider", "faulthandler", "threadexception", "unraisableexception", "warnings")
OPTIONS = ("--import-mode=importlib", *(word for name in ABSENT for word in ("-p", f"no:{name}")))


def run_pytest(folder, *words):
    """Runs pytest in this process, and returns its exit code and what it printed."""
    printed = io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        code = pytest.main([*OPTIONS, *map(str, words)])
    return code, printed.getvalue()


def run_pytest_afresh(folder, *words):
    """The same in a process that has imported nothing."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *map(str, words)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout + done.stderr


def test_every_check_is_a_test(tmp_path, bundles):
    bundle = bundles.make_bundle(tmp_path / "b")
    code, text = run_pytest_afresh(tmp_path, "-v", "--pocketvae", bundle)
    assert code == 0, text
    assert "decoder.float32.onnx[host]::image.max_abs PASSED" in text
    assert "encoder.float32.onnx[host]::loads PASSED" in text


def test_a_check_that_fails_says_why_without_a_traceback(tmp_path, bundles):
    bundle = bundles.make_bundle(tmp_path / "b", decoder=bundles.decoder_model(bundles.right_weight() * 2))
    code, text = run_pytest(tmp_path, "--pocketvae", bundle)
    assert code == 1
    assert "is above the limit of 1e-05 (test)" in text
    assert "Traceback" not in text
    assert "1 failed" in text


def test_what_could_not_run_is_an_error_and_no_failed_check(tmp_path, bundles, monkeypatch):
    monkeypatch.setenv("POCKETVAE_CACHE", str(tmp_path / "none"))
    monkeypatch.setenv("POCKETVAE_NODE", sys.executable)
    bundle = bundles.make_bundle(tmp_path / "b")
    code, text = run_pytest(tmp_path, "--pocketvae", bundle, "--pocketvae-targets", "host,node")
    assert code == 1
    assert "not run: onnxruntime-node is not set up: run pocketvae targets setup node" in text
    assert "Traceback" not in text
    assert " failed" not in text
    assert " passed, 2 errors in " in text


def test_a_bundle_of_which_a_target_supports_nothing_is_an_error(tmp_path, bundles):
    bundles.make_bundle(tmp_path / "b")
    # tflm runs no ONNX.
    code, text = run_pytest(tmp_path, "--pocketvae", "b", "--pocketvae-targets", " tflm,,tflm")
    assert code == 1, text
    # Whether it is set up here or not.
    assert re.search("not run: (tflm: left out decoder.float32.onnx, encoder.float32.onnx|tflite-micro is not)", text)
    assert " failed" not in text
    assert "1 error in " in text


def test_a_target_that_supports_nothing_beside_others_is_skipped_and_says_why(tmp_path, bundles, monkeypatch):
    add_picky(monkeypatch)
    bundle = bundles.make_bundle(tmp_path / "b")
    code, text = run_pytest(tmp_path, "-rs", "--pocketvae", bundle, "--pocketvae-targets", "host,picky")
    assert code == 0, text
    assert "nothing ran on picky: it runs no ONNX" in text
    assert ", 1 skipped in " in text


def test_they_stand_beside_other_tests_and_can_be_chosen(tmp_path, bundles):
    bundle = bundles.make_bundle(tmp_path / "b")
    (tmp_path / "test_own.py").write_text("def test_own(): pass")
    total = run_pytest(tmp_path, "--pocketvae", bundle)[1]
    chosen = run_pytest(tmp_path, "--pocketvae", bundle, "-m", "pocketvae")[1]
    assert "1 deselected" in chosen
    assert "deselected" not in total
    assert run_pytest(tmp_path, "--pocketvae", bundle, "-k", "test_own")[1].count("1 passed") == 1


def test_limits_of_ones_own_count(tmp_path, bundles):
    bundle = bundles.make_bundle(tmp_path / "b")
    (tmp_path / "strict.toml").write_text('[limits."decoder.*".image]\nmax_abs = 0\n')
    code, text = run_pytest(tmp_path, "--pocketvae", bundle, "--pocketvae-config", tmp_path / "strict.toml")
    assert code == 1
    assert "strict.toml" in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--pocketvae", "nothing"], "is not a bundle: manifest.json is missing"),
        (["--pocketvae", "b", "--pocketvae-targets", "hots"], "did you mean 'host'"),
        (["--pocketvae", "b", "--pocketvae-targets", " ,"], "at least one target must be named"),
        (["--pocketvae", "b", "--pocketvae-config", "no.toml"], "No such file"),
    ],
)
def test_what_cannot_be_verified_is_an_error_and_no_pass(tmp_path, bundles, words, message):
    bundles.make_bundle(tmp_path / "b")
    code, text = run_pytest(tmp_path, *words)
    assert code == 4
    assert message in text


def test_without_a_bundle_it_imports_nothing(tmp_path):
    (tmp_path / "test_light.py").write_text(
        "import sys\n"
        "def test_light():\n"
        "    assert 'pocketvae.cli.pytest_plugin' in sys.modules\n"
        "    assert {'numpy', 'pydantic', 'pocketvae.benchmarks'}.isdisjoint(sys.modules)\n"
    )
    code, text = run_pytest_afresh(tmp_path)
    assert code == 0, text


def test_the_name_of_a_test_can_be_given_to_pytest(tmp_path, bundles):
    bundles.make_bundle(tmp_path / "b")
    text = run_pytest(tmp_path, "-v", "--pocketvae", "b")[1]
    name = next(line.split()[0] for line in text.splitlines() if "image.max_abs PASSED" in line)
    assert name == "b/manifest.json::decoder.float32.onnx[host]::image.max_abs"
    code, text = run_pytest(tmp_path, "-v", name)
    assert (code, text.count("PASSED")) == (0, 1), text
    assert run_pytest(tmp_path, "--pocketvae", "b", name)[1].count("1 passed") == 1


def test_a_damaged_file_fails_one_test(tmp_path, bundles):
    (bundles.make_bundle(tmp_path / "b") / "decoder.float32.onnx").write_bytes(b"no model")
    code, text = run_pytest(tmp_path, "-v", "--pocketvae", "b")
    assert code == 1
    assert "1 failed" in text
    assert "decoder.float32.onnx[host]::content FAILED" in text
    assert "encoder.float32.onnx[host]::posterior.kl_mean PASSED" in text
