"""Every command that works for long, interrupted at every stage that it reports and before every result is renamed."""

import os
import signal
from pathlib import Path

import pytest

from pocketvae.cli.main import main
from pocketvae.cli.terminal import Terminal
from pocketvae.system import files

pytestmark = pytest.mark.posix

CODES = {signal.SIGTERM: 143, signal.SIGHUP: 129, signal.SIGINT: 130}
RENAMED = "renaming"

# Outputs are relative: each run has an empty folder of its own.
COMMANDS = {
    "verify": ("verify", "{small}", "--json", "v.json", "--junit", "v.xml", "--html", "v.html"),
    "bench": ("bench", "{small}", "--artifacts", "decoder.float32.onnx", "--no-original", "--json", "b.json"),
    "generate": ("generate", "{bundle}", "--count", "40", "--out", "images"),
    "reconstruct": ("reconstruct", "{bundle}", "{images}", "--out", "r.png"),
    "interpolate": ("interpolate", "{bundle}", "--seeds", "1,2", "--out", "i.png"),
    "traverse": ("traverse", "{bundle}", "--out", "t.png"),
    "encode": ("encode", "{bundle}", "{images}", "--out", "z.npz"),
    "fit": ("compress", "{bundle}", "{images}", "--fit", "--fit-steps", "2", "--tables", "codec.npz"),
    "compress": ("compress", "{bundle}", "{images}", "--tables", "{tables}", "--out", "c.pvc"),
    "decompress": ("decompress", "{bundle}", "{compressed}", "--tables", "{tables}", "--out", "d"),
    "score": ("score", "{bundle}", "{images}", "--calibrate", "--calibration", "k.json"),
}


class Moments:
    """Counts the moments of a command and sends this process a signal at one of them."""

    def __init__(self, monkeypatch):
        self.seen, self._at, self._signal = [], None, None
        step, replace, appear = Terminal.step, Path.replace, files._appear
        monkeypatch.setattr(Terminal, "step", lambda terminal, now: self._pass(now.stage) or step(terminal, now))
        monkeypatch.setattr(Path, "replace", lambda path, to: self._pass(RENAMED) or replace(path, to))
        # Without --force a new file takes no other's place.
        monkeypatch.setattr(files, "_appear", lambda path, to: self._pass(RENAMED) or appear(path, to))

    def run(self, words, *, at=None, number=None):
        self.seen, self._at, self._signal = [], at, number
        return main([str(word) for word in words])

    def _pass(self, name):
        self.seen.append(name)
        if len(self.seen) - 1 == self._at:
            signal.raise_signal(self._signal)


@pytest.fixture(autouse=True)
def signals_have_their_defaults():
    """Tests that run under nohup or in the background of a script inherit ignored signals."""
    kept = {number: signal.signal(number, signal.SIG_DFL) for number in CODES}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


@pytest.fixture(scope="module")
def inputs(tiny_bundle, mnist_npz, bundles, tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    tables, compressed = folder / "codec.npz", folder / "kept.pvc"
    words = ["compress", str(tiny_bundle), str(mnist_npz), "--tables", str(tables)]
    assert main([*words, "--fit", "--fit-steps", "2"]) == 0
    assert main([*words, "--out", str(compressed)]) == 0
    small = bundles.make_bundle(folder / "small")
    return {"bundle": tiny_bundle, "small": small, "images": mnist_npz, "tables": tables, "compressed": compressed}


@pytest.mark.parametrize("name", COMMANDS)
def test_an_interrupted_command_leaves_nothing(name, inputs, tmp_path, monkeypatch, capsys):
    words = [word.format(**inputs) for word in COMMANDS[name]]
    moments = Moments(monkeypatch)
    (tmp_path / "whole").mkdir()
    monkeypatch.chdir(tmp_path / "whole")
    assert moments.run(words) == 0, capsys.readouterr().err
    assert RENAMED in moments.seen
    last_of_each = {moment: index for index, moment in enumerate(moments.seen)}
    for turn, index in enumerate(sorted({0, *last_of_each.values()})):
        number = list(CODES)[turn % len(CODES)]
        folder = tmp_path / str(index)
        folder.mkdir()
        os.chdir(folder)
        assert moments.run(words, at=index, number=number) == CODES[number], (name, moments.seen, capsys.readouterr())
        assert "interrupted; " in capsys.readouterr().err
        # A result that was renamed before the signal is whole; nothing else may be there.
        earlier = moments.seen[:index].count(RENAMED)
        left = sorted(path.name for path in folder.iterdir())
        assert len(left) <= earlier, (name, moments.seen[index], left)
        assert not [entry for entry in left if entry.startswith(".") or "tmp" in entry]
        if kept := [entry for entry in left if entry.endswith(".unfinished")]:
            assert kept == [f"{words[-1]}.unfinished"]
            assert main([*words, "--resume"]) == 0
            assert [path.name for path in folder.iterdir()] == [words[-1]]
