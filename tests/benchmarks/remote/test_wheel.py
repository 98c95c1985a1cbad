"""Wheels: this pocketvae as one, and those of another machine."""

import os
import subprocess
import sys
import zipfile

import pytest

from pocketvae.benchmarks.remote.wheel import WHEEL_NAME, wheel_bytes
from pocketvae.errors import TargetError
from pocketvae.system.tools.pip import unpack_wheel


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
    assert wheel_bytes() == wheel_bytes()
    assert len(wheel_bytes()) < 1_000_000


def test_a_wheel_of_another_machine_is_refused(tmp_path):
    wheel = tmp_path / "numpy-2.4-cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl"
    with pytest.raises(TargetError, match="is for .*x86_64, but the target is aarch64"):
        unpack_wheel(wheel, tmp_path, "aarch64")


def test_wheels_of_the_machine_and_of_any_are_unpacked(tmp_path):
    for name in ("a-1-py3-none-any.whl", "b-1-cp311-cp311-manylinux2014_aarch64.whl"):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr(name[0], "x")
        unpack_wheel(tmp_path / name, tmp_path / "site", "aarch64")
    assert sorted(path.name for path in (tmp_path / "site").iterdir()) == ["a", "b"]
    (tmp_path / "c-1-py3-none-any.whl").write_bytes(b"no zip")
    with pytest.raises(TargetError, match="c-1-py3-none-any.whl is damaged"):
        unpack_wheel(tmp_path / "c-1-py3-none-any.whl", tmp_path / "site", "aarch64")
