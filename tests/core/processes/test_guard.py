import subprocess
import sys
import time

import pytest

from pocketvae.errors import SpecError
from pocketvae.processes import guard
from pocketvae.processes.guard import MemoryGuard, machine_bytes, used_bytes

HOLD = "import sys; held = bytearray(b'x' * int(sys.argv[1])); print('ready', flush=True); sys.stdin.read()"
PARENT = (
    "import subprocess, sys; child = subprocess.Popen([sys.executable, '-c', sys.argv[2], sys.argv[1]]); "
    "sys.exit(child.wait())"
)


@pytest.fixture
def start():
    processes = []

    def run(*arguments):
        process = subprocess.Popen(
            [sys.executable, "-c", *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        processes.append(process)
        assert process.stdout.readline() == b"ready\n"
        return process

    yield run
    for process in processes:
        process.kill()
        process.communicate()


def test_a_machine_has_memory():
    assert machine_bytes() > 100_000_000


def test_what_a_process_holds_is_counted(start):
    small, large = start(HOLD, 0), start(HOLD, 200_000_000)
    assert used_bytes(large.pid) - used_bytes(small.pid) == pytest.approx(200_000_000, rel=0.1)


def test_what_its_children_hold_is_counted(start):
    assert used_bytes(start(PARENT, 200_000_000, HOLD).pid) > 200_000_000


def test_a_process_that_has_ended_holds_nothing(start):
    process = start(HOLD, 0)
    process.kill()
    process.wait()
    assert used_bytes(process.pid) == 0


def test_a_guard_ends_what_uses_too_much_and_its_children(start):
    process = start(PARENT, 200_000_000, HOLD)
    guard = MemoryGuard(process.pid, 150_000_000)
    # psutil ends a process of Windows with SIGTERM's number.
    assert process.wait(30) == (15 if sys.platform == "win32" else -9)
    # The child held the other end of the pipe; now nobody does.
    assert process.stdout.read() == b""
    guard.release()
    assert guard.excess_bytes > 150_000_000


def test_a_guard_leaves_what_stays_below_alone(start):
    process = start(HOLD, 50_000_000)
    guard = MemoryGuard(process.pid, 500_000_000)
    time.sleep(0.5)
    guard.release()
    assert process.poll() is None
    assert guard.excess_bytes == 0


def test_work_that_cannot_fit_is_refused(monkeypatch):
    monkeypatch.setattr(guard, "machine_bytes", lambda: 8_000_000_000)
    guard.check_memory(8_000_000_000, "training", "lower batch_size")
    message = r"training must fit into this machine's memory of 8.0 GB, but takes at least 9.0 GB: lower batch_size"
    with pytest.raises(SpecError, match=message):
        guard.check_memory(9_000_000_000, "training", "lower batch_size")
    # Where nobody says how much there is, nothing is refused.
    monkeypatch.setattr(guard, "machine_bytes", lambda: None)
    guard.check_memory(9_000_000_000, "training", "lower batch_size")
