"""A real process, interrupted in the middle of its work, leaves nothing behind."""

import contextlib
import os
import signal
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.slow
_WAIT_S = 240


@pytest.fixture
def start(tmp_path):
    """Starts a command in its own process group; whatever is left of the group is ended after the test."""
    processes = []

    def run(*words):
        process = subprocess.Popen(
            [sys.executable, "-m", "pocketvae.cli.main", *map(str, words)],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            # A test run in the background of a script inherits an ignored SIGINT and would pass it on.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        processes.append(process)
        return process

    yield run
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def wait_for_line(process, text):
    """Reads stderr until a line begins with `text`: the work is under way."""
    for line in process.stderr:
        if line.startswith(text):
            return
    raise AssertionError(f"the process ended with {process.wait()} before it printed {text!r}")


def children(pid):
    done = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(word) for word in done.stdout.split()]


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A killed child of ours stays a zombie until its parent, also dead, is reaped by init.
    status = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return not status.stdout.strip().startswith("Z") and bool(status.stdout.strip())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_training(start, tmp_path, number):
    # Thousands of steps are an epoch: the signal comes long before the first checkpoint, however late it is.
    process = start("train", "--data", "mnist", "--out", "run", "--set", "epochs=1000", "--set", "batch_size=1")
    wait_for_line(process, "training 10/")
    process.send_signal(number)
    _, err = process.communicate(timeout=_WAIT_S)
    assert process.returncode == 128 + number
    assert "interrupted" in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_export_ends_its_workers_too(start, tmp_path, tiny_run, number):
    process = start("export", tiny_run, "--out", "bundle")
    wait_for_line(process, "exporting 0/")
    deadline = time.monotonic() + _WAIT_S
    while not (workers := children(process.pid)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert workers
    process.send_signal(number)
    _, err = process.communicate(timeout=_WAIT_S)
    assert process.returncode == 128 + number
    assert "interrupted" in err
    assert list(tmp_path.iterdir()) == []
    deadline = time.monotonic() + 30
    while any(alive(pid) for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(alive(pid) for pid in workers)


def test_a_bench_writes_no_half_result(start, tmp_path, tiny_bundle):
    # Thirty calls, each 100 seconds after the other: the signal comes long before the end.
    options = ("--artifacts", "decoder.float32.onnx", "--paced", "0.01", "--no-original")
    process = start("bench", tiny_bundle, "--json", "bench.json", *options)
    wait_for_line(process, "pacing")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=_WAIT_S)
    assert process.returncode == 130
    assert list(tmp_path.iterdir()) == []
