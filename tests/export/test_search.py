import pytest
from hypothesis import given
from hypothesis import strategies as st

from pocketvae.export.search import QuantizationPlan, Trial, search_quantization, tune_ranges

SIZES = {"first": 10, "large": 1000, "last": 5}


def network(errors, *, limit=1.0, range_gain=None, log=None):
    """A network whose error is the sum of its quantized layers' errors, scaled by the ranges."""

    def attempt(plan: QuantizationPlan) -> Trial:
        if log is not None:
            log.append(plan)
        error = sum(
            value * (range_gain or {}).get((layer, plan.range_scales.get(layer, 1.0)), 1.0)
            for layer, value in errors.items()
            if layer not in plan.float_layers
        )
        return Trial(plan=plan, content=b"", rmse=error, excess=error / limit)

    return attempt


def test_nothing_is_kept_in_float_where_the_budget_holds():
    best = search_quantization(SIZES, network({"first": 0.3, "large": 0.3, "last": 0.3}))
    assert best.plan.float_layers == ()


def test_the_cheapest_layer_that_is_enough_is_kept_in_float():
    best = search_quantization(SIZES, network({"first": 0.4, "large": 0.4, "last": 0.4}))
    assert best.plan.float_layers == ("last",)


def test_several_layers_are_kept_where_one_is_not_enough():
    best = search_quantization(SIZES, network({"first": 2.0, "large": 0.5, "last": 2.0}))
    assert set(best.plan.float_layers) == {"first", "last"}
    assert best.within_budget


def test_a_layer_that_is_not_needed_after_all_is_taken_back():
    # `last` gains most per weight and is taken first, then `large` alone would do.
    best = search_quantization({"large": 100, "last": 1}, network({"large": 5.0, "last": 0.5}))
    assert best.plan.float_layers == ("large",)


def test_where_no_plan_holds_the_best_one_comes_back():
    def hopeless(plan):
        return Trial(plan=plan, content=b"", rmse=1.0, excess=9.0 - len(plan.float_layers))

    best = search_quantization(SIZES, hopeless)
    assert not best.within_budget
    assert best.excess == 6.0


def test_a_narrower_range_is_kept_only_where_it_helps():
    gains = {("first", 0.8): 0.5, ("first", 0.6): 0.7, ("large", 0.8): 1.5}
    best = tune_ranges(SIZES, network({"first": 1.0, "large": 1.0, "last": 1.0}, range_gain=gains))
    assert best.plan.range_scales == {"first": 0.8}


@given(st.lists(st.floats(0.01, 3), min_size=1, max_size=6))
def test_the_search_ends_within_its_promised_number_of_attempts(errors):
    log = []
    sizes = {f"layer{index}": index + 1 for index in range(len(errors))}
    search_quantization(sizes, network(dict(zip(sizes, errors, strict=True)), log=log))
    count = len(errors)
    assert len(log) <= 2 * count + count * (count + 3) / 2 + 1


def test_a_plan_is_never_changed_in_place():
    plan = QuantizationPlan()
    assert plan.with_float("a").with_scale("b", 0.5).without_float("a").range_scales == {"b": 0.5}
    assert plan == QuantizationPlan()
    with pytest.raises(AttributeError):
        plan.float_layers = ("x",)
