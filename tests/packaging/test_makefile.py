"""What make says before it installs anything."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def checked(tmp_path):
    """Runs make with a Python of another version, as far as the check."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")

    def run(version):
        python = tmp_path / "python"
        pretend = f"import sys; sys.version_info = ({version}, 0); exec(sys.argv[1])"
        # The check is `-c CODE`; what comes after it would make an environment.
        python.write_text(f"#!/bin/sh\n[ $1 = -c ] || exit 9\nexec {sys.executable} -c '{pretend}' \"$2\"\n")
        python.chmod(0o755)
        command = ["make", "--silent", f"{tmp_path}/none/.base", f"VENV={tmp_path}/none", f"PYTHON={python}"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        return done.stderr.splitlines()

    return run


@pytest.mark.posix
@pytest.mark.parametrize("version", ["3, 10", "3, 14"])
def test_a_python_that_is_too_old_or_too_new_is_told_in_one_line(checked, version):
    told, failed = checked(version)
    assert told.startswith(
        "Python 3.11, 3.12 or 3.13 is needed, for which all pinned packages have wheels, and this is "
    )
    assert version.replace(", ", ".") + ": make PYTHON=python3.13" in told
    assert "Error 1" in failed


@pytest.mark.posix
@pytest.mark.parametrize("version", ["3, 11", "3, 12", "3, 13"])
def test_the_versions_between_go_on(checked, version):
    (failed,) = checked(version)
    assert "Error 9" in failed
