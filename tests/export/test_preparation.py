import sys

import pytest

from pocketvae.errors import ExportError
from pocketvae.export.original.goldens import NoiseFloor
from pocketvae.export.preparation import other_way, prepare
from pocketvae.export.quantize.budgets import FLOOR_FACTOR, tolerances
from pocketvae.export.worker_process import WorkerProcess
from pocketvae.spec import ArtifactSpec, Component, Format, Precision

FLOAT32 = ArtifactSpec(component=Component.DECODER, precision=Precision.FLOAT32, format=Format.TFLITE)


def test_the_other_way_turns_onednn_round(monkeypatch):
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    assert other_way()["TF_ENABLE_ONEDNN_OPTS"] == "1"
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    assert other_way()["TF_ENABLE_ONEDNN_OPTS"] == "1"
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "1")
    assert other_way()["TF_ENABLE_ONEDNN_OPTS"] == "0"
    assert other_way()["TF_NUM_INTRAOP_THREADS"] == "1"


def test_the_floor_is_that_of_the_way_that_differs_most_and_says_which():
    floor = NoiseFloor(float32={"a": 1e-6, "b": 3e-6}, float16={})
    floor = floor.widened({"a": 2e-6, "b": 2e-6}, "with batch size 1").widened({"a": 1.5e-6, "b": 2e-6}, "as a graph")
    assert floor.float32 == {"a": 2e-6, "b": 3e-6}
    assert floor.cause == {"a": "with batch size 1"}


def test_kernels_that_differ_widen_a_limit_up_to_what_it_was():
    floor = NoiseFloor(float32={"image": 2e-6}, float16={}, cause={"image": "with batch size 1"})

    def limit(spread):
        (tolerance,) = tolerances(FLOAT32, floor, kernel_spread={"image": spread})
        return tolerance.limit, tolerance.source

    assert limit(1e-6) == (pytest.approx(2e-5), "10 x 2.0e-06, the original against itself, most with batch size 1")
    assert limit(5e-6) == (
        pytest.approx(5e-5),
        "10 x 5.0e-06, how far the runtime's optimized and built-in kernels differ on this file",
    )
    # A kernel that computes something else must not set its own limit.
    assert limit(0.5)[0] == pytest.approx(FLOOR_FACTOR * 2e-6)


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
