#!/usr/bin/env bash
# Ray 2.60.0: two processes of a local cluster run on for a minute after their driver was killed.
#
# Guess: when the process that called `ray.init()` is killed, nothing of its local cluster is left after a few seconds.
# Seen: the GCS, the raylet and the workers end at once, but the dashboard agent and the runtime environment agent, which
# start also with include_dashboard=False, run for 61 s. They see that the raylet is gone after 2 s, and then report that to
# the GCS, which is gone too, with a time limit of 60 s (`publish_error` in ray/_private/utils.py). No setting changes it.
# Their names and environments are overwritten, so that they can only be told by their number or the logs that they have open.
# Consequence: a process of our own watches each local cluster, and ends what has a file open in its folder.
#
# Output seen (ray 2.60.0, psutil 7.2.2, CPython 3.11, x86-64):
#   after 5 s: ray::DashboardAgent, ray::RuntimeEnvAgent
#   none is left after 62 s
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check ray==2.60.0 psutil==7.2.2
RAY_USAGE_STATS_ENABLED=0 "$folder/venv/bin/python" - "$folder" 2>"$folder/log" <<'PYTHON' || { cat "$folder/log" >&2; exit 1; }
import subprocess
import sys
import time

import psutil

DRIVER = """
import sys, psutil, ray
ray.init(address="local", include_dashboard=False, num_cpus=1, log_to_driver=False, _temp_dir=sys.argv[1])
print(*(child.pid for child in psutil.Process().children(recursive=True)), flush=True)
sys.stdin.read()
"""


def left(processes):
    """The names of those that still run."""
    names = []
    for process in processes:
        try:
            if process.status() != psutil.STATUS_ZOMBIE:
                names.append(process.name())
        except psutil.Error:
            pass
    return sorted(names)


words = [sys.executable, "-c", DRIVER, sys.argv[1]]
driver = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
processes = [psutil.Process(int(number)) for number in driver.stdout.readline().split()]
driver.kill()
driver.wait()
killed = time.monotonic()
time.sleep(5)
seen = left(processes)
print("after 5 s:", ", ".join(seen))
while left(processes):
    time.sleep(0.5)
print(f"none is left after {time.monotonic() - killed:.0f} s")
sys.exit(not seen)
PYTHON
