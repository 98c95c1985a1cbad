from dataclasses import replace

import pytest

from pocketvae.benchmarks import BenchConfig, bench_bundle, bench_table
from pocketvae.benchmarks.latency.measure import bench
from pocketvae.benchmarks.latency.measure.examination import Examination
from pocketvae.benchmarks.latency.measure.subjects import Subject, artifact_load
from pocketvae.benchmarks.latency.measure.worker import BenchWorker
from pocketvae.benchmarks.latency.measure.worker_client import start_worker
from pocketvae.benchmarks.latency.messages import HandleLostError, Measure, Method, Pace
from pocketvae.bundle.bundle import open_bundle
from pocketvae.errors import SpecError
from pocketvae.processes.line_process import LineProcess
from pocketvae.system.environment import current_environment

pytestmark = pytest.mark.usefixtures("few_values")
NO_ORIGINAL = BenchConfig(include_original=False)


def test_every_artifact_gets_a_row_with_all_its_values(tmp_path, bundles):
    result = bench_bundle(bundles.make_bundle(tmp_path / "b"), NO_ORIGINAL)
    assert [row.artifact for row in result.results] == ["decoder.float32.onnx", "encoder.float32.onnx"]
    assert result.not_run == ()
    for row in result.results:
        assert len(row.values_s) >= 30
        assert 0 < min(row.values_s) <= row.median_s <= row.p90_s <= row.p99_s
        assert row.load_s > 0
        assert row.first_s > 0
        assert row.peak_rss_bytes >= row.baseline_rss_bytes > 1e6
        assert row.speedup_vs_original is None
    headers, rows = bench_table(result)
    assert all(len(row) == len(headers) for row in rows)


@pytest.mark.usefixtures("cold_workers")
def test_memory_is_the_worker_s_own_and_not_the_parent_s(tmp_path, bundles):
    ballast = bytearray(1_500_000_000)
    ballast[::4096] = b"x" * len(ballast[::4096])
    result = bench_bundle(
        bundles.make_bundle(tmp_path / "b"), BenchConfig(artifacts=("decoder.float32.onnx",), include_original=False)
    )
    assert result.results[0].peak_rss_bytes < 1_000_000_000
    del ballast


@pytest.mark.usefixtures("cold_workers")
def test_a_worker_that_dies_costs_its_row_and_no_more(tmp_path, bundles, monkeypatch):
    real, asked = LineProcess.ask, []

    def die_at_the_second_question(self, request, time_limit_s):
        asked.append(self)
        if asked.count(self) == 2 and self is asked[0]:
            self._process.kill()
        return real(self, request, time_limit_s)

    monkeypatch.setattr(LineProcess, "ask", die_at_the_second_question)
    result = bench_bundle(bundles.make_bundle(tmp_path / "b"), NO_ORIGINAL)
    assert [row.artifact for row in result.results] == ["encoder.float32.onnx"]
    (lost,) = result.not_run
    assert lost.artifact == "decoder.float32.onnx"
    assert "ended by signal 9" in lost.reason


def test_a_worker_that_dies_at_the_second_opening_gives_no_row_of_another_model(
    tmp_path, bundles, monkeypatch, cold_workers
):
    real = LineProcess.ask

    def in_one_process(bundle, records, config, stack):
        worker = start_worker(stack)
        for handle, name in enumerate(("decoder", "encoder", "decoder", "encoder")):
            record = bundle.manifest.artifact(f"{name}.float32.onnx")
            load = replace(artifact_load(bundle, record, 1, 1), handle=handle)
            yield Subject(artifact=f"original {handle}", target="t", size_bytes=1, load=load, worker=worker)

    openings, timed = [], []

    def ask(self, request, time_limit_s):
        if request.method == Method.LOAD:
            openings.append(request.params["handle"])
            if len(openings) == 2:
                self._process.kill()
        if request.method == Method.MEASURE:
            timed.append(request.params["handle"])
        return real(self, request, time_limit_s)

    monkeypatch.setattr(bench, "subjects", in_one_process)
    monkeypatch.setattr(LineProcess, "ask", ask)
    result = bench_bundle(bundles.make_bundle(tmp_path / "b"), NO_ORIGINAL)
    assert [row.artifact for row in result.results] == ["original 2", "original 3"]
    reasons = {item.artifact: item.reason for item in result.not_run}
    assert reasons["original 0"] == "its process ended after it was opened"
    assert "ended by signal 9" in reasons["original 1"]
    assert timed.count(0) == 1
    assert timed.count(2) == timed.count(3) == bench.ROUNDS


def test_a_handle_of_an_earlier_process_is_refused(tmp_path, bundles):
    bundle = open_bundle(bundles.make_bundle(tmp_path / "b"))
    worker = BenchWorker()
    load = replace(artifact_load(bundle, bundle.manifest.artifacts[0], 1, 1), handle=7, first_calls=1)
    worker.load(load)
    assert len(worker.measure(Measure(handle=7, warmups=0, loops=1, count=1)).values_s) == 1
    with pytest.raises(HandleLostError, match="its process ended after it was opened"):
        worker.measure(Measure(handle=0, warmups=0, loops=1, count=1))
    with pytest.raises(HandleLostError, match="its process ended after it was opened"):
        worker.pace(Pace(handle=0, calls_per_s=100.0, count=1))


