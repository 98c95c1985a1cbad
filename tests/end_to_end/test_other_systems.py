"""What needs no Linux, under the name of another system and without what that has not; see tests/other_systems."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

TESTS = Path(__file__).parents[1]
SYSTEMS = ("win32", "darwin")
# Runs commands one after the other in one interpreter, and says on both streams where each has ended.
RUN_EACH = """
import json, sys
from pocketvae.cli.main import main
for code, words in json.loads(sys.argv[1]):
    try:
        found = main(words)
    except SystemExit as e:
        found = e.code or 0
    assert found == code, (words, found)
    print("ENDED", flush=True)
    print("ENDED", file=sys.stderr, flush=True)
"""
# Tests of what is different there: they see the system as it is, and what they test another one.
OWN_TESTS = (
    "core/system/test_folders.py",
    "core/system/test_files.py",
    "core/system/test_locks.py",
    "core/processes/test_guard.py",
    "core/data/test_image_folder.py",
)


@pytest.fixture(params=SYSTEMS)
def elsewhere(request, tmp_path):
    """Starts a fresh interpreter on another system."""

    def run(*words, code=0, limit_s=300):
        environment = {
            **os.environ,
            "POCKETVAE_TEST_SYSTEM": request.param,
            "POCKETVAE_CACHE": str(tmp_path / "cache"),
            "PYTHONPATH": str(TESTS / "other_systems"),
        }
        command = [sys.executable, *map(str, words)]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=limit_s, check=False
        )
        assert done.returncode == code, done.stdout[-3000:] + done.stderr[-3000:]
        return done

    run.system = request.param
    return run


@pytest.fixture
def commands(elsewhere):
    """Runs commands in one interpreter, and returns what each printed on stdout and on stderr."""

    def run(*lines):
        """Takes the words of each; one that must not end with 0 begins with its code."""
        split = [(line[0], line[1:]) if isinstance(line[0], int) else (0, line) for line in lines]
        calls = json.dumps([(code, [*map(str, words)]) for code, words in split])
        done = elsewhere("-c", RUN_EACH, calls, limit_s=600)
        return list(zip(done.stdout.split("ENDED\n"), done.stderr.split("ENDED\n"), strict=True))[: len(lines)]

    return run


def test_the_other_system_is_another(elsewhere):
    look = "import sys, pocketvae.system.environment as seen; print(seen.sys.platform, sys.platform)"
    # Without this the tests below would prove nothing.
    read = "print(seen._read_line(seen.Path('/proc/meminfo')))"
    assert elsewhere("-c", f"{look}; {read}").stdout.split() == [elsewhere.system, "linux", "None"]


def test_help(elsewhere):
    assert "pocketvae train" in elsewhere("-m", "pocketvae.cli.main", "train", "--help").stdout


def test_a_bundle_is_inspected_verified_and_timed(commands, bundles, tmp_path):
    bundle = bundles.make_bundle(tmp_path / "b")
    (general, _), (inspected, _), *_ = commands(
        ("--help",),
        ("inspect", bundle),
        ("verify", bundle, "--json", "v.json", "--html", "v.html", "--quiet"),
        ("bench", bundle, "--no-original", "--json", "b.json", "--html", "b.html", "--quiet"),
        ("doctor",),
    )
    assert "pocketvae COMMAND --help" in general
    assert "decoder" in inspected
    assert json.loads((tmp_path / "v.json").read_text())["passed"]
    results = json.loads((tmp_path / "b.json").read_text())["results"]
    assert results
    assert all(row["peak_rss_bytes"] > 1e6 for row in results)


def test_a_bundle_generates_compresses_and_scores(commands, bundles, tmp_path):
    bundle = bundles.make_bundle(tmp_path / "b")
    images = np.random.default_rng(0).integers(0, 256, (400, bundles.SIDE, bundles.SIDE, 1), dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)
    commands(
        ("generate", bundle, "--seed", "1", "--count", "4", "--out", "grid.png", "--quiet"),
        ("generate", bundle, "--seed", "1", "--count", "40", "--out", "many", "--quiet"),
        ("compress", bundle, "images.npy", "--fit", "--fit-steps", "1", "--quiet"),
        ("compress", bundle, "images.npy", "--out", "images.pvae", "--quiet"),
        ("decompress", bundle, "images.pvae", "--out", "back.npz", "--quiet"),
        ("score", bundle, "images.npy", "--calibration", "c.json", "--calibrate", "--quiet"),
        ("score", bundle, "images.npy", "--calibration", "c.json", "--csv", "scores.csv", "--quiet"),
    )


def test_what_needs_linux_says_so_by_name(commands, bundles, tmp_path):
    bundle = bundles.make_bundle(tmp_path / "b")
    (listed, _), (_, refused), (_, counted) = commands(
        ("targets",),
        (3, "targets", "setup", "arm64", "--yes"),
        (3, "bench", bundle, "--no-original", "--instructions", "--quiet"),
    )
    assert "the target arm64 needs Linux: QEMU emulates single programs there alone" in listed
    assert "the target tflm needs Linux: tflite-micro has no wheels for another system" in listed
    assert "the target arm64 needs Linux" in refused
    assert "counting instructions needs Linux" in counted


def test_what_is_other_there_passes_its_own_tests(elsewhere):
    # Windows keeps pixels in its page file, which has no place and no name, and locks no folder itself; nothing tells
    # there whether a temporary file belongs to a process that is still at work.
    windows = "pixels_lie_in_a_file or disk_without_room or PathItself or a_killed_process_left or of_the_same_file"
    left_out = windows if elsewhere.system == "win32" else "nothing"
    options = ("-q", "-p", "no:cacheprovider", "-m", "not slow", "-k", f"not ({left_out})")
    elsewhere("-m", "pytest", *options, *(TESTS / tests for tests in OWN_TESTS))


@pytest.mark.slow
def test_training_and_export(commands, mnist_npz):
    sizes = ("latent_dim=2", "channels=[4]", "hidden_units=8", "epochs=1", "warmup_steps=1")
    options = [word for size in sizes for word in ("--set", size)]
    chosen = ("--precisions", "float32", "--components", "decoder", "--rewrites", "none")
    commands(
        ("train", "--data", mnist_npz, "--out", "run", *options, "--quiet"),
        ("export", "run", "--out", "bundle", *chosen, "--quiet"),
        ("verify", "bundle", "--quiet"),
        ("generate", "bundle", "--seed", "1", "--count", "4", "--out", "grid.png", "--quiet"),
    )
