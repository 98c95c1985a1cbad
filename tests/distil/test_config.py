import pytest

from pocketvae.distil import DistilConfig, Targets
from pocketvae.errors import SpecError


def test_a_target_is_needed():
    with pytest.raises(SpecError, match="--speedup K, --target-us N or --max-kb N"):
        Targets()


@pytest.mark.parametrize("value", [0.0, -1.0, float("inf"), float("nan")])
@pytest.mark.parametrize("name", ["target_us", "speedup", "max_kb"])
def test_targets_are_positive_and_finite(name, value):
    with pytest.raises(SpecError, match="must be positive and finite"):
        Targets(**{name: value})


def test_a_speedup_is_above_1():
    with pytest.raises(SpecError, match="--speedup must be above 1, got 1"):
        Targets(speedup=1.0)


def test_a_chip_is_one_whose_compiler_estimates_times():
    assert Targets(speedup=2).accelerator is None
    assert Targets(speedup=2, chip="ethos-u").text() == "at least 2 times as fast on ethos-u55-128"
    with pytest.raises(SpecError, match="unknown Ethos-U accelerator"):
        Targets(speedup=2, chip="hexagon")


def test_the_target_that_is_missed_most_decides():
    targets = Targets(target_us=10, speedup=4, max_kb=100)
    assert targets.excess(latency_us=5, teacher_us=20, size_bytes=100_000) == 1
    assert targets.excess(latency_us=5, teacher_us=10, size_bytes=10_000) == 2
    assert targets.excess(latency_us=30, teacher_us=300, size_bytes=10_000) == 3
    assert Targets(max_kb=100).excess(latency_us=1e9, teacher_us=1, size_bytes=50_000) == 0.5


@pytest.mark.parametrize(
    ("option", "values"),
    [
        ("--steps", {"steps": 0}),
        ("--seed", {"seed": -1}),
        ("--budget-nats", {"budget_nats": 0.0}),
        ("--budget-db", {"budget_db": float("nan")}),
        ("the learning rate", {"learning_rate": 0.0}),
    ],
)
def test_values_out_of_range_are_refused_by_their_option(option, values):
    with pytest.raises(SpecError, match=option):
        DistilConfig(targets=Targets(speedup=2), **values)
