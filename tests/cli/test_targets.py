"""pocketvae targets, and bench on targets, without a network."""

import json
import sys

import pytest

from pocketvae.benchmarks.execution.running import Latency
from pocketvae.benchmarks.targets import Target, TargetRun, known_targets, make_target
from pocketvae.benchmarks.targets import registry as registry_module
from pocketvae.cli import targets as command
from pocketvae.cli.main import main
from pocketvae.errors import OutputExistsError, TargetError
from pocketvae.system.tools.setup import SetupStep


class Board(Target):
    """Can be set up, and says how often it was."""

    name, summary = "board", "a board"

    def __init__(self):
        self.error, self.taken = None, []

    def unavailable(self):
        return None if self.taken else "not set up: run pocketvae targets setup board"

    def open(self, bundle):
        raise TargetError("not for this test")

    def setup(self):
        def take():
            if self.error is not None:
                raise self.error
            self.taken.append("step")

        return (SetupStep(text="a package", download_bytes=12_300_000, is_done=lambda: bool(self.taken), take=take),)


@pytest.fixture
def board(monkeypatch):
    board = Board()
    import pocketvae.benchmarks.targets as package

    monkeypatch.setattr(package, "make_target", lambda name: board)
    return board


def test_the_list_names_every_target_and_what_is_missing(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("POCKETVAE_CACHE", str(tmp_path))
    assert main(["targets"]) == 0
    out = capsys.readouterr().out
    for name in known_targets():
        assert name in out
    assert "run pocketvae targets setup tflm" in out
    assert main(["targets", "list", "tflm"]) == 3
    assert list(tmp_path.iterdir()) == []


def test_all_names_what_needs_no_other_machine(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("POCKETVAE_CACHE", str(tmp_path))
    assert main(["targets", "list", "all"]) == 3
    out = capsys.readouterr().out
    assert "tflm" in out
    assert "ssh://user@host" not in out


def test_setup_says_what_it_downloads_and_asks(capsys, board, monkeypatch):
    monkeypatch.setattr("sys.stdin", None)
    monkeypatch.setattr(command, "_agreed", lambda: False)
    assert main(["targets", "setup", "board"]) == 3
    said = capsys.readouterr()
    assert "board needs these steps, about 12 MB to download:" in said.out
    assert "a package, about 12 MB" in said.out
    assert "nothing was downloaded" in said.err
    assert board.taken == []


def test_setup_is_done_once(capsys, board):
    assert main(["targets", "setup", "board", "--yes"]) == 0
    assert main(["targets", "setup", "board", "--yes"]) == 0
    assert board.taken == ["step"]
    assert capsys.readouterr().out.splitlines()[-1] == "board: works"


@pytest.mark.parametrize(
    "error",
    [
        TargetError("the package cannot be had"),
        OutputExistsError("another process is making it"),
        OSError(28, "No space left on device"),
    ],
)
def test_what_cannot_be_had_is_told_and_the_next_is_set_up(capsys, monkeypatch, error):
    import pocketvae.benchmarks.targets as package

    boards = {"broken": Board(), "board": Board()}
    boards["broken"].name, boards["broken"].error = "broken", error
    monkeypatch.setattr(package, "make_target", boards.__getitem__)
    assert main(["targets", "setup", "broken", "board", "--yes"]) == 3
    said = capsys.readouterr()
    assert f"broken: {error}" in said.err
    assert "board: works" in said.out


@pytest.mark.parametrize(
    ("name", "variable"), [("node", "POCKETVAE_NODE"), ("chromium", "POCKETVAE_CHROMIUM"), ("arm64", "POCKETVAE_QEMU")]
)
@pytest.mark.parametrize("kind", ["nothing", "folder", "text"])
def test_a_named_program_that_cannot_be_run_is_told_by_name(name, variable, kind, capsys, monkeypatch, tmp_path):
    program = tmp_path / "program"
    if kind == "folder":
        program.mkdir()
    elif kind == "text":
        program.write_text("no program")
    monkeypatch.setenv(variable, str(program))
    # A long path would be broken by the width of a table.
    monkeypatch.setattr("pocketvae.cli.terminal._WIDE_COLUMNS", 400)
    assert main(["targets", "list", name]) == 3
    assert f"{variable} names {program}, which is not a program that can run here" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["stup", "node"], "the action must be one of list, setup, remove, got 'stup'"),
        (["setup"], "at least one target must be named"),
        (["setup", "nod", "--yes"], "unknown target 'nod': did you mean 'node'"),
    ],
)
def test_bad_usage_is_refused(capsys, words, text):
    assert main(["targets", *words]) == 2
    assert text in capsys.readouterr().err


