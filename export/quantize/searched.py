"""Int8 artifacts: search for their quantization, explanation, and tests with other calibration samples."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from pocketvae.bundle.quantization import SearchRecord, SeedError, TrialRecord
from pocketvae.errors import ExportError, ParityError, PocketVaeError
from pocketvae.export.quantize.diagnosis import clipped_inputs, diagnose_layers
from pocketvae.export.quantize.measured import error_ratio_of_errors, errors_of, run_content
from pocketvae.export.quantize.notes import (
    effort_notes,
    held_in_integers,
    layer_notes,
    reason_of,
    seed_notes,
    tuning_notes,
)
from pocketvae.export.quantize.pareto import latencies, pareto_front, worth_timing
from pocketvae.export.quantize.quantizers import Quantizer, quantizer_for
from pocketvae.export.quantize.recipe import Recipe
from pocketvae.export.quantize.search import HOPELESS_RATIO, NEAR_RATIO, QuantizationPlan, Search, Trial
from pocketvae.export.quantize.source import Inputs, Source
from pocketvae.export.tuning.ladder import Tune, tunings
from pocketvae.export.tuning.names import Tuning
from pocketvae.numerics.tolerance import Tolerance
from pocketvae.spec import ArtifactSpec, Format

# A search that does more work ends with what it has found.
_LONGEST_S = 100.0
# The same of forms of the network, once one of them is good enough.
_LONGEST_TUNING_S = 120.0
# Dense layers with a smaller share of the weights are not worth a newer runtime.
_WEIGHTY_SHARE = 0.1
# The same of convolutions, of which there are more.
_NOTICEABLE_SHARE = 0.03


@dataclass(frozen=True, kw_only=True)
class Searched:
    """A quantized file and how it was found.

    Attributes:
        content: The file.
        notes: Notes on its special properties.
        record: Record for the manifest.
        recipe: Recipe that reproduces it.
    """

    content: bytes
    notes: tuple[str, ...]
    record: SearchRecord
    recipe: Recipe


def search_artifact(
    spec: ArtifactSpec,
    source: Source,
    tolerances: tuple[Tolerance, ...],
    recipe: Recipe | None = None,
    *,
    integer_only: bool = False,
) -> Searched:
    """Finds the quantization of an int8 artifact, or applies a recipe.

    Args:
        spec: The artifact.
        source: The source to make it from.
        tolerances: What it is held to.
        recipe: What to apply in place of a search.
        integer_only: Quantize the interface too and keep no layer in float, for devices without floats.

    Raises:
        ExportError: the recipe is for another model, or no error of the file is finite.
    """
    if recipe is not None:
        source = replace(source, tuning=recipe.tuning)
    found = _find_on_few(spec, source, tolerances, recipe, integer_only=integer_only)
    source, search, quantizer, best = found.source, found.search, found.quantizer, found.best
    if best.fault or not math.isfinite(best.error_ratio):
        raise ExportError(best.fault or "its integers return what is not finite, or differ where nothing may")
    seeds = found.seeds or _seeds(source, tolerances, best, quantizer)
    record = SearchRecord(
        trial_count=len(search.trials),
        chosen=_record(spec.format, best, 0.0),
        reason=reason_of(search, recipe, integer_only=integer_only),
        layers=diagnose_layers(quantizer, best.content, best.plan, source.golden_inputs, found.alone),
        inputs=clipped_inputs(quantizer.input_ranges(best.content), source.golden_inputs, source.golden_strata),
        # What is not finite JSON cannot hold, and the whole bundle would be lost at its end.
        seeds=tuple(seed for seed in seeds if math.isfinite(seed.error_ratio)),
    )
    made = Recipe(
        artifact=spec.filename,
        data_shape=source.vae.data_shape,
        latent_dim=source.vae.latent_dim,
        layers=dict(quantizer.layers),
        float_layers=tuple(name for name in quantizer.layers if name in best.plan.float_layers),
        range_scales=dict(best.plan.range_scales),
        weights_only=tuple(name for name in quantizer.layers if name in best.plan.weights_only),
        four_bits=tuple(name for name in quantizer.layers if name in best.plan.four_bits),
        rewrites=source.steps,
        tuning=source.tuning,
    )
    trials = (*search.trials, *_convolutions_in_four_bits(found))
    record = _with_front(record, trials, best, spec, source)
    notes = (*layer_notes(best, quantizer), *tuning_notes(source, found.faults), *effort_notes(source))
    return Searched(content=best.content, notes=(*notes, *seed_notes(seeds)), record=record, recipe=made)


@dataclass(frozen=True, kw_only=True)
class _Found:
    """The variant that was chosen, and the search that it is from.

    Attributes:
        source: With the tuning that was chosen.
        quantizer: Of that source.
        search: Its search.
        best: The variant.
        alone: Error ratio of each layer that alone is quantized, as far as it is known.
        seeds: Errors of the variant with each set of calibration samples; empty where they were not measured.
        faults: Why forms of the network could not be tried, if that left layers in float.
    """

    source: Source
    quantizer: Quantizer
    search: Search
    best: Trial
    alone: Mapping[str, float] = field(default_factory=dict)
    seeds: tuple[SeedError, ...] = ()
    faults: tuple[str, ...] = ()

    @property
    def is_good(self) -> bool:
        """Whether the variant is within its budget, and with other calibration samples, too."""
        return self.best.within_budget and self.worst_ratio <= 1

    @property
    def worst_ratio(self) -> float:
        """The largest error ratio of any set of calibration samples."""
        return max([self.best.error_ratio, *(seed.error_ratio for seed in self.seeds)])


def _find_on_few(
    spec: ArtifactSpec,
    source: Source,
    tolerances: tuple[Tolerance, ...],
    recipe: Recipe | None,
    *,
    integer_only: bool,
) -> _Found:
    """Returns what is found on some of the goldens where their items are large.

    It is measured on all; what exceeds the budget there is searched for on all.
    """
    few = source if recipe else source.with_few_goldens()
    found = _find(spec, few, tolerances, recipe, integer_only=integer_only)
    if few is source:
        return found
    whole = replace(source, tuning=found.source.tuning)
    best = _attempt(spec, whole, tolerances, found.quantizer, found.best.plan)
    if best.within_budget or not found.best.within_budget:
        return replace(found, source=whole, best=best, seeds=())
    return _find(spec, source, tolerances, recipe, integer_only=integer_only)


def _find(
    spec: ArtifactSpec,
    source: Source,
    tolerances: tuple[Tolerance, ...],
    recipe: Recipe | None,
    *,
    integer_only: bool,
) -> _Found:
    """Returns the variant that a recipe states, or the whole network in integers, or as much of it as the budget bears.

    The network is tuned only where it is over its budget without, with its own calibration samples or with others.
    """
    start = partial(_start, spec, tolerances=tolerances, integer_only=integer_only)
    quantizer, search = start(source)
    if recipe is not None:
        recipe.check_layers(quantizer.layers)
        return _Found(source=source, quantizer=quantizer, search=search, best=search.attempt(recipe.plan))
    alone = {} if integer_only else search.sensitivities()
    alone = {layer: ratio for layer, ratio in alone.items() if math.isfinite(ratio)}
    best = search.tune_ranges() if integer_only else _with_ranges(source, quantizer, search)
    stock = _with_seeds(_Found(source=source, quantizer=quantizer, search=search, best=best, alone=alone), tolerances)
    if stock.is_good:
        return _in_four_bits(stock, tolerances)
    wholes, faults = [stock], list[str]()
    is_late, is_cut = source.effort.limit(_LONGEST_TUNING_S), source.effort.limit(math.inf)
    for tuning in tunings(source.tune, spec.component, integer_only=integer_only):
        good = [whole.worst_ratio for whole in wholes if whole.is_good]
        if (good and (source.tune is Tune.FAST or is_late())) or is_cut():
            break
        try:
            tuned = _tuned(start, source, tuning)
        except (FloatingPointError, ExportError) as e:
            # A value that is not finite, or a converter that fails for a form of the network, leaves the others.
            faults.append(str(e).partition("\n")[0])
            continue
        # Other calibration samples can only show that a form is worse.
        if tuned is not None and tuned.best.error_ratio < min(good, default=math.inf):
            wholes.append(_with_seeds(tuned, tolerances))
    enough = [whole for whole in wholes if whole.best.within_budget] or (wholes if integer_only else [])
    if enough:
        return _in_four_bits(min(enough, key=lambda whole: whole.worst_ratio), tolerances)
    search.run()
    best = search.store_float_weights(quantizer.storable)
    return replace(stock, best=best, seeds=(), faults=tuple(dict.fromkeys(faults)))


def _in_four_bits(found: _Found, tolerances: tuple[Tolerance, ...]) -> _Found:
    """Returns a variant with dense weights in 4 bits, the largest first, as far as the budget bears it.

    Only where the most is to be tried: such a file needs a newer runtime.
    """
    if found.source.tune is not Tune.FULL:
        return found
    sizes = found.quantizer.dense_layers
    least = _WEIGHTY_SHARE * sum(found.quantizer.layers.values())
    for layer in sorted(sizes, key=lambda name: -sizes[name]):
        if sizes[layer] < least or layer not in found.quantizer.layers:
            continue
        plan = replace(found.best.plan, four_bits=(*found.best.plan.four_bits, layer))
        tried = _with_seeds(replace(found, best=found.search.attempt(plan), seeds=()), tolerances)
        if tried.is_good:
            found = tried
    return found


def _convolutions_in_four_bits(found: _Found) -> tuple[Trial, ...]:
    """Returns variants that are smaller and slower, for the front alone: with convolutions in 4 bits too.

    The largest first, as far as the budget bears it, and one with all layers in 4 bits.
    """
    sizes, plan = found.quantizer.convolutions, found.best.plan
    if found.source.tune is not Tune.FULL or not found.best.within_budget or not sizes:
        return ()
    trials, is_late, chosen = list[Trial](), found.source.effort.limit(_LONGEST_S), plan.four_bits
    least = _NOTICEABLE_SHARE * sum(found.quantizer.layers.values())
    for layer in sorted(sizes, key=lambda name: -sizes[name]):
        if is_late() or sizes[layer] < least or layer in plan.float_layers:
            continue
        tried = found.search.attempt(replace(plan, four_bits=(*chosen, layer)))
        trials.append(tried)
        chosen = tried.plan.four_bits if tried.within_budget else chosen
    whole = (*found.quantizer.dense_layers, *sizes)
    return (*trials, found.search.attempt(replace(plan, four_bits=whole)))


def _with_seeds(found: _Found, tolerances: tuple[Tolerance, ...]) -> _Found:
    """Returns a variant with its errors for other calibration samples, which count only where its own are small."""
    if not found.best.within_budget:
        return found
    return replace(found, seeds=_seeds(found.source, tolerances, found.best, found.quantizer))


def _start(
    spec: ArtifactSpec, source: Source, *, tolerances: tuple[Tolerance, ...], integer_only: bool
) -> tuple[Quantizer, Search]:
    quantizer = quantizer_for(spec.format, source, source.calibration, integer_interface=integer_only)
    quantizer.spend_on_calibration()
    attempt = partial(_attempt, spec, source, tolerances, quantizer)
    return quantizer, Search(quantizer.layers, attempt, source.effort.limit(_LONGEST_S))


def _with_ranges(source: Source, quantizer: Quantizer, search: Search) -> Trial:
    """Returns the best variant that a network has in integers without being tuned.

    Ranges alone help where it is not far from its budget.
    """
    whole = search.attempt(QuantizationPlan())
    if not whole.error_ratio <= NEAR_RATIO:
        return whole
    try:
        scales = quantizer.best_range_scales(source.effort.limit(_LONGEST_S))
    except FloatingPointError:
        scales = {}
    return search.tune_ranges(scales)


def _tuned(start: Callable[[Source], tuple[Quantizer, Search]], source: Source, tuning: Tuning) -> _Found | None:
    """Returns the best whole variant of a tuned network; None where there is nothing to tune, or no file runs.

    Raises:
        ExportError: the network cannot be tuned or converted.
        FloatingPointError: a value inside it is not finite.
    """
    found = source.tuned(tuning)
    if not found.is_changed or (tuning.sum_parts > 1 and not found.sum_parts):
        return None
    tuned = replace(source, tuning=tuning)
    quantizer, search = start(tuned)
    best = search.attempt(QuantizationPlan())
    if best.error_ratio <= HOPELESS_RATIO:
        best = search.tune_ranges(quantizer.best_range_scales(source.effort.limit(_LONGEST_S)))
    return None if best.fault else _Found(source=tuned, quantizer=quantizer, search=search, best=best)


def _attempt(
    spec: ArtifactSpec,
    source: Source,
    tolerances: tuple[Tolerance, ...],
    quantizer: Quantizer,
    plan: QuantizationPlan,
) -> Trial:
    quantizer.spend_on_file(plan, _sample_count(source.golden_inputs))
    try:
        content = quantizer.quantize(plan)
    except (FloatingPointError, ParityError) as e:  # of weights and channels that are set by what the file makes
        return _faulty(plan, b"", str(e))
    try:
        outputs = run_content(spec.format, content, source.golden_inputs)
        rmse = math.nan if plan.float_layers else _rmse(spec.format, content, source)
    except PocketVaeError as e:
        # The quantizer can write what the runtime cannot load; such a variant is none.
        return _faulty(plan, content, str(e))
    errors = errors_of(outputs, source, tolerances)
    ratio = error_ratio_of_errors(errors, tolerances)
    return Trial(plan=plan, content=content, rmse=rmse, error_ratio=ratio, errors=errors)


def _sample_count(inputs: Inputs) -> int:
    return len(next(iter(inputs.values()), ()))


def _faulty(plan: QuantizationPlan, content: bytes, fault: str) -> Trial:
    return Trial(plan=plan, content=content, rmse=math.inf, error_ratio=math.inf, errors={}, fault=fault)


def _rmse(format: Format, content: bytes, source: Source) -> float:
    """Returns the error on samples that are not golden, by which ranges are chosen: where all layers are integers."""
    inputs, expected = source.trials()
    outputs = run_content(format, content, inputs)
    squares = [np.mean(np.square(outputs[name] - expected[name], dtype=np.float64)) for name in expected]
    return float(np.sqrt(np.mean(squares)))


def _seeds(
    source: Source, tolerances: tuple[Tolerance, ...], best: Trial, quantizer: Quantizer
) -> tuple[SeedError, ...]:
    """Returns the errors of the plan with each set of calibration samples, the artifact's own first; infinite of none.

    What the time limit leaves no time for is not measured: the file itself counts more.
    """
    is_late = source.effort.limit(math.inf)
    found = [SeedError(seed=0, errors=dict(best.errors), error_ratio=best.error_ratio)]
    for seed, calibration in enumerate(source.calibrations_of_other_seeds(), start=1):
        if is_late():
            break
        other = quantizer.with_calibration(calibration)
        try:
            other.spend_on_calibration()
            other.spend_on_file(best.plan, _sample_count(source.golden_inputs))
            outputs = run_content(quantizer.format, other.quantize(best.plan), source.golden_inputs)
        except (FloatingPointError, PocketVaeError):  # such a variant is none, as in a search
            found.append(SeedError(seed=seed, errors={}, error_ratio=math.inf))
            continue
        errors = errors_of(outputs, source, tolerances)
        found.append(SeedError(seed=seed, errors=errors, error_ratio=error_ratio_of_errors(errors, tolerances)))
    return tuple(found)


def _with_front(
    record: SearchRecord, trials: tuple[Trial, ...], best: Trial, spec: ArtifactSpec, source: Source
) -> SearchRecord:
    feed = {name: values[:1] for name, values in source.golden_inputs.items()}
    finite = worth_timing([trial for trial in trials if np.isfinite(trial.error_ratio)], best)
    times = latencies(spec.format, [trial.content for trial in finite], feed)
    records = {id(trial): _record(spec.format, trial, time) for trial, time in zip(finite, times, strict=True)}
    chosen = records.get(id(best), record.chosen)
    return replace(record, chosen=chosen, front=pareto_front(list(records.values()), chosen))


def _record(format: Format, trial: Trial, latency_s: float) -> TrialRecord:
    integers = held_in_integers(format, trial)
    return TrialRecord(
        size_bytes=len(trial.content),
        errors=dict(trial.errors),
        error_ratio=trial.error_ratio,
        latency_s=latency_s,
        float_layers=tuple(name for name in trial.plan.float_layers if name not in integers),
        range_scales=dict(trial.plan.range_scales),
        weights_only=trial.plan.weights_only,
        four_bits=trial.plan.four_bits,
    )
