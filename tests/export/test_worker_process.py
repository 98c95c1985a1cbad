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
