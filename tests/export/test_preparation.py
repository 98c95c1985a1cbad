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


def prepared(layer, share, *, allow=False, folder):
    """Has a decoder prepared whose spread is this share of its range, by workers that answer from a list."""
    floor = {"float32": {"image": share}, "float16": {"image": 0.0}, "cause": {"image": "with batch size 1"}}
    replies = {
        "load": None,
        "prepare": [{"component": "decoder", "floor": floor, "golden_strata": [], "calibration_strata": []}],
        "spread": [{"component": "decoder", "ways": {}}],
        "coupling": [{"component": "decoder", "layer": layer}],
    }
    reply = f"{{'result': {replies}[json.loads(line)['method']]}}"
    code = (
        "import json, sys\nfor line in sys.stdin: print(json.dumps({**json.loads(line), **" + reply + "}), flush=True)"
    )
    first, other = (WorkerProcess(folder, command=[sys.executable, "-c", code]) for _ in range(2))
    with first:
        return prepare(first, other, (Component.DECODER,), 30, allow_batch_dependence=allow)


def test_an_original_whose_samples_depend_on_one_another_is_refused_with_the_layer(tmp_path):
    with pytest.raises(
        ExportError,
        match=r"'image' .*differs by 0.17 of the range .*in the batch changes the layer 'bn' .*--allow-batch",
    ):
        prepared("the layer 'bn' (Mul)", 0.17, folder=tmp_path)


def test_a_random_original_is_refused_without_a_way_round(tmp_path):
    with pytest.raises(ExportError, match=r"see the layer 'drop' \(Mul\), which is random; save") as refused:
        prepared("the layer 'drop' (Mul), which is random", 0.17, allow=True, folder=tmp_path)
    assert "--allow" not in str(refused.value)


def test_dependence_on_the_batch_that_is_allowed_is_recorded(tmp_path):
    found = prepared("the layer 'bn' (Mul)", 1e-6, allow=True, folder=tmp_path)
    assert found[Component.DECODER].coupling == "the layer 'bn' (Mul)"
    assert prepared("the layer 'bn' (Mul)", 1e-6, folder=tmp_path)[Component.DECODER].coupling == ""


def test_a_costly_generator_has_the_floor_of_its_decoder_and_its_own_range(tmp_path):
    measured = {"float32": {"image": 1e-6}, "float16": {"image": 0.01}, "ranges": {"image": 2.0}}
    unmeasured = {"float32": {"image": 0.0}, "float16": {"image": 0.0}, "ranges": {"image": 3.0}}
    common = {"golden_strata": [], "calibration_strata": []}
    replies = {
        "load": None,
        "prepare": [
            {"component": "generator", "floor": unmeasured, "floor_of": "decoder", **common},
            {"component": "decoder", "floor": measured, **common},
        ],
        "spread": [
            {"component": "generator", "ways": {}},
            {"component": "decoder", "ways": {"one thread": {"image": 2e-6}}},
        ],
    }
    reply = f"{{'result': {replies}[json.loads(line)['method']]}}"
    code = (
        "import json, sys\nfor line in sys.stdin: print(json.dumps({**json.loads(line), **" + reply + "}), flush=True)"
    )
    first, other = (WorkerProcess(tmp_path, command=[sys.executable, "-c", code]) for _ in range(2))
    with first:
        found = prepare(first, other, (Component.GENERATOR, Component.DECODER), 30)
    floor = found[Component.GENERATOR].floor
    assert (floor.float32, floor.float16) == ({"image": 2e-6}, {"image": 0.01})
    assert floor.cause == {"image": "one thread"}
    assert floor.ranges == {"image": 3.0}
