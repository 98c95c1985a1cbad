"""The campaign of kills, in short, and that it finds what it looks for."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are looked for in /proc")

STUDIES = Path(__file__).parents[2] / "studies"


def test_help_says_what_is_done():
    command = [sys.executable, str(STUDIES / "kills.py"), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    assert "--kills" in done.stdout


def test_a_few_kills_leave_nothing(study, tmp_path, bundles, capsys):
    kills = study("kills")
    bundle = bundles.make_bundle(tmp_path / "b")
    words = ["nowhere", str(bundle), "--kills", "5", "--commands", "generate=3,verify"]
    code = kills.main([*words, "--json", str(tmp_path / "k.json")])
    # The moments differ each time; the seed is told where something is found.
    assert code == 0, capsys.readouterr().out
    record = json.loads((tmp_path / "k.json").read_text())
    assert record["kills"] == 5
    assert record["with_faults"] == 0
    assert record["by_command"] == {"generate": 3, "verify": 2}
    assert len(record["trials"]) == 5 + record["ended_before_the_signal"]
    assert str(tmp_path) not in (tmp_path / "k.json").read_text()


def test_an_unknown_command_is_refused(study, bundles, tmp_path, capsys):
    kills = study("kills")
    assert kills.main(["nowhere", str(bundles.make_bundle(tmp_path / "b")), "--commands", "verfy"]) == 2
    assert "did you mean 'verify'" in capsys.readouterr().err


# Leaves a half-written file, a traceback and a process behind when it is asked to end, and then refuses to run.
_BAD = """
import os, signal, subprocess, sys, time
if os.path.exists("half"):
    sys.exit("half is in the way: delete it")
def end(number, frame):
    open("half", "w").close()
    subprocess.Popen([sys.executable, "-I", "-S", "-c", "import time; time.sleep(60)"], start_new_session=True)
    print("Traceback (most recent call last):", file=sys.stderr)
    sys.exit(1)
signal.signal(signal.SIGTERM, end)
time.sleep(60)
"""


def test_what_is_left_is_found(study, tmp_path, monkeypatch):
    trials = study("kill_trials")
    monkeypatch.setattr(trials, "_ORPHAN_GRACE_S", 0.2)
    command = trials.Command(
        name="bad", words=(_BAD,), outputs=("out",), check=print, program=(sys.executable, "-I", "-S", "-c")
    )
    plan = trials.Plan(number=signal.SIGTERM, delay_s=1.0, to_group=False)
    whole = trials.Whole(duration_s=60.0, temporary=frozenset())
    faults = trials.kill_chain(command, tmp_path / "t", [plan], whole)[0][0].faults
    assert faults == (
        "1 processes were left behind",
        "it ended with 1: Traceback (most recent call last):",
        "it printed a traceback: Traceback (most recent call last):",
        "it left half",
        "the same command then ended with 1: half is in the way: delete it",
        "the same command then left half",
    )


def test_one_that_does_not_end_is_found(study, tmp_path, monkeypatch):
    trials = study("kill_trials")
    monkeypatch.setattr(trials, "HANG_S", 0.2)
    monkeypatch.setattr(trials, "_LONGEST_RUN_S", 0.2)
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    command = trials.Command(
        name="deaf", words=(deaf,), outputs=("out",), check=print, program=(sys.executable, "-I", "-S", "-c")
    )
    plan = trials.Plan(number=signal.SIGTERM, delay_s=1.0, to_group=False)
    whole = trials.Whole(duration_s=60.0, temporary=frozenset())
    (trial,), _ = trials.kill_chain(command, tmp_path / "t", [plan], whole)
    assert trial.faults[0] == "it did not end within 0.2 s"
    assert trial.faults[-1] == "the same command then hung"
