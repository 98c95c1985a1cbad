"""pocketvae targets, and bench on targets, without a network."""

import pytest

from pocketvae.benchmarks.couriers.setup import SetupStep
from pocketvae.benchmarks.targets import Target, known_targets
from pocketvae.benchmarks.targets import registry as registry_module
from pocketvae.cli import targets as command
from pocketvae.cli.main import main
from pocketvae.errors import TargetError


class Board(Target):
    """Can be set up, and says how often it was."""

    name, summary = "board", "a board"

    def __init__(self, *, fails=False):
        self.fails, self.taken = fails, []

    def unavailable(self):
        return None if self.taken else "not set up: run pocketvae targets setup board"

    def open(self, bundle):
        raise TargetError("not for this test")

    def setup(self):
        def take():
            if self.fails:
                raise TargetError("the package cannot be had")
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


def test_setup_says_what_it_downloads_and_asks(capsys, board, monkeypatch):
    monkeypatch.setattr("sys.stdin", None)
    monkeypatch.setattr(command, "_agreed", lambda: False)
    assert main(["targets", "setup", "board"]) == 3
    said = capsys.readouterr()
    assert "board needs, about 12 MB to download:" in said.out
    assert "a package, about 12 MB" in said.out
    assert "nothing was downloaded" in said.err
    assert board.taken == []


def test_setup_is_done_once(capsys, board):
    assert main(["targets", "setup", "board", "--yes"]) == 0
    assert main(["targets", "setup", "board", "--yes"]) == 0
    assert board.taken == ["step"]
    assert capsys.readouterr().out.splitlines()[-1] == "board: works"


def test_what_cannot_be_had_is_told(capsys, board):
    board.fails = True
    assert main(["targets", "setup", "board", "--yes"]) == 3
    assert "board: the package cannot be had" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["stup", "node"], "takes list, setup, remove, got 'stup'"),
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
    assert set(known_targets()) == {"host", "arm64", "chromium", "node", "ssh", "tflm"}
    assert known_targets()[0] == "host"
    assert registry_module.make_target("chromium:webgpu").name == "chromium:webgpu"


@pytest.mark.parametrize("name", ["arm64", "tflm", "chromium:webgpu"])
def test_bench_refuses_a_target_whose_time_means_nothing(name, tmp_path, bundles, capsys):
    bundle = bundles.make_bundle(tmp_path / "b")
    assert main(["bench", str(bundle), "--targets", name, "--quiet"]) == 2
    assert f"{name} is for parity: its time says nothing about a device" in capsys.readouterr().err


def test_bench_on_a_target_that_is_missing_names_what_did_not_run(tmp_path, bundles, capsys, monkeypatch):
    monkeypatch.setenv("POCKETVAE_CACHE", str(tmp_path / "none"))
    monkeypatch.setenv("POCKETVAE_NODE", "node")
    bundle = bundles.make_bundle(tmp_path / "b")
    assert main(["bench", str(bundle), "--targets", "node", "--quiet"]) == 3
    err = capsys.readouterr().err
    assert "not run: decoder.float32.onnx (node): onnxruntime-node is not set up" in err
