"""The matrix on this machine and on targets that stand for others."""

import errno
import json
from dataclasses import replace

import numpy as np
import pytest

from pocketvae.benchmarks.execution.local import HostRun
from pocketvae.benchmarks.matrix import CellState, matrix_bundle, matrix_page, matrix_table
from pocketvae.benchmarks.matrix import run as module
from pocketvae.benchmarks.matrix.table import problem_lines
from pocketvae.benchmarks.targets import ArtifactFault, Target, make_target
from pocketvae.bundle.bundle import open_bundle
from pocketvae.cli.main import main
from pocketvae.documents import encode
from pocketvae.errors import SpecError, TargetError
from pocketvae.spec import Precision
from pocketvae.system import files


class Other(Target):
    """Another machine: this one, with what it returns changed."""

    name, summary = "other", "a machine that differs"

    def __init__(self, *, change=lambda outputs: outputs, reason=None, declined=""):
        self.change, self.reason, self.declined = change, reason, declined

    def unavailable(self):
        return self.reason

    def open(self, bundle):
        return OtherRun(bundle, self.change)

    def declines(self, artifact):
        return self.declined if artifact.component == "encoder" else ""

    def runtime(self, artifact):
        return "Other 1.0's delegate"


class OtherRun(HostRun):
    def __init__(self, bundle, change):
        super().__init__(bundle)
        self.change = change

    def run(self, artifact, inputs, **options):
        return self.change(super().run(artifact, inputs, **options))

    def facts(self):
        return {"cpu": "<other>"}


@pytest.fixture
def fill(tmp_path, bundles, monkeypatch):
    def run(other, targets=("host", "other"), *, rebuilt=True, **parts):
        monkeypatch.setattr(module, "make_target", lambda name: other if name == "other" else make_target(name))
        path = bundles.make_bundle(tmp_path / "b", **parts) if rebuilt else tmp_path / "b"
        return matrix_bundle(path, targets=targets)

    return run


def shifted(step):
    return lambda outputs: {name: values + np.float32(step) for name, values in outputs.items()}


def states(matrix, target):
    return {cell.artifact.split(".")[0]: cell.state for cell in matrix.result.cells if cell.target == target}


def test_the_same_bits_are_equal(fill):
    matrix = fill(Other())
    assert matrix.result.passed
    assert states(matrix, "host") == states(matrix, "other") == {"decoder": CellState.EQUAL, "encoder": CellState.EQUAL}
    assert [row.max_abs for row in matrix.sheet] == [0, 0]


def test_other_bits_are_within_their_limit_or_fail_and_name_the_runtime(fill):
    cell = fill(Other(change=shifted(1e-7))).result.cell("decoder.float32.onnx", "other")
    assert cell.state is CellState.WITHIN
    assert cell.max_abs == pytest.approx(1e-7, rel=0.5)
    assert cell.limit == pytest.approx(2e-5)
    assert 0 <= cell.equal_share < 1


def test_a_difference_fails_and_names_the_runtime(fill):
    matrix = fill(Other(change=shifted(-1e-3)))
    cell = matrix.result.cell("decoder.float32.onnx", "other")
    assert cell.state is CellState.FAILED
    assert "image max_abs: 0.001 is above the limit of 1e-05, in Other 1.0's delegate" in cell.detail
    assert not matrix.result.passed
    assert states(matrix, "host")["decoder"] is CellState.EQUAL


def test_values_that_are_not_finite_fail(fill):
    cell = fill(Other(change=shifted(np.nan))).result.cell("decoder.float32.onnx", "other")
    assert cell.state is CellState.FAILED
    assert cell.max_abs is None
    assert "NaN" in cell.detail


def test_a_figure_that_is_not_finite_is_left_out_and_the_failure_written(fill, monkeypatch):
    monkeypatch.setattr(OtherRun, "figures", lambda self, artifact: {"builtin_max_abs": np.nan, "arena_bytes": 9.0})
    matrix = fill(Other(change=shifted(np.nan)))
    assert "builtin" not in matrix_page(matrix.result, matrix.sheet)
    (cell,) = [cell for cell in json.loads(encode(matrix.result))["cells"] if cell["target"] == "other"][:1]
    assert (cell["state"], cell["figures"]) == ("failed", {"arena_bytes": 9.0})


