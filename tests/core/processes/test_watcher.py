import os
import signal
import subprocess
import sys

import psutil
import pytest

from pocketvae.processes.watcher import Watcher, end_all

_CHILD = "import time; file = open('log', 'w'); print('ready', flush=True); time.sleep(60)"
# Begins a process that works in a folder, and says its number.
_PARENT = f"""
import subprocess, sys
from pathlib import Path
from pocketvae.processes.watcher import Watcher
watcher = Watcher(Path(sys.argv[1]))
words = [sys.executable, "-c", {_CHILD!r}]
child = subprocess.Popen(words, cwd=sys.argv[1], stdout=subprocess.PIPE, start_new_session=True)
child.stdout.readline()
print(child.pid, flush=True)
sys.stdin.read()
"""


def started(*words, folder):
    process = subprocess.Popen([sys.executable, "-c", _CHILD, *words], cwd=folder, stdout=subprocess.PIPE)
    process.stdout.readline()
    return process


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_what_works_in_a_folder_ends_with_the_process_that_watches_it(tmp_path, number):
    words = [sys.executable, "-c", _PARENT, tmp_path]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        child = psutil.Process(int(parent.stdout.readline()))
        parent.send_signal(number)
        _, alive = psutil.wait_procs([child], timeout=30)
    # Where nobody collects it, it stays a zombie.
    assert not alive or child.status() == psutil.STATUS_ZOMBIE


def test_who_works_in_a_folder_is_told_by_its_files_or_its_command_line(tmp_path):
    watched, elsewhere = tmp_path / "watched", tmp_path / "elsewhere"
    watched.mkdir(), elsewhere.mkdir()
    watcher = Watcher(watched)
    by_file, by_name = started(folder=watched), started(f"--log={watched}/log", folder=elsewhere)
    other = started(f"--log={watched.name}", folder=elsewhere)
    (watched / "log").unlink()  # by whom else removes the folder
    watcher.close()
    watcher.close()
    assert [by_file.wait(30), by_name.wait(30)] == [-signal.SIGKILL] * 2
    assert not watched.exists()
    assert other.poll() is None
    other.kill()
    for process in (by_file, by_name, other):
        process.communicate()


def test_processes_from_before_are_none_of_its_own(tmp_path):
    process = started(folder=tmp_path)
    end_all(str(tmp_path), since=psutil.Process(process.pid).create_time() + 1)
    assert process.poll() is None
    end_all(str(tmp_path), since=psutil.Process(os.getpid()).create_time())
    assert process.wait(30) == -signal.SIGKILL
    process.communicate()
