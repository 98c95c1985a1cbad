import pytest
from hypothesis import given
from hypothesis import strategies as st

from pocketvae.export.quantize.search import QuantizationPlan, Search, Trial

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
        return Trial(plan=plan, content=b"", rmse=error, error_ratio=error / limit)

    return attempt


def search(sizes, attempt):
    return Search(sizes, attempt).run()


def test_nothing_is_kept_in_float_where_the_budget_holds():
    best = search(SIZES, network({"first": 0.3, "large": 0.3, "last": 0.3}))
    assert best.plan.float_layers == ()


def test_the_smallest_layer_that_is_enough_is_kept_in_float():
    best = search(SIZES, network({"first": 0.4, "large": 0.4, "last": 0.4}))
    assert best.plan.float_layers == ("last",)


def test_several_layers_are_kept_where_one_is_not_enough():
    best = search(SIZES, network({"first": 2.0, "large": 0.5, "last": 2.0}))
    assert set(best.plan.float_layers) == {"first", "last"}
    assert best.within_budget


def test_many_small_errors_do_not_put_the_large_layer_in_float():
    sizes = {"large": 10_000, **{f"small{index}": 10 for index in range(8)}}
    best = search(sizes, network({"large": 0.7, **{f"small{index}": 0.2 for index in range(8)}}))
    assert "large" not in best.plan.float_layers
    assert best.within_budget


def test_a_layer_that_alone_costs_too_much_stays_in_float():
    best = search({"large": 100, "last": 1}, network({"large": 5.0, "last": 0.5}))
    assert best.plan.float_layers == ("large",)


def test_where_no_plan_holds_the_closest_one_comes_back():
    def hopeless(plan):
        return Trial(plan=plan, content=b"", rmse=1.0, error_ratio=9.0 - len(plan.float_layers))

    best = search(SIZES, hopeless)
    assert not best.within_budget
    assert best.error_ratio == 6.0


def test_a_narrower_range_is_kept_only_where_it_helps():
    gains = {("first", 0.8): 0.5, ("first", 0.6): 0.7, ("large", 0.8): 1.5}
    best = Search(SIZES, network({"first": 1.0, "large": 1.0, "last": 1.0}, range_gain=gains)).tune_ranges()
    assert best.plan.range_scales == {"first": 0.8}


def test_ranges_that_were_found_are_kept_by_the_layers_that_stay_quantized():
    gains = {("first", 0.8): 0.5, ("large", 0.8): 0.5, ("large", 0.6): 0.25}
    best = search(SIZES, network({"first": 2.0, "large": 2.0, "last": 2.0}, range_gain=gains))
    assert set(best.plan.float_layers) == {"first", "last"}
    assert best.plan.range_scales == {"large": 0.6}


def test_a_layer_s_sensitivity_is_what_it_costs_alone():
    errors = {"first": 0.1, "large": 3.0, "last": 0.2}
    assert Search(SIZES, network(errors)).sensitivities() == pytest.approx(errors)


def test_a_variant_is_made_once_and_remembered():
    log = []
    found = Search(SIZES, network({"first": 2.0, "large": 0.5, "last": 2.0}, log=log))
    found.run()
    found.sensitivities()
    found.run()
    keys = [(frozenset(plan.float_layers), frozenset(plan.range_scales.items())) for plan in log]
    assert len(set(keys)) == len(keys) == len(found.trials)


@given(st.lists(st.floats(0.01, 3), min_size=1, max_size=6))
def test_the_search_ends_within_its_promised_number_of_attempts(errors):
    log = []
    sizes = {f"layer{index}": index + 1 for index in range(len(errors))}
    search(sizes, network(dict(zip(sizes, errors, strict=True)), log=log))
    assert len(log) <= 3 * len(errors) + 2


def test_a_plan_is_never_changed_in_place():
    plan = QuantizationPlan()
    assert plan.with_scale("b", 0.5).range_scales == {"b": 0.5}
    assert plan == QuantizationPlan()
    with pytest.raises(AttributeError):
        plan.float_layers = ("x",)


def with_weights(activations, weights, log=None):
    """A network whose layers add an error for integer activations and another for 8-bit weights."""

    def attempt(plan):
        if log is not None:
            log.append(plan)
        computed = sum(value for layer, value in activations.items() if layer not in plan.float_layers)
        stored = sum(
            value for layer, value in weights.items() if layer not in plan.float_layers or layer in plan.weights_only
        )
        return Trial(plan=plan, content=b"", rmse=computed + stored, error_ratio=computed + stored)

    return attempt


def stored(sizes, attempt):
    found = Search(sizes, attempt)
    found.run()
    return found.store_float_weights(SIZES)


def test_float_layers_store_their_weights_in_8_bits_where_that_holds_the_budget():
    sizes, small = dict.fromkeys(SIZES, 10) | {"norm": 4}, dict.fromkeys(SIZES, 0.1)
    best = stored(sizes, with_weights({"first": 2.0, "large": 2.0, "last": 0.3, "norm": 2.0}, small))
    assert set(best.plan.float_layers) == {"first", "large", "norm"}
    assert set(best.plan.weights_only) == {"first", "large"}
    assert best.within_budget


