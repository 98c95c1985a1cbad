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
def command(elsewhere):
    def run(*words, code=0):
        return elsewhere("-m", "pocketvae.cli.main", *words, code=code)

    return run


def test_the_other_system_is_another(elsewhere):
    look = "import sys, pocketvae.system.environment as seen; print(seen.sys.platform, sys.platform)"
    assert elsewhere("-c", look).stdout.split() == [elsewhere.system, "linux"]
    # Without this the tests below would prove nothing.
    read = "from pocketvae.system.environment import _read_line, Path; print(_read_line(Path('/proc/meminfo')))"
    assert elsewhere("-c", read).stdout == "None\n"


@pytest.mark.parametrize("words", [["--help"], ["train", "--help"]])
def test_help(command, words):
    assert "pocketvae" in command(*words).stdout


def test_a_bundle_is_inspected_verified_and_timed(command, bundles, tmp_path):
    bundle = bundles.make_bundle(tmp_path / "b")
    assert "decoder" in command("inspect", bundle).stdout
    command("verify", bundle, "--json", "v.json", "--html", "v.html", "--quiet")
    assert json.loads((tmp_path / "v.json").read_text())["passed"]
    command("bench", bundle, "--no-original", "--json", "b.json", "--html", "b.html", "--quiet")
    results = json.loads((tmp_path / "b.json").read_text())["results"]
    assert all(row["peak_rss_bytes"] > 1e6 for row in results)
    command("doctor")


def test_a_bundle_generates_compresses_and_scores(command, bundles, tmp_path):
    bundle = bundles.make_bundle(tmp_path / "b")
    images = np.random.default_rng(0).integers(0, 256, (400, bundles.SIDE, bundles.SIDE, 1), dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)
    command("generate", bundle, "--seed", "1", "--count", "4", "--out", "grid.png", "--quiet")
    command("generate", bundle, "--seed", "1", "--count", "40", "--out", "many", "--quiet")
    command("compress", bundle, "images.npy", "--fit", "--fit-steps", "1", "--quiet")
    command("compress", bundle, "images.npy", "--out", "images.pvae", "--quiet")
    command("decompress", bundle, "images.pvae", "--out", "back.npz", "--quiet")
    command("score", bundle, "images.npy", "--calibration", "c.json", "--calibrate", "--quiet")
    command("score", bundle, "images.npy", "--calibration", "c.json", "--csv", "scores.csv", "--quiet")


def test_what_needs_linux_says_so_by_name(command, bundles, tmp_path):
    listed = command("targets").stdout
    assert "the target arm64 needs Linux: QEMU emulates single programs there alone" in listed
    assert "the target tflm needs Linux: tflite-micro has no wheels for another system" in listed
    assert "the target arm64 needs Linux" in command("targets", "setup", "arm64", "--yes", code=3).stderr
    bundle = bundles.make_bundle(tmp_path / "b")
    counted = command("bench", bundle, "--no-original", "--instructions", "--quiet", code=3)
    assert "counting instructions needs Linux" in counted.stderr


def test_what_is_other_there_passes_its_own_tests(elsewhere):
    # Windows keeps pixels in its page file, which has no place and no name, and locks no folder itself; nothing tells
    # there whether a temporary file belongs to a process that is still at work.
    windows = "pixels_lie_in_a_file or disk_without_room or PathItself or a_killed_process_left or of_the_same_file"
    left_out = windows if elsewhere.system == "win32" else "nothing"
    options = ("-q", "-p", "no:cacheprovider", "-m", "not slow", "-k", f"not ({left_out})")
    elsewhere("-m", "pytest", *options, *(TESTS / tests for tests in OWN_TESTS))


@pytest.mark.slow
def test_training_and_export(command, mnist_npz, tmp_path):
    sizes = ("latent_dim=2", "channels=[4]", "hidden_units=8", "epochs=1", "warmup_steps=1")
    options = [word for size in sizes for word in ("--set", size)]
    command("train", "--data", mnist_npz, "--out", "run", *options, "--quiet")
    chosen = ("--precisions", "float32", "--components", "decoder", "--rewrites", "none")
    command("export", "run", "--out", "bundle", *chosen, "--quiet")
    command("verify", "bundle", "--quiet")
    command("generate", "bundle", "--seed", "1", "--count", "4", "--out", "grid.png", "--quiet")