def test_what_a_target_is_not_for_is_left_out_and_no_failure(fill):
    matrix = fill(Other(declined="no encoders"))
    assert states(matrix, "other") == {"decoder": CellState.EQUAL, "encoder": CellState.LEFT_OUT}
    assert matrix.result.passed


def test_limits_of_ones_own_count(fill, tmp_path):
    limits = tmp_path / "pocketvae.toml"
    limits.write_text('[limits."decoder.*".image]\nmax_abs = 1e-9\n')
    cell = fill(Other(change=shifted(1e-7))).result.cell("decoder.float32.onnx", "other")
    assert cell.state is CellState.FAILED
    assert "above the limit of 1e-09" in cell.detail
    limits.write_text('[limits."decoder.*".image]\nmax_abs = 0.01\n')
    cell = fill(Other(change=shifted(-1e-3)), rebuilt=False).result.cell("decoder.float32.onnx", "other")
    assert (cell.state, cell.limit) == (CellState.WITHIN, 0.02)


def test_limits_that_name_nothing_are_refused_before_any_work(fill, tmp_path):
    (tmp_path / "pocketvae.toml").write_text('[limits."decodr.*".image]\nmax_abs = 1e-9\n')
    with pytest.raises(SpecError, match="unknown artifact"):
        fill(Other())


@pytest.mark.parametrize(("reason", "passed"), [(None, True), ("other is not set up", False)])
def test_a_target_on_which_nothing_ran_is_seen_and_passes_only_where_it_could_be_used(fill, reason, passed):
    other = Other(reason=reason)
    other.declines = lambda artifact: "it runs no ONNX"
    matrix = fill(other)
    assert matrix.result.passed is passed
    said = "nothing ran: it runs no ONNX" if passed else "other is not set up"
    assert problem_lines(matrix.result) == [f"other: {said}"]
    page = matrix_page(matrix.result, matrix.sheet)
    assert "Nothing ran on other." in page
    assert f"other: {said}" in page


def test_where_nothing_ran_at_all_nothing_passes(fill):
    other = Other()
    other.declines = lambda artifact: "it runs no ONNX"
    assert not fill(other, targets=("other",)).result.passed


def test_a_target_that_the_system_refuses_something_costs_its_column_alone(fill, monkeypatch):
    def refuse(self, bundle):
        raise OSError(errno.ENOSPC, "No space left on device", "/cache")

    monkeypatch.setattr(Other, "open", refuse)
    matrix = fill(Other())
    assert set(states(matrix, "other").values()) == {CellState.NOT_RUN}
    assert matrix.result.targets[1].problem == "other: /cache: No space left on device"


def test_a_target_that_cannot_be_used_costs_its_column_alone(fill):
    matrix = fill(Other(reason="no such machine"))
    assert set(states(matrix, "other").values()) == {CellState.NOT_RUN}
    assert set(states(matrix, "host").values()) == {CellState.EQUAL}
    assert [record.problem for record in matrix.result.targets] == ["", "no such machine"]
    assert not matrix.result.passed


@pytest.mark.parametrize(
    ("error", "state"),
    [(TargetError("gone"), CellState.NOT_RUN), (ArtifactFault("loads", "broken"), CellState.FAILED)],
)
def test_what_stops_an_artifact_is_told(fill, error, state):
    def stop(_):
        raise error

    matrix = fill(Other(change=stop))
    assert set(states(matrix, "other").values()) == {state}
    assert str(error) in matrix.result.cells[-1].detail


def test_a_target_that_goes_before_the_contact_sheet_says_why_it_has_no_row(fill):
    calls = []

    def go_in_the_end(outputs):
        calls.append(outputs)
        if len(calls) > 2:
            raise TargetError("other: the connection was lost")
        return outputs

    matrix = fill(Other(change=go_in_the_end))
    assert set(states(matrix, "other").values()) == {CellState.EQUAL}
    assert [row.target for row in matrix.sheet] == ["host"]
    assert matrix.result.targets[1].problem == "no images: the connection was lost"
    assert problem_lines(matrix.result) == ["other: no images: the connection was lost"]
    assert "other: no images: the connection was lost" in matrix_page(matrix.result, matrix.sheet)


