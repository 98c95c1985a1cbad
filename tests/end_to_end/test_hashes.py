"""A command reads and hashes each file of a bundle once, whatever it writes beside the verdict."""

from collections import Counter
from pathlib import Path

import pytest

from pocketvae.benchmarks.latency.measure import side_by_side
from pocketvae.bundle import bundle as reading
from pocketvae.bundle import embedded
from pocketvae.spec import Format


@pytest.fixture
def hashed(monkeypatch):
    """Counts how often each file is hashed."""
    counts: Counter[str] = Counter()
    real = reading.sha256_file

    def count(path):
        counts[str(path)] += 1
        return real(path)

    monkeypatch.setattr(reading, "sha256_file", count)
    return counts


COMMANDS = {
    "verify": ("verify", "B", "--layers", "--thorough", "--html", "r.html", "--save-worst", "worst"),
    "bench": ("bench", "B", "--no-original", "--html", "b.html", "--recommend"),
    "baseline": ("bench", "B", "--no-original", "--baseline", "A"),
    "matrix": ("matrix", "B", "--html", "m.html"),
    "compare": ("compare", "A", "B"),
    "inspect": ("inspect", "B"),
    "lint": ("inspect", "B", "--lint"),
    "pareto": ("inspect", "B", "--pareto"),
}


def equally_fast(contests, order, found):
    """Takes the place of a launch."""
    for contest in contests:
        found.log_ratios.setdefault(contest.artifact, []).append(0.0)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_file_is_hashed_once(command, hashed, bundles, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    # What is launched reads its file for itself; here it is this process that counts.
    monkeypatch.setattr(side_by_side, "_launch", equally_fast)
    paths = {place: bundles.make_bundle(tmp_path / place) for place in ("A", "B")}
    outcome = command(*(paths.get(word, word) for word in COMMANDS[name]))
    assert outcome.code == 0, outcome.err
    used = [path for place, path in paths.items() if place in COMMANDS[name]]
    files = [str(path / file.path) for path in used for file in reading.open_bundle(path).manifest.files()]
    assert files
    hashed.subtract(files)  # what was just opened, to know the files
    assert hashed == Counter(files)


def test_a_single_file_is_read_and_hashed_once(command, bundles, lone_files, tmp_path, monkeypatch):
    weight = bundles.right_weight()
    file = tmp_path / "mine.onnx"
    content = bundles.decoder_model(weight).SerializeToString()
    file.write_bytes(lone_files.signed(tmp_path, Format.ONNX, content, weight))
    read, hashed = [], []
    real_read, real_hash = Path.read_bytes, embedded.content_hash
    monkeypatch.setattr(Path, "read_bytes", lambda path: read.append(path) or real_read(path))
    monkeypatch.setattr(embedded, "content_hash", lambda *given: hashed.append(given) or real_hash(*given))
    assert command("verify", file).code == 0
    assert read.count(file) == len(hashed) == 1
