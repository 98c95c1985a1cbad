"""This pocketvae as a wheel."""

import os
import subprocess
import sys

from pocketvae.benchmarks.remote.wheel import WHEEL_NAME, wheel_bytes


def test_this_pocketvae_runs_from_its_wheel_alone(tmp_path, bundles):
    (tmp_path / WHEEL_NAME).write_bytes(wheel_bytes())
    bundle = bundles.make_bundle(tmp_path / "b")
    code = (
        "import sys, pocketvae\nfrom importlib.metadata import version\nfrom pocketvae.cli.main import main\n"
        f"assert {WHEEL_NAME!r} in pocketvae.__file__ and version('pocketvae')\n"
        f"sys.exit(main(['verify', {str(bundle)!r}]))"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / WHEEL_NAME), "PYTHONSAFEPATH": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "2 of 2 artifacts match" in done.stdout


def test_the_same_sources_give_the_same_wheel_without_the_images():
    assert wheel_bytes.__wrapped__() == wheel_bytes.__wrapped__()
    # The code alone; the images are nine times as much.
    assert len(wheel_bytes()) < 2_000_000
