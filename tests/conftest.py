"""Fixtures that train and export once for all tests: a small VAE on real MNIST images."""

from __future__ import annotations

import gc
import importlib.util
import os
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from hypothesis import HealthCheck, settings

# How long an example takes says more of what else the machine does than of the code.
settings.register_profile("pocketvae", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("pocketvae")

# Before anything imports TensorFlow: the tests compare figures that another summation order would change.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# Test processes share the cores: threads of one that wait for the other's take a sixth of TensorFlow's CPU time.
if "PYTEST_XDIST_WORKER_COUNT" in os.environ:
    own_cores = max(1, (os.cpu_count() or 1) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"]))
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(own_cores))

TESTS = Path(__file__).parent
# TensorFlow in the tests themselves and in the two workers of an export.
_MEMORY_OF_A_PROCESS = 4 << 30
# A socket's path has at most 107 bytes.
_LONGEST_SOCKET_FOLDER = 80
# .ci/run gives it ten minutes.
_LONGEST_SETUP_S = 660


# Files that train and export most: begun last, one of them would keep a process at work after the others ended. The
# first three need neither targets nor compilers.
LONGEST = (
    "export/test_external_pipeline.py",
    "train/test_pipeline.py",
    "distil/test_pipeline.py",
    "end_to_end/test_edge_targets.py",
    "export/test_pipeline.py",
    "end_to_end/test_commands.py",
    "end_to_end/test_other_systems.py",
    "end_to_end/test_export_robustness.py",
    "end_to_end/test_kinds_of_models.py",
    "export/test_several_outputs.py",
    "train/test_trainer.py",
    "export/convert/test_interfaces.py",
    "studies/test_decoder_latency.py",
    "end_to_end/test_quantized_exports.py",
    "train/test_networks.py",
    "cli/test_quickstart.py",
    "export/test_scorer.py",
    "cli/test_distil.py",
    "apps/clusters/test_commands.py",
    "end_to_end/test_sound.py",
    "export/firmware/test_project.py",
    "train/test_signal_runs.py",
    "udf/test_functions.py",
    "benchmarks/targets/test_android.py",
    "studies/test_mutations.py",
    "benchmarks/drift/test_drift.py",
    "train/test_distribution.py",
    "export/test_rewrite_choice.py",
    "benchmarks/latency/measure/test_side_by_side.py",
    "studies/test_train_throughput.py",
    "export/rewrites/test_catalogue.py",
    "packaging/test_wheel.py",
    "benchmarks/latency/measure/test_instructions.py",
    "train/test_priors.py",
    "end_to_end/test_interruption.py",
    "train/test_likelihoods.py",
    "benchmarks/targets/test_ssh.py",
    "benchmarks/latency/measure/test_bench.py",
    "export/guide/test_page.py",
    "apps/compression/test_codec.py",
    "packaging/test_package.py",
    "train/test_checkpoints.py",
    "train/test_evaluate_run.py",
)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Returns how many processes `make test` shares the files among: one a core, where memory lasts."""
    import psutil

    return max(1, min(psutil.cpu_count() or 1, psutil.virtual_memory().total // _MEMORY_OF_A_PROCESS))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the longest files first; the order within a file stays."""
    rank = {name: index for index, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.relative_to(TESTS).as_posix(), len(rank)))


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], object]], Path]:
    """Makes a file or folder once for all test processes: the first that asks makes it, the others wait for it."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"
    folder.mkdir(exist_ok=True)

    def get(name: str, make: Callable[[Path], object]) -> Path:
        path, unfinished = folder / name, folder / f"unfinished-{os.getpid()}" / name
        with FileLock(folder / f"{name}.lock"):
            if not path.exists():
                unfinished.parent.mkdir(exist_ok=True)
                make(unfinished)
                unfinished.rename(path)
        return path

    return get


def _await_setup(item: pytest.Item) -> None:
    """Waits for what CI sets up beside the tests, unless the test belongs to a file that needs nothing of it."""
    ready = os.environ.get("POCKETVAE_TESTS_AWAIT")
    if ready and item.path.relative_to(TESTS).as_posix() not in LONGEST[:3]:
        deadline = time.monotonic() + _LONGEST_SETUP_S
        while not Path(ready).exists() and time.monotonic() < deadline:
            time.sleep(0.2)


_FROZEN: list[bool] = []


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leaves out what a system cannot do; the garbage collector need not look at TensorFlow's modules again."""
    if "tensorflow" in sys.modules and not _FROZEN:
        _FROZEN.append(True)
        gc.freeze()
    _await_setup(item)
    if sys.platform == "win32" and item.get_closest_marker("posix"):
        pytest.skip("Windows has no signals and no bits of files")


@pytest.fixture(scope="session", autouse=True)
def warm_command(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[str, ...]]:
    """What needs TensorFlow or the runtimes is forked from a process that has imported them, which saves each import.

    Returns a function that gives the command of a module by its path from this folder, such as `external_models`.
    """

    def cold(module: str) -> tuple[str, ...]:
        return sys.executable, str(TESTS / f"{module}.py")

    # Under another system's name a worker must see that system too.
    if sys.platform != "linux" or "POCKETVAE_TEST_SYSTEM" in os.environ:
        return cold
    base = tmp_path_factory.getbasetemp()
    shared = "PYTEST_XDIST_WORKER" in os.environ
    folder, owner = (base.parent if shared else base) / "workers", os.getppid() if shared else os.getpid()
    if len(str(folder)) > _LONGEST_SOCKET_FOLDER:
        return cold
    from pocketvae.benchmarks.latency.measure import subjects, worker_client
    from pocketvae.data import image_process
    from pocketvae.export import external_pipeline
    from pocketvae.export.worker_process import WorkerProcess

    program = sys.executable, "-I", "-S", str(TESTS / "warm_workers.py")
    client, light = ((*program, kind, str(folder), str(owner)) for kind in ("tensorflow", "runtimes"))
    WorkerProcess.program = (*client, *WorkerProcess.program[2:])
    external_pipeline.INSPECTION_COMMAND = (*client, *external_pipeline.INSPECTION_COMMAND[2:])
    external_pipeline.FITTING_COMMAND = (*client, *external_pipeline.FITTING_COMMAND[2:])
    external_pipeline.PREPARATION_COMMAND = (*client, *external_pipeline.PREPARATION_COMMAND[2:])
    subjects.ORIGINALS_COMMAND = (*client, *subjects.ORIGINALS_COMMAND[2:])
    worker_client.WORKER_COMMAND = (*light, *worker_client.WORKER_COMMAND[2:])
    image_process.COMMAND = (*light, *image_process.COMMAND[2:])
    return lambda module: (*client, module)


