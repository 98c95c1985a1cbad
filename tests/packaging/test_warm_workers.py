"""The server that tests fork workers from: one that ends takes the exports of all later tests with it."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forked workers need Linux")

PROGRAM = Path(__file__).parents[1] / "warm_workers.py"


@pytest.fixture(scope="module")
def warm_workers():
    """The program as a module."""
    spec = importlib.util.spec_from_file_location("warm_workers", PROGRAM)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of servers, whose path is short enough for a socket, and none of which outlives the test."""
    monkeypatch.chdir(tmp_path)
    yield "s"
    for started in servers(tmp_path):
        os.kill(started, signal.SIGKILL)


def servers(folder):
    """Returns the ids of the servers of a folder, which it is the working directory of."""
    found = psutil.process_iter(["pid", "cmdline", "cwd"])
    return [one.pid for one in found if "serve" in (one.info["cmdline"] or ()) and one.info["cwd"] == str(folder)]


def kill_server(folder):
    """Ends the only server of a folder and returns its id."""
    (server,) = servers(folder)
    process = psutil.Process(server)
    process.kill()
    # Its command line is gone before its socket, which a client would still reach.
    with contextlib.suppress(psutil.NoSuchProcess):
        while process.status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
    return server


def work(folder):
    command = [sys.executable, str(PROGRAM), "runtimes", folder, str(os.getpid()), "json.tool"]
    return subprocess.run(command, input='{"a":1}', capture_output=True, text=True, timeout=60)


def test_a_client_that_ends_before_it_has_asked_costs_nothing(warm_workers, folder):
    warm_workers.connection("runtimes", folder, str(os.getpid())).close()
    assert work(folder).stdout.split() == ["{", '"a":', "1", "}"]


def test_what_a_server_left_behind_that_ended_as_it_began_is_in_nobody_s_way(warm_workers, folder, tmp_path):
    assert work(folder).returncode == 0
    kill_server(tmp_path)
    (path,) = (tmp_path / folder).glob("r*[0-9]")
    path.rename(f"{path}.bound")
    assert work(folder).returncode == 0


def test_a_server_that_cannot_begin_is_told_of(folder):
    command = [sys.executable, str(PROGRAM), "runtimes", folder, "no number", "base64", "-e"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert "the server of warm workers ended with code 1" in done.stderr
    assert done.returncode == 1


def test_a_server_that_has_ended_is_started_again(folder, tmp_path):
    assert work(folder).returncode == 0
    server = kill_server(tmp_path)
    assert work(folder).returncode == 0
    assert servers(tmp_path) not in ([], [server])
