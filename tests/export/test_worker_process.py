import re
import sys

import pytest

from pocketvae.errors import ExportError
from pocketvae.export.budgets import LimitRules
from pocketvae.export.messages import ConvertJob, PrepareJob
from pocketvae.export.original.goldens import NoiseFloor
from pocketvae.export.worker_process import WorkerProcess
from pocketvae.spec import ArtifactSpec, Component, Format, Precision

JOB = PrepareJob(components=())
RULES = LimitRules(floor=NoiseFloor(float32={}, float16={}), image_span=1.0)


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


# Aborts as native code does that gets no thread; with fewer threads it works from the given attempt on.
_NO_THREADS = """
import json, os, pathlib, sys
attempts = pathlib.Path(sys.argv[-1]) / "attempts"
attempts.write_text((attempts.read_text() if attempts.exists() else "") + os.environ.get("TF_NUM_INTRAOP_THREADS", "-"))
if len(attempts.read_text()) < WORKS_FROM:
    print("Check failed: ret == 0 (11 vs. 0)Thread pool creation via pthread_create() failed.", file=sys.stderr)
    print("  @  0x7f  __libc_start_main", file=sys.stderr, flush=True)
    os.abort()
for line in sys.stdin:
    print(json.dumps({"id": json.loads(line)["id"], "result": []}), flush=True)
"""


@pytest.mark.posix
def test_a_worker_that_gets_no_threads_is_tried_again_with_fewer(tmp_path, monkeypatch):
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    command = [sys.executable, "-I", "-S", "-c", _NO_THREADS.replace("WORKS_FROM", "2")]
    with WorkerProcess(tmp_path, command=command) as worker:
        assert worker.prepare(JOB, 60.0) == ()
    assert (tmp_path / "attempts").read_text() == "-1"


@pytest.mark.posix
def test_what_ran_out_is_told_after_the_second_time(tmp_path, monkeypatch):
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    command = [sys.executable, "-I", "-S", "-c", _NO_THREADS.replace("WORKS_FROM", "9")]
    message = r"the system refused to start another thread or process: raise .* \(tried twice, the second time"
    with WorkerProcess(tmp_path, command=command) as worker:
        with pytest.raises(ExportError, match=message):
            worker.prepare(JOB, 60.0)
        # The next job is tried once: nothing fewer is left.
        with pytest.raises(ExportError, match="the system refused to start another thread"):
            worker.prepare(JOB, 60.0)
    assert (tmp_path / "attempts").read_text() == "-11"


@pytest.mark.parametrize(
    ("program", "limits", "message"),
    [
        ("import time; time.sleep(60)", {}, "was ended: --time-limit SECONDS gives it more"),
        (
            "b = b'x' * (1 << 28); input()",
            {"memory_limit_bytes": 1 << 27},
            "ended: --memory-limit GB gives it more",
        ),
    ],
)
def test_a_limit_is_named_with_its_option(tmp_path, program, limits, message):
    with (
        WorkerProcess(tmp_path, command=[sys.executable, "-I", "-S", "-c", program], **limits) as worker,
        pytest.raises(ExportError, match=message),
    ):
        worker.prepare(JOB, 0.5 if "sleep" in program else 60.0)


# Converts nothing, and dies of a fault of its own in the third layer and of any artifact that has it.
_FATAL_LAYER = """
import json, os, signal, sys
layers = [f"'layer_{place}' (Op)" for place in range(8)]
for line in sys.stdin:
    request = json.loads(line)
    count = request["params"]["count"] if request["method"] == "front" else len(layers)
    if count > 2 and DIES:
        os.kill(os.getpid(), signal.SIGSEGV)
    print(json.dumps({"id": request["id"], "result": {"layers": layers}}), flush=True)
"""


def _convert(tmp_path, program, component="decoder"):
    spec = ArtifactSpec(component=Component(component), precision=Precision.INT8, format=Format.TFLITE)
    job = ConvertJob(artifact=spec, rules=RULES, batches=(1,), golden_strata=(), time_limit_s=60.0)
    with WorkerProcess(tmp_path, command=[sys.executable, "-I", "-S", "-c", program]) as worker:
        worker.convert(job, 60.0)


@pytest.mark.posix
def test_a_converter_that_dies_is_said_to_die_on_its_layer(tmp_path):
    with pytest.raises(ExportError, match=r"ended by signal 11; the converter dies on the layer 'layer_2' \(Op\)$"):
        _convert(tmp_path, _FATAL_LAYER.replace("DIES", "True"))


@pytest.mark.posix
@pytest.mark.parametrize(
    ("dies", "component"),
    [
        ("request['method'] == 'convert'", "decoder"),
        ("True", "generator"),
        ("(print('std::bad_alloc', file=sys.stderr, flush=True) or True)", "decoder"),
    ],
)
def test_no_layer_is_named_where_none_can_be_told(tmp_path, dies, component):
    with pytest.raises(ExportError, match=r"ended by signal 11(: the system refused more memory[^;]*)?$"):
        _convert(tmp_path, _FATAL_LAYER.replace("DIES", dies), component)