@pytest.fixture
def cold_workers(monkeypatch):
    """Has workers of benchmarks and decoders start as for users, for tests that end them or look at their memory.

    What is killed is otherwise the client, and the worker may answer before it is ended too.
    """
    from pocketvae.benchmarks.latency.measure import worker_client
    from pocketvae.data import image_process

    command = sys.executable, "-m", "pocketvae.benchmarks.latency.measure.worker"
    monkeypatch.setattr(worker_client, "WORKER_COMMAND", command)
    monkeypatch.setattr(image_process, "COMMAND", (sys.executable, "-m", "pocketvae.data.image_process"))


@pytest.fixture(scope="session")
def mnist_npz(made_once) -> Path:
    """1,500 MNIST images with labels as an .npz."""
    from pocketvae.data.image_files import read_mnist

    def make(path: Path) -> None:
        (images, labels), _ = read_mnist()
        assert labels is not None
        np.savez_compressed(path, images=images[:1500, ..., 0], labels=labels[:1500])

    return made_once("digits.npz", make)


@pytest.fixture(scope="session")
def tiny_config():
    """A network that trains in seconds."""
    from pocketvae.train import TrainConfig

    return TrainConfig(
        latent_dim=4, channels=(4, 8), hidden_units=32, epochs=15, batch_size=32, learning_rate=5e-3, warmup_steps=10
    )


@pytest.fixture(scope="session")
def tiny_run(made_once, mnist_npz: Path, tiny_config) -> Path:
    """A run directory. Do not change it."""

    def make(path: Path) -> None:
        from pocketvae.train import train

        train(source=str(mnist_npz), out=path, config=tiny_config, preset="mnist-tiny")

    return made_once("tiny-run", make)


@pytest.fixture(scope="session")
def tiny_bundle(made_once, tiny_run: Path) -> Path:
    """A bundle with every artifact, without rewrites that depend on timings. Do not change it; copy it first."""

    def make(path: Path) -> None:
        from pocketvae.export import ExportConfig, RewriteChoice, export_run, plan_artifacts

        export_run(tiny_run, path, ExportConfig(artifacts=plan_artifacts(), rewrites=RewriteChoice()))

    return made_once("tiny", make)


@pytest.fixture(scope="session")
def bundles():
    """The helpers of bundles.py, which make small bundles without TensorFlow."""
    return _helpers("bundles")


@pytest.fixture(scope="session")
def devices():
    """Devices that are not there, of the study that measures fleets."""
    return _helpers("simulated_devices", TESTS.parent / "studies")


@pytest.fixture(scope="session")
def tflite_models():
    """The helpers of tflite_models.py, which make small TFLite files without TensorFlow."""
    return _helpers("tflite_models")


@pytest.fixture(scope="session")
def lone_files():
    """The helpers of lone_files.py, which write metadata into small files."""
    return _helpers("lone_files")


@dataclass(frozen=True)
class Outcome:
    """What a command left: its exit code and both streams."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="module")
def few_values():
    """Has bench take the fewest values of a row after few warm-ups: how many there are is not what is tested."""
    from pocketvae.benchmarks.latency.measure import bench, subjects

    load = subjects._load
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench, "_ROW_BUDGET_S", 0.0)
        patch.setattr(bench, "_BLOCK_WARMUPS", 1)
        patch.setattr(subjects, "_load", lambda *given: replace(load(*given), warmup_s=0.05))
        yield


@pytest.fixture(scope="module")
def few_students():
    """Has distil look at few students of each kind: how it finds the fastest of many is tested apart."""
    from pocketvae.distil import pipeline

    every = pipeline.families

    def few(vae, *, bounded):
        return ((narrow[::3],) for narrow, *_ in list(every(vae, bounded=bounded))[::4])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "families", few)
        yield


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium that playwright drives."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    from pocketvae.system.tools.chromium import find_chromium

    program = find_chromium()
    if program is None:
        pytest.skip("no Chromium is installed: run pocketvae targets setup chromium")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def command(capsys):
    """Runs one command in this process."""
    from pocketvae.cli.main import main

    def run(*words) -> Outcome:
        try:
            code = main([str(word) for word in words])
        except SystemExit as e:
            code = int(e.code or 0)
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run


@pytest.fixture
def refused(command):
    """Runs a command that must refuse its input: exit 2, one or two lines that match, no result."""

    def run(pattern, *words, code=2) -> str:
        outcome = command(*words)
        lines = outcome.err.strip().splitlines()
        assert outcome.code == code, outcome
        assert len(lines) <= 2, outcome.err
        assert re.search(pattern, outcome.err), outcome.err
        assert "Traceback" not in outcome.err
        assert outcome.out == ""
        return outcome.err

    return run


def _helpers(name: str, folder: Path = TESTS):
    spec = importlib.util.spec_from_file_location(name, folder / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look up the module that they are in.
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