@pytest.mark.usefixtures("cold_workers")
def test_a_pace_that_fails_costs_that_pace_and_no_more(tmp_path, bundles, monkeypatch):
    real, limits = LineProcess.ask, []

    def die_at_the_slow_pace(self, request, time_limit_s):
        if request.method == Method.PACE:
            limits.append((request.params["calls_per_s"], time_limit_s))
            if request.params["calls_per_s"] == 400:
                self._process.kill()
        return real(self, request, time_limit_s)

    monkeypatch.setattr(LineProcess, "ask", die_at_the_slow_pace)
    config = replace(NO_ORIGINAL, artifacts=("decoder.float32.onnx",), paced_calls_per_s=(400.0,))
    result = bench_bundle(bundles.make_bundle(tmp_path / "b"), config)
    (row,) = result.results
    assert len(row.values_s) >= 30
    assert row.paced == ()
    (lost,) = result.not_run
    assert lost.reason.startswith("at 400/s: its process was ended by signal 9")


def test_a_reason_of_several_batch_sizes_is_told_once(tmp_path, bundles):
    manifest = open_bundle(bundles.make_bundle(tmp_path / "b")).manifest
    lost = [
        Subject(artifact="a", target="host", size_bytes=1, load=None, worker=None, problem="it is not installed")
        for _ in range(2)
    ]
    result = bench._result(manifest, current_environment(), lost, Examination())
    assert [item.reason for item in result.not_run] == ["it is not installed"]


def test_the_time_limit_of_a_pace_counts_the_calls_too():
    subject = Subject(artifact="a", target="host", size_bytes=1, load=None, worker=None, values_s=[4.0, 3.0])
    assert bench._pace_limit_s(subject, 60.0) == pytest.approx(60 + 2 * 30 * 4.0)
    assert bench._pace_limit_s(subject, 0.1) == pytest.approx(60 + 2 * 30 * 10.0)


@pytest.mark.usefixtures("cold_workers")
def test_peaks_that_could_not_be_measured_are_told(tmp_path, bundles, monkeypatch):
    real = LineProcess.ask

    def die(self, request, time_limit_s):
        if request.method == Method.FIND_PEAKS:
            self._start().kill()
        return real(self, request, time_limit_s)

    monkeypatch.setattr(LineProcess, "ask", die)
    result = bench_bundle(bundles.make_bundle(tmp_path / "b"), NO_ORIGINAL)
    assert result.peaks == ()
    assert len(result.results) == 2
    (lost,) = result.not_run
    assert (lost.artifact, lost.target) == ("the machine", "peaks")
    assert lost.reason.startswith("with 1 thread: its process was ended by signal 9")


@pytest.mark.usefixtures("cold_workers")
def test_no_worker_outlives_an_interruption(tmp_path, bundles, monkeypatch):
    processes = []
    real = LineProcess._start

    def start(self):
        processes.append(real(self))
        return processes[-1]

    monkeypatch.setattr(LineProcess, "_start", start)

    def interrupt(progress):
        if progress.stage == "timing":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bench_bundle(bundles.make_bundle(tmp_path / "b"), NO_ORIGINAL, progress=interrupt)
    assert len(processes) == 2
    assert all(process.poll() is not None for process in processes)


def test_more_threads_than_cores_are_refused(tmp_path, bundles, monkeypatch):
    monkeypatch.setattr(bench, "logical_cores", lambda: 4)
    with pytest.raises(SpecError, match="threads must be between 1 and this machine's 4, got 5"):
        bench_bundle(bundles.make_bundle(tmp_path / "b"), BenchConfig(threads=(5,)))


def test_an_unknown_artifact_gets_a_close_match(tmp_path, bundles):
    with pytest.raises(SpecError, match=r"did you mean 'decoder\.float32\.onnx'"):
        bench_bundle(bundles.make_bundle(tmp_path / "b"), BenchConfig(artifacts=("decoder.float23.onnx",)))


@pytest.mark.slow
def test_the_original_is_timed_beside_its_artifacts(tiny_bundle):
    result = bench_bundle(tiny_bundle, BenchConfig(artifacts=("decoder.float32.tflite", "decoder.int8_io.tflite")))
    originals = [(row.artifact, row.target) for row in result.results if row.is_original]
    assert originals == [("original decoder", how) for how in ("keras-call", "tf.function", "xla", "keras-predict")]
    medians = {row.target: row.median_s for row in result.results if row.is_original}
    for row in (row for row in result.results if not row.is_original):
        assert row.speedup_vs_original == pytest.approx(medians["tf.function"] / row.median_s)
        assert set(row.speedups) == set(medians)
