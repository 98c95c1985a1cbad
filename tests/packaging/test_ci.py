"""The script that CI runs: what it starts beside one another, its exit code and its last line."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Stands for make: writes down what it is asked for, and fails where a variable says so.
MAKE = """#!/bin/sh
echo "begin $1" >> "$RECORD"
case "$1" in
  targets) sleep 0.3 ;;
  test) while [ ! -e "$POCKETVAE_TESTS_AWAIT" ]; do sleep 0.05; done ;;
esac
echo "end $1 ${PYTHONDONTWRITEBYTECODE-unset}" >> "$RECORD"
echo "output of $1"
test "$1" != "$FAILS"
"""


@pytest.fixture
def run_ci(tmp_path):
    """Runs the script with another make; returns its exit code, its lines and what make was asked for."""
    (tmp_path / ".ci").mkdir()
    (tmp_path / ".ci" / "run").write_bytes((ROOT / ".ci" / "run").read_bytes())
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, text in (("make", MAKE), ("id", "#!/bin/sh\necho 1000\n")):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)

    def run(fails=""):
        record = tmp_path / "record"
        environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "RECORD": str(record), "FAILS": fails}
        environment["PYTHONDONTWRITEBYTECODE"] = "1"
        done = subprocess.run(
            ["bash", str(tmp_path / ".ci" / "run")],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return done.returncode, done.stdout.splitlines(), record.read_text().splitlines()

    return run


def test_tests_end_last_and_wait_for_every_target(run_ci):
    code, lines, record = run_ci()
    assert code == 0
    assert lines[-1] == "output of test"
    assert "output of targets" in lines
    assert record[:2] == ["begin .venv/.dev", "end .venv/.dev unset"]
    # The longest tests need no target, and begin at once.
    assert record.index("begin test") < record.index("end targets unset")
    assert record[-1] == "end test unset"
    assert {"end check unset", "end targets unset"} <= set(record[:-1])


@pytest.mark.parametrize("fails", [".venv/.dev", "check", "test"])
def test_what_fails_fails_the_whole(run_ci, fails):
    code, lines, record = run_ci(fails)
    assert code != 0
    assert lines[-1] != "output of test" or fails == "test"
    assert "end test unset" not in record or fails == "test"


def test_a_target_that_is_missing_is_said_and_the_tests_run(run_ci):
    code, lines, _ = run_ci("targets")
    assert code == 0
    assert "not every target is set up: its tests are skipped" in lines
    assert lines[-1] == "output of test"