def test_weights_that_cost_too_much_stay_in_float():
    best = stored(SIZES, with_weights(dict.fromkeys(SIZES, 2.0), {"first": 0.1, "large": 3.0, "last": 0.1}))
    assert set(best.plan.weights_only) == {"first", "last"}
    assert set(best.plan.float_layers) == set(SIZES)


def test_nothing_more_is_tried_where_all_layers_are_integers():
    log = []
    found = Search(SIZES, with_weights(dict.fromkeys(SIZES, 0.1), {}, log))
    found.run()
    count = len(log)
    assert found.store_float_weights(SIZES) is found.best()
    assert len(log) == count


# As a network with normalizations: operators without weights between a few layers with them.
MANY = {f"layer{index}": 0 if index % 4 else 1000 + index for index in range(80)}


def large(activations, weights=None, **given):
    log = []
    found = Search(MANY, with_weights(activations, weights or {}, log), **given)
    found.sensitivities()
    found.run()
    return found.store_float_weights([name for name, size in MANY.items() if size]), log


def test_a_large_network_is_searched_in_groups():
    best, log = large(dict.fromkeys(MANY, 0.001) | {"layer0": 2.0, "layer40": 2.0})
    assert set(best.plan.weights_only) == {"layer0", "layer40"}
    assert best.within_budget
    assert len(log) < len(MANY) / 2


def test_a_large_network_has_as_many_integers_as_one_by_one_would_give():
    errors = {name: (0.2 if size else 2.0) for name, size in MANY.items()}
    best, _ = large(errors)
    assert sum(MANY[name] > 0 for name in MANY if name not in best.plan.float_layers) == 4
    assert best.error_ratio == pytest.approx(0.8)


def test_a_large_network_whose_weights_do_not_fit_in_8_bits_keeps_some_in_float():
    weights = {name: 0.001 for name, size in MANY.items() if size} | {"layer8": 3.0}
    best, _ = large(dict.fromkeys(MANY, 2.0), weights)
    assert best.within_budget
    assert set(best.plan.float_layers) - set(best.plan.weights_only) >= {"layer8"}
    assert len(best.plan.weights_only) == sum(size > 0 for size in MANY.values()) - 1


def test_a_search_that_is_out_of_time_ends_with_what_it_has():
    best, log = large(dict.fromkeys(MANY, 2.0), is_over=lambda: True)
    assert best.within_budget
    assert len(log) == 2


def test_scales_that_are_known_are_enough_where_they_meet_the_budget():
    log, gains = [], {("large", 0.5): 0.1, ("large", 0.8): 0.5}
    attempt = network({"first": 0.3, "large": 1.0}, range_gain=gains, log=log)
    best = Search({"first": 10, "large": 1000}, attempt).tune_ranges({"large": 0.5})
    assert best.plan.range_scales == {"large": 0.5}
    assert len(log) == 2


def test_known_scales_that_do_not_meet_the_budget_are_where_the_search_begins():
    gains = {("large", 0.5): 0.6, ("first", 0.8): 0.1}
    attempt = network({"first": 1.0, "large": 1.0}, range_gain=gains)
    best = Search({"first": 10, "large": 1000}, attempt).tune_ranges({"large": 0.5})
    assert best.plan.range_scales == {"large": 0.5, "first": 0.8}


def test_known_scales_that_clip_too_much_together_are_widened():
    gains = {("large", 0.25): 1.2, ("large", 0.5): 0.2}
    log = []
    attempt = network({"first": 0.3, "large": 1.0}, range_gain=gains, log=log)
    best = Search({"first": 10, "large": 1000}, attempt).tune_ranges({"large": 0.25})
    assert best.plan.range_scales == {"large": 0.5}
    assert len(log) == 3


def test_where_known_scales_lead_nowhere_the_search_begins_with_whole_ranges():
    gains = {("large", 0.25): 0.9, ("large", 0.5): 1.5, ("large", 0.8): 0.1}
    attempt = network({"first": 0.3, "large": 1.0}, range_gain=gains)
    best = Search({"first": 10, "large": 1000}, attempt).tune_ranges({"large": 0.25})
    assert best.within_budget
    assert best.plan.range_scales == {"large": 0.8}


def test_what_is_far_from_the_budget_is_not_narrowed_layer_by_layer():
    log = []
    attempt = network({"first": 2.5, "large": 0.5}, log=log)
    best = Search({"first": 10, "large": 1000}, attempt).tune_ranges({"large": 0.5})
    assert not best.within_budget
    assert len(log) == 3  # whole ranges, the known ones, and these widened


def test_what_was_tried_whole_is_not_forgotten_when_layers_are_kept_in_float():
    gains = {("large", 0.5): 0.2}
    attempt = network({"first": 2.5, "large": 1.0}, range_gain=gains)
    found = Search({"first": 10, "large": 1000}, attempt)
    found.tune_ranges({"large": 0.5})
    best = found.run()
    assert best.plan.float_layers == ("first",)
    assert best.plan.range_scales == {"large": 0.5}
