"""A time limit for all that a thread does."""

import subprocess
import sys
import threading
import time

import pytest

from pocketvae.processes import deadline as module
from pocketvae.processes.deadline import Deadline, run_program, within
from pocketvae.system import leftovers


def test_each_wait_takes_what_is_left(monkeypatch):
    monkeypatch.setattr(module, "_CLEANUP_S", 0.5)
    assert within(100) == 100
    with Deadline(50).applied():
        assert 49 < within(100) <= 50
        assert within(10) == 10
    with Deadline(0.2).applied():
        assert 0 < within(100) <= 0.2
        other = []
        thread = threading.Thread(target=lambda: other.append(within(100)))
        thread.start()
        thread.join()
        assert other == [100]
    assert within(100) == 100


def test_what_is_cut_leaves_time_to_clean_up(monkeypatch):
    monkeypatch.setattr(module, "_CLEANUP_S", 0.5)
    deadline = Deadline(50)
    assert not deadline.is_over
    assert deadline.reason == "its time limit of 50 s was over"
    deadline.cut("interrupted")
    assert deadline.is_over
    assert deadline.reason == "interrupted"
    with deadline.applied():
        assert within(100) == 0.5


def test_a_program_is_given_its_input_and_ended_in_time(monkeypatch):
    monkeypatch.setattr(module, "_CLEANUP_S", 0.1)
    done = run_program([sys.executable, "-c", "print(input()[::-1]); exit(3)"], 60, send=b"abc")
    assert (done.returncode, done.stdout.strip()) == (3, b"cba")
    deadline = Deadline(0)
    with deadline.applied(), pytest.raises(subprocess.TimeoutExpired):
        run_program([sys.executable, "-c", "import time; time.sleep(60)"], 60)


def test_a_program_of_another_thread_ends_with_what_is_left_over():
    codes = []
    script = [sys.executable, "-c", "import time; time.sleep(60)"]
    known = set(leftovers._registered)
    thread = threading.Thread(target=lambda: codes.append(run_program(script, 60).returncode))
    thread.start()
    while not set(leftovers._registered) - known:
        time.sleep(0.01)
    for number in set(leftovers._registered) - known:
        leftovers._registered[number]()
    thread.join(30)
    assert codes
    assert codes[0] != 0