def test_remove_takes_away_what_setup_made(tmp_path, monkeypatch):
    monkeypatch.setenv("POCKETVAE_CACHE", str(tmp_path))
    made = tmp_path / "targets" / "node" / "packages"
    made.mkdir(parents=True)
    assert main(["targets", "remove", "node"]) == 0
    assert not made.exists()


def test_a_new_target_is_one_module():
    names = {
        "android",
        "arm64",
        "chromium",
        "ethos-u",
        "gpu",
        "hexagon",
        "host",
        "node",
        "openvino",
        "rknn",
        "ssh",
        "tflm",
        "tract",
    }
    assert set(known_targets()) == names
    assert known_targets()[0] == "host"
    assert registry_module.make_target("chromium:webgpu").name == "chromium:webgpu"


@pytest.mark.parametrize("name", ["arm64", "tflm", "chromium:webgpu"])
def test_bench_refuses_a_target_whose_time_means_nothing(name, tmp_path, bundles, capsys):
    bundle = bundles.make_bundle(tmp_path / "b")
    assert main(["bench", str(bundle), "--targets", name, "--quiet"]) == 2
    assert f"{name} only checks parity: its latency says nothing about a device" in capsys.readouterr().err


class ScriptedRun(TargetRun):
    """Answers every question for times with the same ones."""

    def run(self, artifact, inputs, **options):
        raise TargetError("not for this test")

    def latency(self, artifact, inputs, *, num_threads=1, count=200):
        assert all(len(values) for values in inputs.values())
        return Latency(
            load_s=0.5, first_s=0.25, values_s=tuple(0.002 + 1e-6 * i for i in range(count)), loops=num_threads
        )

    def close(self):
        """There is nothing to close."""


def test_bench_on_another_target_reports_its_times(tmp_path, bundles, capsys, monkeypatch):
    board = Board()
    board.taken, board.open = ["step"], lambda bundle: ScriptedRun()
    monkeypatch.setattr("pocketvae.benchmarks.latency.measure.remote_latency.make_target", lambda name: board)
    bundle = bundles.make_bundle(tmp_path / "b")
    words = ["bench", str(bundle), "--targets", "node", "--artifacts", "decoder.float32.onnx", "--threads", "1,2"]
    assert main([*words, "--json", str(tmp_path / "b.json"), "--quiet"]) == 0
    assert capsys.readouterr().out.count(" 2100 ") == 2
    rows = json.loads((tmp_path / "b.json").read_text())["elsewhere"]
    assert [(row["artifact"], row["target"], row["threads"]) for row in rows] == [
        ("decoder.float32.onnx", "board", 1),
        ("decoder.float32.onnx", "board", 2),
    ]
    for row in rows:
        assert row["median_s"] == pytest.approx(0.0020995)
        assert (row["load_s"], row["first_s"], len(row["values_s"])) == (0.5, 0.25, 200)


def test_what_the_system_refuses_one_target_costs_no_other(tmp_path, bundles, capsys, monkeypatch):
    """Bench and verify; a cache folder that takes no files is such a thing."""
    boards = {"node": Board(), "tract": Board(), "host": make_target("host")}
    boards["node"].name = "full"
    for board in (boards["node"], boards["tract"]):
        board.taken = ["step"]

    def refuse(bundle):
        raise OSError(28, "No space left on device", "/cache/answers")

    boards["node"].open, boards["tract"].open = refuse, lambda bundle: ScriptedRun()
    bundle = bundles.make_bundle(tmp_path / "b")
    for module, words, done, other in (
        ("latency.measure.remote_latency", ["bench", str(bundle), "--targets", "node,tract"], "elsewhere", "board"),
        ("parity.verify", ["verify", str(bundle), "--targets", "node,host"], "checks", "host"),
    ):
        monkeypatch.setattr(f"pocketvae.benchmarks.{module}.make_target", boards.__getitem__)
        assert main([*words, "--json", str(tmp_path / "r.json"), "--quiet"]) == 3
        result = json.loads((tmp_path / "r.json").read_text())
        assert {item["target"] for item in result[done]} == {other}
        assert {item["reason"] for item in result["not_run"]} == {"full: /cache/answers: No space left on device"}


def test_bench_on_a_target_that_is_missing_names_what_did_not_run(tmp_path, bundles, capsys, monkeypatch):
    monkeypatch.setenv("POCKETVAE_CACHE", str(tmp_path / "none"))
    monkeypatch.setenv("POCKETVAE_NODE", sys.executable)
    bundle = bundles.make_bundle(tmp_path / "b")
    assert main(["bench", str(bundle), "--targets", "node", "--quiet"]) == 3
    err = capsys.readouterr().err
    assert "not run: decoder.float32.onnx (node): onnxruntime-node is not set up" in err
