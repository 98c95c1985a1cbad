"""Two runs on a fleet, by model of device."""

from dataclasses import replace

import pytest

from pocketvae.benchmarks import compare_paths, comparison_line, verify_bundle
from pocketvae.benchmarks.devices import Device, DeviceState, Fleet
from pocketvae.benchmarks.latency.results import BenchResult, TargetRow
from pocketvae.benchmarks.not_run import NotRun
from pocketvae.cli.main import main
from pocketvae.documents import encode
from pocketvae.errors import ManifestError
from pocketvae.system.environment import current_environment

FILE = "decoder.float32.onnx"


def fleet(names, lost=()):
    return Fleet(
        name="fleet.toml",
        selection="",
        elapsed_s=1.0,
        devices=tuple(
            Device(
                name=name,
                target=f"android:{name}",
                model=name.partition("-")[0],
                labels={},
                state=DeviceState.LOST if name in lost else DeviceState.DONE,
                reason="unplugged" if name in lost else "",
            )
            for name in names
        ),
    )


def benchmark(medians_s, lost=()):
    rows = [
        TargetRow(
            artifact=FILE,
            target=name,
            threads=1,
            load_s=1.0,
            first_s=1.0,
            median_s=median_s,
            p90_s=1.0,
            p99_s=1.0,
            mad_s=0.0,
            loops=1,
            values_s=(median_s,),
            warnings=(),
        )
        for name, median_s in medians_s.items()
    ]
    return BenchResult(
        bundle="b",
        environment=current_environment(),
        results=(),
        elsewhere=tuple(rows),
        not_run=tuple(NotRun(artifact=FILE, target=name, reason="unplugged") for name in lost),
        fleet=fleet([*medians_s, *lost], lost),
    )


@pytest.fixture
def compared(tmp_path):
    def run(before, after):
        paths = [tmp_path / "before.json", tmp_path / "after.json"]
        for path, result in zip(paths, (before, after), strict=True):
            path.write_text(encode(result))
        return compare_paths(*paths)

    return run


def changes(comparison):
    return {(item.target, item.what): (item.before, item.after, item.change.value) for item in comparison.differences}


def test_a_model_is_slower_where_its_devices_are(compared):
    before = benchmark({"a-1": 1.0, "a-2": 1.2, "a-3": 1.1, "b-1": 5.0})
    found = changes(compared(before, benchmark({"a-1": 2.0, "a-2": 2.4, "a-3": 2.2, "b-1": 5.0})))
    assert found["a, 1 thread", "median_s"] == (1.1, 2.2, "worse")
    assert found["b, 1 thread", "median_s"] == (5.0, 5.0, "same")


def test_devices_that_joined_or_were_lost_are_said_and_change_nothing(compared):
    before = benchmark({"a-1": 1.0, "a-2": 1.0, "a-3": 3.0})
    after = benchmark({"a-1": 1.0, "a-2": 1.0, "a-4": 9.0, "a-5": 9.0}, lost=["a-3"])
    comparison = compared(before, after)
    assert changes(comparison) == {
        ("a, 1 thread", "median_s"): (1.0, 1.0, "same"),
        ("a", "runs"): (None, None, "same"),
    }
    assert comparison.notes == ("2 devices joined: a-4, a-5", "1 device lost: a-3: unplugged")
    assert not comparison.regressed


@pytest.mark.parametrize("way", [1, -1])
def test_a_model_of_which_all_are_lost_is_not_compared(compared, way):
    sides = (benchmark({"a-1": 1.0, "b-1": 1.0}), benchmark({"b-1": 1.0}, lost=["a-1"]))
    comparison = compared(*sides[::way])
    found = {key: change for key, (_, _, change) in changes(comparison).items()}
    assert found == {
        ("a, 1 thread", "median_s"): "not compared",
        ("a", "runs"): "not compared",
        ("b, 1 thread", "median_s"): "same",
        ("b", "runs"): "same",
    }
    assert "not compared: a: no device ran on both sides" in comparison.notes
    assert not comparison.regressed
    assert not comparison.says_nothing
    assert comparison_line(comparison) == "2 same, 2 not compared"


