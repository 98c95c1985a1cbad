import sys

import pytest

from pocketvae.export.messages import PrepareJob, Request
from pocketvae.export.worker_process import WorkerProcess

REQUEST = Request(prepare=PrepareJob(components=()))


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("import os; os.abort()", "its process was ended by signal 6"),
        ("import sys; sys.exit('out of luck')", "ended with code 1: out of luck"),
        ("import time; time.sleep(60)", "took longer than 1 s and was ended"),
    ],
)
def test_what_goes_wrong_in_the_worker_becomes_a_reply(tmp_path, program, message):
    with WorkerProcess(tmp_path, command=[sys.executable, "-c", program]) as worker:
        reply = worker.do(REQUEST, 1.0 if "sleep" in program else 60.0)
    assert reply.prepared is None
    assert message in reply.error


# Replies with the values of two variables.
_ENVIRONMENT = """
import json, os, sys
for line in sys.stdin:
    print(json.dumps({"error": f"{os.environ.get('EXTRA')} {os.environ.get('INHERITED')}"}), flush=True)
"""


@pytest.mark.parametrize(
    ("environment", "seen"), [(None, "None here"), ({"EXTRA": "1"}, "1 here"), ({"INHERITED": "there"}, "None there")]
)
def test_variables_are_added_to_those_of_this_process(tmp_path, monkeypatch, environment, seen):
    monkeypatch.delenv("EXTRA", raising=False)
    monkeypatch.setenv("INHERITED", "here")
    with WorkerProcess(tmp_path, command=[sys.executable, "-c", _ENVIRONMENT], environment=environment) as worker:
        assert worker.do(REQUEST, 60.0).error == seen


def test_the_folder_is_the_last_word_of_the_command(tmp_path):
    program = "import json, sys\nfor line in sys.stdin: print(json.dumps({'error': sys.argv[-1]}), flush=True)"
    with WorkerProcess(tmp_path, command=[sys.executable, "-c", program]) as worker:
        assert worker.do(REQUEST, 60.0).error == str(tmp_path)