def test_a_bundle_without_float32_has_a_contact_sheet_too(fill, tmp_path, bundles, monkeypatch):
    bundle = open_bundle(bundles.make_bundle(tmp_path / "a"))
    artifacts = []
    for item in bundle.manifest.artifacts:
        path = item.file.path.replace("float32", "float16")
        (bundle.path / item.file.path).rename(bundle.path / path)
        artifacts.append(replace(item, precision=Precision.FLOAT16, file=replace(item.file, path=path)))
    half = replace(bundle, manifest=replace(bundle.manifest, artifacts=tuple(artifacts)))
    monkeypatch.setattr(module, "opened", lambda path: half)
    assert [row.artifact for row in fill(Other()).sheet] == ["decoder.float16.onnx"] * 2


def test_a_seed_that_is_no_int32_is_refused_before_any_work(tmp_path, bundles, capsys):
    bundle = bundles.make_bundle(tmp_path / "b")
    for seed in ("3000000000", "-2147483649"):
        assert main(["matrix", str(bundle), "--seed", seed, "--quiet"]) == 2
        assert f"seed must be an integer from -2^31 to 2^31 - 1, got {seed}" in capsys.readouterr().err


def test_the_page_shows_everything_and_escapes_it(fill):
    matrix = fill(Other(change=shifted(-1e-3)))
    page = matrix_page(matrix.result, matrix.sheet)
    assert "2 of 4 results are outside their limits; 0 could not be run." in page
    assert "&lt;other&gt;" in page
    assert "<other>" not in page
    assert page.count("data:image/png") == 2 * len(matrix.sheet) == 4
    assert "http" not in page.replace("http://www.w3.org", "")
    headers, rows = matrix_table(matrix.result)
    assert headers == ["artifact", "host", "other"]
    assert rows[0] == ["decoder.float32.onnx", "0", "1.0e-03 FAIL"]


def test_the_command_writes_both_files_and_its_exit_code_tells(tmp_path, bundles, capsys):
    bundle = bundles.make_bundle(tmp_path / "b")
    written = ["--json", str(tmp_path / "m.json"), "--html", str(tmp_path / "m.html")]
    assert main(["matrix", str(bundle), *written, "--quiet"]) == 0
    assert json.loads((tmp_path / "m.json").read_text())["passed"] is True
    assert (tmp_path / "m.html").read_text().startswith("<!doctype html>")
    capsys.readouterr()
    assert main(["matrix", str(bundle), "--targets", "host,ssh", "--quiet"]) == 3
    assert "ssh: decoder.float32.onnx, encoder.float32.onnx: name a machine: ssh://user@host" in capsys.readouterr().out
    wrong = bundles.make_bundle(tmp_path / "w", decoder=bundles.decoder_model(bundles.right_weight() + np.float32(1)))
    assert main(["matrix", str(wrong), "--quiet"]) == 1


def test_a_full_disk_does_not_lose_the_table(tmp_path, bundles, capsys, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "write_text", full)
    bundle = bundles.make_bundle(tmp_path / "b")
    assert main(["matrix", str(bundle), "--json", str(tmp_path / "m.json"), "--quiet"]) != 0
    assert "decoder.float32.onnx" in capsys.readouterr().out


def test_bad_usage_is_refused_before_any_work(tmp_path, bundles):
    bundle = bundles.make_bundle(tmp_path / "b")
    with pytest.raises(SpecError, match="unknown target 'nod': did you mean 'node'"):
        matrix_bundle(bundle, targets=("nod",))
    assert main(["matrix", str(bundle), "--targets", ",", "--quiet"]) == 2
    assert main(["matrix", str(bundle), "--json", str(tmp_path / "none" / "m.json"), "--quiet"]) == 2
