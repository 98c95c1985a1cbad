import sys

import pytest

from pocketvae.errors import ExportError
from pocketvae.export.preparation import other_way, prepare
from pocketvae.export.worker_process import WorkerProcess
from pocketvae.spec import Component


def test_the_other_way_turns_onednn_round(monkeypatch):
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    assert other_way()["TF_ENABLE_ONEDNN_OPTS"] == "1"
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    assert other_way()["TF_ENABLE_ONEDNN_OPTS"] == "1"
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "1")
    assert other_way()["TF_ENABLE_ONEDNN_OPTS"] == "0"
    assert other_way()["TF_NUM_INTRAOP_THREADS"] == "1"


_ANSWER = "import json, sys\nfor line in sys.stdin: print(json.dumps({{**json.loads(line), **{reply}}}), flush=True)"


def worker(folder, reply):
    return WorkerProcess(folder, command=[sys.executable, "-c", _ANSWER.format(reply=reply)])


def refusal(words):
    return {"error": {"type": "ExportError", "message": words}}


def test_an_original_that_cannot_be_run_a_second_time_is_an_error_and_leaves_no_process(tmp_path):
    first, other = worker(tmp_path, {"result": []}), worker(tmp_path, refusal("no memory"))
    with first, pytest.raises(ExportError, match="cannot be run a second time in another way: no memory"):
        prepare(first, other, (Component.DECODER,), 30)
    assert other.process._process is None


def test_an_original_that_cannot_be_prepared_is_an_error(tmp_path):
    first, other = worker(tmp_path, refusal("not finite")), worker(tmp_path, {})
    with first, pytest.raises(ExportError, match="cannot be prepared: not finite"):
        prepare(first, other, (Component.DECODER,), 30)
    assert other.process._process is None