def test_a_model_that_left_is_not_compared(compared):
    comparison = compared(benchmark({"a-1": 1.0, "b-1": 1.0}), benchmark({"a-1": 1.0}))
    assert not comparison.regressed
    assert comparison.notes == ("1 device left: b-1", "not compared: b: no device ran on both sides")


def test_where_all_devices_are_lost_nothing_is_said(compared, tmp_path, capsys):
    comparison = compared(benchmark({"a-1": 1.0}), benchmark({}, lost=["a-1"]))
    assert not comparison.regressed
    assert comparison.says_nothing
    assert main(["compare", str(tmp_path / "before.json"), str(tmp_path / "after.json")]) == 3
    assert capsys.readouterr().out == "2 not compared\n"


def test_a_check_that_fails_counts_whoever_was_lost_before(compared, bundles, tmp_path):
    whole = verify_bundle(bundles.make_bundle(tmp_path / "b"))
    before = replace(whole, checks=(), fleet=fleet(["a-1"], lost=["a-1"]))
    failing = tuple(replace(check, target="a-1", passed=False) for check in whole.checks)
    assert compared(before, replace(whole, checks=failing, fleet=fleet(["a-1"]))).regressed


def test_an_artifact_that_a_device_no_longer_runs_is_a_regression(compared):
    before = benchmark({"a-1": 1.0})
    broken = replace(before, elsewhere=(), not_run=(NotRun(artifact=FILE, target="a-1", reason="it crashed"),))
    assert changes(compared(before, broken))["a", "runs"] == (None, None, "regressed")


def test_a_check_is_that_of_the_worst_device(compared, bundles, tmp_path):
    whole = verify_bundle(bundles.make_bundle(tmp_path / "b"))
    checks = {
        name: [replace(check, target=name, value=(check.value or 0.0) * factor) for check in whole.checks]
        for name, factor in (("a-1", 1), ("a-2", 3))
    }
    before = replace(whole, checks=(*checks["a-1"], *checks["a-2"]), fleet=fleet(checks))
    failing = [replace(check, passed=check.metric != "max_abs") for check in checks["a-2"]]
    comparison = compared(before, replace(before, checks=(*checks["a-1"], *failing)))
    worst = next(check for check in checks["a-2"] if check.metric == "max_abs")
    key = ("a", f"{worst.output} max_abs")
    assert changes(comparison)[key] == (worst.value, worst.value, "regressed")


def test_a_fleet_is_not_compared_with_one_target(compared):
    alone = replace(benchmark({"a-1": 1.0}), fleet=None)
    with pytest.raises(ManifestError, match="after.json is of a fleet but .*before.json is not"):
        compared(alone, benchmark({"a-1": 1.0}))


def test_what_a_device_that_was_lost_midway_did_not_run_is_not_compared(compared):
    whole = benchmark({"a-1": 1.0, "b-1": 1.0})
    rest = tuple(replace(row, artifact="encoder.float32.onnx") for row in whole.elsewhere)
    before = replace(whole, elsewhere=(*whole.elsewhere, *rest))
    devices = tuple(
        replace(item, state=DeviceState.PARTIAL, lost_midway=True) if item.name == "a-1" else item
        for item in whole.fleet.devices
    )
    cut = replace(
        whole,
        elsewhere=(*whole.elsewhere, rest[1]),
        not_run=(NotRun(artifact=rest[0].artifact, target="a-1", reason="the cable was pulled"),),
        fleet=replace(whole.fleet, devices=devices),
    )
    comparison = compared(before, cut)
    assert not comparison.regressed
    assert comparison_line(comparison) == "6 same, 2 not compared"
    assert comparison.notes == (
        "1 device able to run only a part now: a-1",
        "not compared: 1 artifact of a: lost midway",
    )
    assert comparison_line(compared(cut, before)) == "6 same, 2 not compared"
