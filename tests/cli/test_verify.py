import json
import subprocess
import sys
from xml.etree import ElementTree

import pytest

from pocketvae.cli.main import main


def test_a_damaged_file_costs_only_itself_and_every_report_is_written(tmp_path, bundles, capsys):
    """Terminal and reports name the file, the rest of the bundle is verified, and the exit code is 1."""
    path = bundles.make_bundle(tmp_path / "b")
    (path / "decoder.float32.onnx").write_bytes(b"not what was exported")
    out = {name: tmp_path / f"v.{name}" for name in ("json", "junit", "markdown", "html")}
    options = [word for name, file in out.items() for word in (f"--{name}", str(file))]
    assert main(["verify", str(path), "--quiet", "--layers", *options]) == 1
    shown = capsys.readouterr().out
    assert "1 of 2 artifacts match the original" in shown
    assert "decoder.float32.onnx was changed" in " ".join(shown.split())
    checks = json.loads(out["json"].read_text())["checks"]
    failed = [(check["artifact"], check["metric"]) for check in checks if not check["passed"]]
    assert failed == [("decoder.float32.onnx", "content")]
    (failure,) = ElementTree.parse(out["junit"]).getroot().findall(".//failure")
    assert failure.get("type") == "content"
    assert "decoder.float32.onnx" in out["markdown"].read_text()
    page = out["html"].read_text()
    top = page[page.index('class="verdict failed"') : page.index("<h2>")]
    assert "<code>decoder.float32.onnx</code> on host: content: " in top
    assert "file: it is not the file that was exported" in top


def test_a_damaged_file_that_is_not_an_artifact_is_told_apart(tmp_path, bundles, capsys):
    path = bundles.make_bundle(tmp_path / "b")
    (path / "golden" / "x.npy").unlink()
    assert main(["verify", str(path), "--quiet"]) == 1
    shown = " ".join(capsys.readouterr().out.split())
    assert "1 of 2 artifacts match the original; 1 other file is damaged: golden/x.npy; 1 could not be run" in shown


@pytest.mark.posix
def test_a_reader_that_closes_the_pipe_costs_neither_reports_nor_exit_code(tmp_path, bundles):
    """As in `pocketvae verify BUNDLE --json F | head -1`, whose exit code CI reads with pipefail."""
    path = bundles.make_bundle(tmp_path / "b")
    (path / "decoder.float32.onnx").write_bytes(b"not what was exported")
    words = ["verify", str(path), "--quiet", "--json", str(tmp_path / "v.json")]
    script = f"import sys; from pocketvae.cli.main import main; sys.exit(main({words!r}))"
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    with process.stderr:
        errors_text = process.stderr.read()
    assert process.wait(120) == 1, errors_text
    assert not json.loads((tmp_path / "v.json").read_text())["passed"]
