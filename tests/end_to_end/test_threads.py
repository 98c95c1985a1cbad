"""Several threads that share a runner get the values that one thread gets, bit for bit."""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from pocketvae.errors import SpecError
from pocketvae.runtimes.opening import open_runner
from pocketvae.spec import Format
from pocketvae.system.quiet import quiet_stderr

LATENT, SIDE, CALLS, THREADS = 32, 96, 400, 8


@pytest.fixture(scope="module")
def contents(bundles, tflite_models):
    weight = np.random.default_rng(0).normal(size=(LATENT, SIDE * SIDE)).astype(np.float32)
    onnx = bundles.decoder_model(np.ascontiguousarray(weight[: bundles.LATENT, : bundles.SIDE**2]))
    return {Format.TFLITE: tflite_models.decoder(weight, SIDE), Format.ONNX: onnx.SerializeToString()}


@pytest.fixture(params=Format)
def runner(request, contents):
    with open_runner(contents[request.param], request.param) as opened:
        yield opened


@pytest.fixture
def feeds(runner):
    shape = runner.inputs["z"].shape
    rng = np.random.default_rng(1)
    return [{"z": rng.normal(size=shape).astype(np.float32)} for _ in range(CALLS)]


def test_threads_get_the_values_of_one_thread(runner, feeds):
    alone = [runner.run(feed)["image"] for feed in feeds]
    with ThreadPoolExecutor(THREADS) as pool:
        together = list(pool.map(lambda feed: runner.run(feed)["image"], feeds))
    assert all(np.array_equal(one, other) for one, other in zip(alone, together, strict=True))


def test_one_that_is_closed_meanwhile_says_so(runner, feeds):
    runner.close()
    with pytest.raises(SpecError, match="the model is closed: open it again"):
        runner.run(feeds[0])


def test_threads_that_open_models_at_the_same_time_leave_stderr_as_it_was(capfd):
    def hold(_):
        with quiet_stderr():
            pass

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(hold, range(200)))
    os.write(2, b"still here")
    assert capfd.readouterr().err == "still here"
