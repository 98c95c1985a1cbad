"""The study that compares training speed: its statistics, its table, and that every contender trains."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pocketvae.processes.line_process import LineProcess

STUDIES = Path(__file__).parents[2] / "studies"
QUICK = ["--preset", "mnist-tiny", "--threads", "1", "--rounds", "2", "--seconds", "0.1"]


@pytest.fixture
def study(monkeypatch):
    """The script as a module, which finds its neighbours as when it is run."""
    monkeypatch.syspath_prepend(str(STUDIES))
    spec = importlib.util.spec_from_file_location("train_throughput", STUDIES / "train_throughput.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "train_throughput", module)
    spec.loader.exec_module(module)
    return module


def test_help_says_what_is_compared():
    command = [sys.executable, str(STUDIES / "train_throughput.py"), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    assert "--torch-python PATH" in done.stdout
    assert "pocketvae beside plain Keras and PyTorch" in done.stdout


def test_ratios_are_taken_within_rounds(study):
    values = {"pocketvae": [200.0, 300.0, 100.0], "torch-eager": [100.0, 100.0, 100.0]}
    mine, other = study.summarize(values, ["torch-eager"])
    assert (mine.images_per_s.median, mine.images_per_s.mad) == (200.0, 100.0)
    assert (mine.ratios["torch-eager"].median, mine.ratios["torch-eager"].mad) == (2.0, 1.0)
    assert (other.ratios["torch-eager"].median, other.ratios["torch-eager"].mad) == (1.0, 0.0)
    assert mine.values_images_per_s == (200.0, 300.0, 100.0)
    assert "unstable: MAD is 50%" in mine.warnings[0]
    assert other.warnings == ()


def test_a_machine_that_slows_down_does_not_change_a_ratio(study):
    values = {"pocketvae": [300.0, 200.0, 100.0], "torch-eager": [150.0, 100.0, 50.0]}
    ratio = study.summarize(values, ["torch-eager"])[0].ratios["torch-eager"]
    assert (ratio.median, ratio.mad) == (2.0, 0.0)


@pytest.mark.parametrize("values", [{"pocketvae": []}, {"pocketvae": [1.0, 2.0], "torch-eager": [1.0]}])
def test_missing_values_are_refused(study, values):
    with pytest.raises(ValueError, match="the same number of values, at least one"):
        study.summarize(values, [])


def test_the_table_names_what_did_not_run(study):
    rows = study.summarize({"pocketvae": [1000.0, 1000.0], "keras-fit": [800.0, 800.0]}, ["keras-fit"])
    assert study.format_table(rows, 128, {"torch-eager": "No module named 'torch'"}).splitlines() == [
        "contender  images/s  MAD  ms/step  x keras-fit    MAD",
        "pocketvae      1000    0   128.00        1.250  0.000",
        "keras-fit       800    0   160.00        1.000  0.000",
        "torch-eager: not run: No module named 'torch'",
    ]
    assert study.format_table([], 128, {"pocketvae": "why"}).endswith("pocketvae: not run: why")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--contenders", "pocketvea"], "unknown contender 'pocketvea': did you mean 'pocketvae'"),
        (["--preset", "rgb64"], "only these can be compared: the Bernoulli likelihood"),
        (["--preset", "mnist", "--set", "bfloat16=true"], "float32 (bfloat16 is a contender)"),
        (["--preset", "mnist", "--set", "shift_pixels=1"], "images as they are"),
        (["--preset", "mnist", "--set", "weight_decay=0.1"], "no weight decay"),
        (["--threads", "512"], "threads must be between 1 and this machine's"),
        (["--rounds", "0"], "rounds must be at least 1"),
        (["--set", "no_such_key=1"], "unknown configuration key 'no_such_key'"),
    ],
)
def test_bad_usage_is_refused_before_the_work(study, capsys, words, message):
    assert study.main(words) == 2
    assert message in capsys.readouterr().err


def test_a_record_is_not_overwritten(study, tmp_path, capsys):
    (tmp_path / "old.json").write_text("old")
    assert study.main(["--json", str(tmp_path / "old.json"), "--threads", "1"]) == 2
    assert "exists: choose another output, or pass --force" in capsys.readouterr().err
    assert (tmp_path / "old.json").read_text() == "old"


@pytest.fixture
def warm_contenders(study, monkeypatch, warm_command):
    """Contenders with the tests' own choice of oneDNN are forked from a process that has imported TensorFlow."""
    onednn = "TF_ENABLE_ONEDNN_OPTS"

    def make(command, *, environment):
        if Path(command[1]).stem == "throughput_tensorflow" and environment[onednn] == os.environ[onednn]:
            # NumPy reads the number of threads when it is imported.
            environment = {name: value for name, value in environment.items() if name != "OMP_NUM_THREADS"}
            command = warm_command("../studies/throughput_tensorflow")
        return LineProcess(command, environment=environment)

    monkeypatch.setattr(study, "LineProcess", make)


@pytest.mark.slow
@pytest.mark.usefixtures("warm_contenders")
def test_contenders_without_pytorch_train(study, tmp_path, capsys):
    record = tmp_path / "record.json"
    missing = str(tmp_path / "no" / "python")
    assert study.main([*QUICK, "--torch-python", missing, "--json", str(record)]) == 0
    assert "torch-eager: not run: PATH cannot be started: No such file or directory" in capsys.readouterr().out
    document = json.loads(record.read_text())
    multiplies = {"amx_bf16", "avx512_bf16"}.intersection(document["environment"]["cpu_features"])
    ran = ["pocketvae", "pocketvae-toggled", *(["pocketvae-bfloat16"] if multiplies else []), "keras-fit"]
    assert [row["contender"] for row in document["results"]] == ran
    assert all(len(row["values_images_per_s"]) == 2 for row in document["results"])
    assert all(row["ratios"].keys() == {"keras-fit"} for row in document["results"])
    without = {"torch-eager", "torch-compile", "torch-autocast"}
    assert document["not_run"].keys() == (without if multiplies else {*without, "pocketvae-bfloat16"})
    assert document["contenders"]["keras-fit"]["checks"]["relative_loss_deviation"] < 1e-4
    assert {"config", "environment", "commit", "command"} <= document.keys()
    assert str(tmp_path) not in record.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["mnist-tiny", "mnist", "mnist-mlp"])
def test_pytorch_trains_the_same_network(study, tmp_path, preset):
    if importlib.util.find_spec("torch") is None:
        pytest.skip("PyTorch is not installed: it is no dependency")
    record = tmp_path / "record.json"
    words = [*QUICK, "--preset", preset, "--contenders", "pocketvae,torch-eager", "--json", str(record)]
    assert study.main(words) == 0
    document = json.loads(record.read_text())
    assert document["not_run"] == {}
    assert all(deviation < 1e-4 for deviation in document["contenders"]["torch-eager"]["checks"].values())
