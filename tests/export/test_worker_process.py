import re
import sys

import pytest

from pocketvae.errors import ExportError
from pocketvae.export.messages import PrepareJob
from pocketvae.export.worker_process import WorkerProcess

JOB = PrepareJob(components=())


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("import os; os.abort()", "its process was ended by signal 6"),
        ("import sys; sys.exit('out of luck')", "ended with code 1: out of luck"),
        ("import time; time.sleep(60)", "took longer than 1 s and was ended"),
    ],
)
def test_what_goes_wrong_in_the_worker_is_an_error_of_the_conversion(tmp_path, program, message):
    with (
        WorkerProcess(tmp_path, command=[sys.executable, "-c", program]) as worker,
        pytest.raises(ExportError, match=f"the conversion failed: .*{message}"),
    ):
        worker.prepare(JOB, 1.0 if "sleep" in program else 60.0)


# Refuses with what is said in place of WORDS.
_REFUSAL = """
import json, os, sys
for line in sys.stdin:
    error = {"type": "ExportError", "message": WORDS}
    print(json.dumps({"id": json.loads(line)["id"], "error": error}), flush=True)
"""
_ENVIRONMENT = _REFUSAL.replace("WORDS", """f"{os.environ.get('EXTRA')} {os.environ.get('INHERITED')}\"""")


@pytest.mark.parametrize(
    ("environment", "seen"), [(None, "None here"), ({"EXTRA": "1"}, "1 here"), ({"INHERITED": "there"}, "None there")]
)
def test_variables_are_added_to_those_of_this_process(tmp_path, monkeypatch, environment, seen):
    monkeypatch.delenv("EXTRA", raising=False)
    monkeypatch.setenv("INHERITED", "here")
    with (
        WorkerProcess(tmp_path, command=[sys.executable, "-c", _ENVIRONMENT], environment=environment) as worker,
        pytest.raises(ExportError, match=f"^{seen}$"),
    ):
        worker.prepare(JOB, 60.0)


def test_the_folder_is_the_last_word_of_the_command(tmp_path):
    program = _REFUSAL.replace("WORDS", "sys.argv[-1]")
    with (
        WorkerProcess(tmp_path, command=[sys.executable, "-c", program]) as worker,
        pytest.raises(ExportError, match=f"^{re.escape(str(tmp_path))}$"),
    ):
        worker.prepare(JOB, 60.0)
