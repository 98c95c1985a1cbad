import numpy as np
import pytest

from pocketvae.benchmarks.latency.measure import side_by_side
from pocketvae.benchmarks.latency.measure.side_by_side import Contest, compare
from pocketvae.benchmarks.latency.measure.subjects import artifact_load
from pocketvae.benchmarks.latency.messages import Method
from pocketvae.benchmarks.latency.results import Verdict
from pocketvae.bundle.bundle import open_bundle
from pocketvae.processes.line_process import LineProcess
from pocketvae.progress import ignore_progress


def contests(old, new):
    old, new = open_bundle(old), open_bundle(new)
    return [
        Contest(
            artifact=record.name,
            old=artifact_load(old, old.manifest.artifact(record.name), 1, 1),
            new=artifact_load(new, record, 1, 1),
        )
        for record in new.manifest.artifacts
    ]


def run(given, seed=1, level=0.01):
    return compare(given, margin=0.03, level=level, seed=seed, progress=ignore_progress)


@pytest.fixture
def launches(monkeypatch):
    """Puts drawn ratios in the place of launches; returns how many each artifact had."""
    counts, rng = {}, np.random.default_rng(0)
    truth = {"decoder.float32.onnx": (0.1, 0.01), "encoder.float32.onnx": (0.0, 0.01)}

    def launch(given, order, found):
        for contest in given:
            slowdown, noise = truth[contest.artifact]
            counts[contest.artifact] = counts.get(contest.artifact, 0) + 1
            found.log_ratios.setdefault(contest.artifact, []).append(np.log1p(slowdown) + rng.normal(0, noise))

    monkeypatch.setattr(side_by_side, "_launch", launch)
    return counts, truth


def test_clear_cases_need_the_fewest_launches(launches, tmp_path, bundles):
    counts, _ = launches
    path = bundles.make_bundle(tmp_path / "b")
    compared, problems = run(contests(path, path))
    assert {item.artifact: item.verdict for item in compared} == {
        "decoder.float32.onnx": Verdict.REGRESSED,
        "encoder.float32.onnx": Verdict.PASS,
    }
    assert problems == {}
    assert set(counts.values()) == {12}


def test_an_undecided_artifact_is_launched_again_and_the_others_are_not(launches, tmp_path, bundles):
    counts, truth = launches
    truth["encoder.float32.onnx"] = (0.03, 0.05)
    path = bundles.make_bundle(tmp_path / "b")
    compared, _ = run(contests(path, path))
    assert counts == {"decoder.float32.onnx": 12, "encoder.float32.onnx": 30}
    assert compared[1].verdict is Verdict.INCONCLUSIVE
    assert compared[1].pairs == 30


def test_a_lax_level_has_launches_enough_to_prove_a_pass(launches, tmp_path, bundles):
    path = bundles.make_bundle(tmp_path / "b")
    compared, _ = run(contests(path, path), level=0.9)
    assert {item.artifact: item.verdict for item in compared}["encoder.float32.onnx"] is Verdict.PASS


def test_nothing_to_compare_is_no_error():
    assert run([]) == ([], {})


def test_launches_that_are_lost_are_told(tmp_path, bundles, monkeypatch):
    monkeypatch.setattr(side_by_side, "_launch", lambda given, order, found: None)
    path = bundles.make_bundle(tmp_path / "b")
    compared, problems = run(contests(path, path))
    assert compared == []
    assert set(problems.values()) == {"its process was lost too often"}


def test_real_launches_measure_both_sides(tmp_path, bundles, monkeypatch):
    monkeypatch.setattr(side_by_side, "_GROWTH", (1.0,))
    path = bundles.make_bundle(tmp_path / "b")
    compared, problems = run(contests(path, path))
    assert problems == {}
    assert [item.artifact for item in compared] == ["decoder.float32.onnx", "encoder.float32.onnx"]
    for item in compared:
        assert item.pairs == 12
        assert 0 < item.ratio.interval.low <= item.ratio.value <= item.ratio.interval.high
        assert item.minimum_detectable > 1.03


def test_a_file_that_cannot_be_opened_is_named_and_the_other_is_compared(tmp_path, bundles, monkeypatch):
    monkeypatch.setattr(side_by_side, "_GROWTH", (1.0,))
    old, new = (bundles.make_bundle(tmp_path / name) for name in ("old", "new"))
    given = contests(old, new)
    (old / "decoder.float32.onnx").write_bytes(b"nothing")
    compared, problems = run(given)
    assert [item.artifact for item in compared] == ["encoder.float32.onnx"]
    assert "the file is not an ONNX file" in problems["decoder.float32.onnx"]
    assert problems["decoder.float32.onnx"].startswith("the baseline's: ")


@pytest.mark.usefixtures("cold_workers")
def test_a_process_that_dies_while_it_opens_blames_no_other_file(tmp_path, bundles, monkeypatch):
    monkeypatch.setattr(side_by_side, "_GROWTH", (1.0,))
    path = bundles.make_bundle(tmp_path / "b")
    real, openings = LineProcess.ask, []

    def ask(self, request, time_limit_s):
        if request.method == Method.LOAD:
            openings.append(request.params["path"])
            if request.params["path"].endswith("decoder.float32.onnx"):
                self._process = self._process or self._start()
                self._process.kill()
        return real(self, request, time_limit_s)

    monkeypatch.setattr(LineProcess, "ask", ask)
    # A level that few launches reach: how many they are is not what is tested.
    compared, problems = run(contests(path, path), level=0.5)
    assert set(problems) == {"decoder.float32.onnx"}
    assert "ended by signal 9" in problems["decoder.float32.onnx"]
    # Blamed at the first launch, in whichever order: afterwards the other file has its launches alone.
    assert sum(name.endswith("decoder.float32.onnx") for name in openings) == 2
    assert [item.artifact for item in compared] == ["encoder.float32.onnx"]
