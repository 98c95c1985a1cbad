import numpy as np
import pytest

from pocketvae.benchmarks.latency.analyse.roofline import bytes_per_s, roofline
from pocketvae.benchmarks.latency.measure import examination, peaks
from pocketvae.benchmarks.latency.messages import Work
from pocketvae.benchmarks.latency.results import MachinePeaks, MemorySpeed
from pocketvae.spec import Precision


def speed(block, copy, read):
    return MemorySpeed(block_bytes=block, copy_bytes_per_s=copy, read_bytes_per_s=read)


PEAKS = MachinePeaks(threads=1, sgemm_flops=2e9, memory=(speed(1000, 8e9, 9e9), speed(10_000, 4e9, 3e9)))


def floor(multiply_adds, weight_bytes, precision=Precision.FLOAT32, *, file_bytes=10**9, **options):
    work = Work(multiply_adds=multiply_adds, weight_bytes=weight_bytes, transfer_bytes=0)
    values = {"batch": 1, "median_s": 2e-3, **options}
    return roofline(work, precision, PEAKS, weight_bytes=file_bytes, **values)


def test_arithmetic_at_the_peak_of_the_matrix_product():
    found = floor(1_000_000, 100)
    assert found.floor_s == pytest.approx(1e-3)
    assert (found.bound, found.distance) == ("arithmetic", pytest.approx(2.0))


def test_integers_are_allowed_four_products_for_one():
    assert floor(1_000_000, 100, Precision.INT8).floor_s == pytest.approx(0.25e-3)
    assert floor(1_000_000, 100, Precision.FLOAT16).floor_s == pytest.approx(1e-3)


def test_weights_are_read_once_whatever_the_batch():
    small, large = floor(10, 40_000), floor(10, 40_000, batch=8)
    assert small.bound == "memory"
    assert small.floor_s == large.floor_s == pytest.approx(1e-5)
    assert large.multiply_adds == 80


def test_no_more_weights_are_read_than_the_file_holds():
    assert floor(10, 40_000, file_bytes=4_000).weight_bytes == 4_000


@pytest.mark.parametrize(("size", "expected"), [(10, 9e9), (1000, 9e9), (5000, 9e9), (10_000, 4e9), (10**9, 4e9)])
def test_memory_is_as_fast_as_a_block_no_larger_than_what_is_read(size, expected):
    assert bytes_per_s(PEAKS.memory, size) == expected


def test_peaks_are_measured(monkeypatch):
    monkeypatch.setattr(peaks, "_MATRIX_SIZES", (64,))
    monkeypatch.setattr(peaks, "_LARGEST_BLOCK", 1 << 18)
    monkeypatch.setattr(peaks, "_MATRIX_S", 0.01)
    found = peaks.measure_peaks(1)
    assert found.sgemm_flops > 1e6
    assert [each.block_bytes for each in found.memory] == [1 << 17, 1 << 18]
    assert all(np.isfinite([each.copy_bytes_per_s, each.read_bytes_per_s]).all() for each in found.memory)
    assert set(peaks.blas_environment(3).values()) == {"3"}


@pytest.mark.parametrize("counts", [(2,), (2, 1), (1, 2)])
def test_memory_is_measured_with_one_thread_whatever_else_is(monkeypatch, counts):
    monkeypatch.setattr(peaks, "_sgemm_flops", lambda size: 1e9)
    monkeypatch.setattr(peaks, "_LARGEST_BLOCK", peaks._SMALLEST_BLOCK)
    blas = []

    class Worker:
        def __init__(self, stack, environment):
            blas.append(environment["OPENBLAS_NUM_THREADS"])

        def find_peaks(self, request):
            monkeypatch.setattr(peaks, "_memory_speed", lambda block: speed(block, float(blas[-1]), 0.0))
            return peaks.measure_peaks(request.threads)

    monkeypatch.setattr(examination, "start_worker", Worker)
    found, not_run = examination._peaks(counts)
    assert not not_run
    assert [(each.threads, each.memory[0].copy_bytes_per_s) for each in found] == [(count, 1.0) for count in counts]
