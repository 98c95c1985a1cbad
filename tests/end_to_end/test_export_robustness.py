"""What goes wrong around an export: workers that are killed, swell or find no space, and exports beside one another."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pocketvae.bundle.bundle import open_bundle
from pocketvae.cli.main import main
from pocketvae.errors import ExportError, NoSpaceError, OutputExistsError
from pocketvae.export import ExportConfig, export_run, pipeline, plan_artifacts
from pocketvae.export.worker_process import WorkerProcess
from pocketvae.processes.guard import used_bytes
from pocketvae.spec import Component, Format, Precision

resource = pytest.importorskip("resource", reason="Windows has no limits of a process")

pytestmark = pytest.mark.slow
DECODERS = plan_artifacts([Component.DECODER], [Format.TFLITE], [Precision.FLOAT32, Precision.FLOAT16])
TESTS = Path(__file__).parents[1]


@pytest.fixture
def workers(monkeypatch, warm_command):
    """Makes every export use workers that do `action` when they are asked for decoder.float16.tflite."""
    started = []

    def use(action):
        def make(folder, memory_limit_bytes, environment=None):
            # The memory of a forked one is not that of the process that was started. The first one converts.
            cold = sys.executable, str(TESTS / "stuck_worker.py")
            swells = action == "swell" and not started
            command = [*(cold if swells else warm_command("stuck_worker")), action]
            started.append(
                WorkerProcess(folder, command=command, memory_limit_bytes=memory_limit_bytes, environment=environment)
            )
            return started[-1]

        monkeypatch.setattr(pipeline, "WorkerProcess", make)
        return started

    return use


def test_a_conversion_that_swells_is_ended_and_the_others_still_come(tiny_run, tmp_path, workers):
    workers("swell")
    config = ExportConfig(artifacts=DECODERS, memory_limit_bytes=2_500_000_000)
    result = export_run(tiny_run, tmp_path / "bundle", config)
    assert [artifact.name for artifact in result.manifest.artifacts] == ["decoder.float32.tflite"]
    (failure,) = open_bundle(tmp_path / "bundle").manifest.failures
    assert failure.artifact == "decoder.float16.tflite"
    assert "of memory, more than the limit of 2.50 GB, and was ended" in failure.reason


def test_a_worker_that_the_system_kills_costs_one_artifact(tiny_run, tmp_path, workers):
    """DECODERS ends with float16, so that here it comes first and a new worker has to make the other."""
    started = workers("hang")

    def kill():
        while not (tmp_path / "reached").exists():
            time.sleep(0.05)
        os.kill(started[0].process._process.pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    result = export_run(tiny_run, tmp_path / "bundle", ExportConfig(artifacts=DECODERS[::-1]))
    killer.join()
    assert [artifact.name for artifact in result.manifest.artifacts] == ["decoder.float32.tflite"]
    (failure,) = result.manifest.failures
    assert failure.artifact == "decoder.float16.tflite"
    assert "ended by signal 9, which the system sends when memory runs out" in failure.reason


def test_exports_beside_one_another_do_not_mix(tiny_run, tmp_path):
    """Two into folders of their own, and one more into a folder that is being made."""
    results = {}

    def export(name, precision):
        artifacts = plan_artifacts([Component.DECODER], [Format.ONNX], [precision])
        try:
            results[name] = export_run(tiny_run, tmp_path / name, ExportConfig(artifacts=artifacts))
        except Exception as e:
            results[name] = e

    threads = [
        threading.Thread(target=export, args=("a", Precision.FLOAT32)),
        threading.Thread(target=export, args=("b", Precision.FLOAT16)),
    ]
    for thread in threads:
        thread.start()
    while not (tmp_path / "a.unfinished").exists():
        time.sleep(0.01)
    with pytest.raises(OutputExistsError, match="another process is making .*a: wait for it"):
        export_run(tiny_run, tmp_path / "a", ExportConfig(artifacts=DECODERS), force=True)
    for thread in threads:
        thread.join()
    assert {name: [a.name for a in result.manifest.artifacts] for name, result in results.items()} == {
        "a": ["decoder.float32.onnx"],
        "b": ["decoder.float16.onnx"],
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]
    assert open_bundle(tmp_path / "a").manifest == results["a"].manifest


def command(*words, **options):
    return subprocess.Popen(
        [sys.executable, "-m", "pocketvae.cli.main", "export", *map(str, words)],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
        **options,
    )


def test_what_a_killed_export_left_goes_with_the_next(tiny_run, tmp_path):
    options = [tiny_run, "--out", tmp_path / "bundle", "--components", "decoder", "--precisions", "float32"]
    process = command(*options)
    children = []
    while not children:
        lines = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        children = [int(word) for word in lines]
        time.sleep(0.05)
    process.kill()
    process.communicate()
    (left,) = tmp_path.iterdir()
    assert left.name == "bundle.unfinished"
    # Workers see that they are alone, and end.
    deadline = time.monotonic() + 60
    while any(used_bytes(child) for child in children) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(used_bytes(child) for child in children)
    assert main(["export", *map(str, options), "--quiet"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_a_full_disk_is_an_error_and_leaves_nothing(tiny_run, tmp_path):
    """A limit on the size of files fails at the same call as a full disk."""
    process = command(
        *[tiny_run, "--out", tmp_path / "bundle", "--components", "decoder", "--formats", "tflite"],
        *["--precisions", "float32"],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000)),
    )
    error = process.communicate()[1].strip().splitlines()[-1]
    assert process.returncode == 2
    assert "File too large" in error
    assert "cannot be" in error
    assert list(tmp_path.iterdir()) == []


def test_no_space_is_not_taken_for_a_fault_of_the_artifact(tiny_run, tmp_path, monkeypatch):
    def fill(self, job, time_limit_s):
        raise NoSpaceError("x.tflite: No space left on device")

    monkeypatch.setattr(WorkerProcess, "convert", fill)
    with pytest.raises(ExportError, match=r"decoder\.float32\.tflite cannot be written: x.tflite: No space left"):
        export_run(tiny_run, tmp_path / "bundle", ExportConfig(artifacts=DECODERS))
    assert list(tmp_path.iterdir()) == []


def test_an_interruption_in_the_middle_starts_no_further_conversion(tiny_run, tmp_path, workers, monkeypatch):
    """The thread that waits for a worker must not go on with the next artifact when its worker is ended."""
    started = workers("hang")
    made = []
    convert = WorkerProcess.convert

    def interrupt():
        while not (tmp_path / "reached").exists():
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    def keep(self, job, time_limit_s):
        made.append(convert(self, job, time_limit_s))
        return made[-1]

    artifacts = (*DECODERS[::-1], *plan_artifacts([Component.DECODER], [Format.TFLITE], [Precision.DYNAMIC_INT8]))
    interrupter = threading.Thread(target=interrupt)
    interrupter.start()
    monkeypatch.setattr(WorkerProcess, "convert", keep)
    # Where the tests themselves run in the background, a shell has the signal ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            export_run(tiny_run, tmp_path / "bundle", ExportConfig(artifacts=artifacts))
    finally:
        signal.signal(signal.SIGINT, before)
    interrupter.join()
    assert all(worker.process._process is None for worker in started)
    assert [path.name for path in tmp_path.iterdir()] == ["reached"]
    assert made == []
