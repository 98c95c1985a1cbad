"""The study that compares decoders: its arithmetic, its table, and that the files it times are right."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

STUDIES = Path(__file__).parents[2] / "studies"


@pytest.fixture
def study(monkeypatch):
    """The script as a module, which finds its neighbours as when it is run."""
    monkeypatch.syspath_prepend(str(STUDIES))
    spec = importlib.util.spec_from_file_location("decoder_latency", STUDIES / "decoder_latency.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "decoder_latency", module)
    spec.loader.exec_module(module)
    return module


def test_help_says_what_is_compared():
    command = [sys.executable, str(STUDIES / "decoder_latency.py"), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    assert "--peers-python PATH" in done.stdout
    assert "stock conversions and other runtimes" in done.stdout


def test_multiply_adds_are_those_of_the_layers(study):
    dense, last = 16 * 7 * 7 * 64, 28 * 28 * 9 * 32
    assert study.multiply_adds("transposed-4") == dense + 49 * 16 * 64 * 64 + 196 * 16 * 64 * 32 + last
    assert study.multiply_adds("depth-to-space") == study.multiply_adds("transposed-4")
    assert study.multiply_adds("resize") == dense + 196 * 9 * 64 * 64 + 784 * 9 * 64 * 32 + last


def test_speedups_are_taken_within_rounds_and_the_fastest_product_is_the_floor(study):
    def contender(name, values):
        return study.Contender(name=name, process=None, times_s={"resize": values})

    runtimes = [contender("litert-stock", [2e-4, 6e-4, 4e-4]), contender("ncnn", [1e-4, 2e-4, 4e-4])]
    results = study.make_results(runtimes, {"numpy": [1e11], "onnxruntime": [2e11]}, ["resize"])["resize"]
    assert results["floor_s"] == pytest.approx(2 * study.multiply_adds("resize") / 2e11)
    ncnn = results["contenders"]["ncnn"]
    assert (ncnn["median_s"], ncnn["fastest_s"], ncnn["speedup_over_stock"]) == (2e-4, 1e-4, 2.0)
    table = study.format_tables({"resize": results}).splitlines()
    assert [line.split()[0] for line in table if line.startswith("  ")][1:] == ["floor", "ncnn", "litert-stock"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--decoders", "transposed-9"], "unknown decoder 'transposed-9': did you mean"),
        (["--contenders", "ncn"], "unknown contender 'ncn': did you mean 'ncnn'"),
        (["--rounds", "0"], "rounds must be at least 1"),
    ],
)
def test_bad_usage_is_refused(study, capsys, words, message):
    assert study.main(words) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("name", ["transposed-3", "depth-to-space", "resize"])
@pytest.mark.slow
def test_the_reference_image_is_that_of_the_keras_model(study, name):
    from latency_decoders import make_weights, reference_image
    from latency_files import keras_model

    weights = make_weights(name)
    z = np.random.default_rng(4).normal(size=(1, 16)).astype(np.float32)
    image = keras_model(name, weights)(z).numpy().reshape(-1)
    np.testing.assert_allclose(image, reference_image(name, weights, z), atol=1e-5)


@pytest.fixture
def files_here(monkeypatch):
    """Has the files written in this process, which has imported TensorFlow and whose conversion workers are warm."""
    import latency_files

    real = subprocess.run

    def run(command, **options):
        if Path(command[1]).name != "latency_files.py":
            return real(command, **options)
        code = latency_files.write_all(command[2:], latency_files.write)
        return subprocess.CompletedProcess(command, code, "", "")

    monkeypatch.setattr(subprocess, "run", run)


@pytest.mark.slow
def test_contenders_run_and_what_is_missing_is_reported(study, files_here, capsys, tmp_path):
    record = tmp_path / "record.json"
    words = ["--decoders", "transposed-3", "--contenders", "litert-stock,litert-pocketvae,openvino", "--rounds", "2"]
    assert study.main([*words, "--seconds", "0.05", "--json", str(record)]) == 0
    document = json.loads(record.read_text())
    results = document["results"]["transposed-3"]["contenders"]
    assert all(len(row["values_s"]) == 2 for row in results.values())
    assert {"litert-stock", "litert-pocketvae"} <= results.keys()
    assert document["contenders"]["litert-pocketvae"]["transposed-3"]["max_difference"] < 1e-5
    if "openvino" not in results:
        assert document["not_run"]["openvino"]["transposed-3"] == "not installed: openvino"
        assert "openvino: not run: not installed: openvino (transposed-3)" in capsys.readouterr().out
    assert document["sgemm_flops"].keys() == {"numpy", "onnxruntime"}
