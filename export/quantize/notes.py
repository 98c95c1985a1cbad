"""Notes on an int8 file: what is special about it, for manifest and model card."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from pocketvae.bundle.quantization import SeedError
from pocketvae.export.quantize.quantizers import Quantizer
from pocketvae.export.quantize.recipe import Recipe
from pocketvae.export.quantize.search import MARGIN, Search, Trial
from pocketvae.export.quantize.source import Source
from pocketvae.formats.layers import read_layers
from pocketvae.layer_precision import short_layer_name
from pocketvae.spec import Format


def layer_notes(best: Trial, quantizer: Quantizer) -> tuple[str, ...]:
    """Returns what is special about a file, as it is stored and not as it was asked for."""
    layers, plan = quantizer.layers, best.plan
    integers = [name for name in held_in_integers(quantizer.format, best) if name not in plan.weights_only]
    floats = [name for name in layers if name in plan.float_layers and name not in (*integers, *plan.weights_only)]
    notes = []
    if floats:
        notes.append(f"kept in float to meet the budget: {_names(layers, floats)}")
    elif not integers and not plan.weights_only:
        notes.append("all layers with weights are quantized")
    if plan.weights_only:
        notes.append(f"8-bit weights, float activations to meet the budget: {_names(layers, plan.weights_only)}")
    if plan.four_bits:
        notes.append(f"weights in 4 bits, rounded by their outputs: {_names(layers, plan.four_bits)}")
    if integers:
        names = ", ".join(sorted({short_layer_name(name) for name in integers}))
        notes.append(f"the converter quantized {names} although the budget needs them in float")
    if plan.range_scales:
        notes.append(f"integers cover part of the calibrated range: {_scales(plan.range_scales)}")
    return tuple(notes)


def tuning_notes(source: Source, faults: Sequence[str] = ()) -> tuple[str, ...]:
    """Returns how the network was changed to compute in integers, or why it could not be."""
    if source.tuning is None:
        return tuple(f"not tuned for integers: {fault}" for fault in faults)
    tuned = source.tuned(source.tuning)
    changes = []
    if tuned.equalized:
        changes.append(f"channels equalized in front of {tuned.equalized} layer{'s' if tuned.equalized > 1 else ''}")
    if tuned.latent_parts:
        changes.append("the latent in two parts of 8 bits")
    if tuned.sum_parts:
        changes.append(f"the terms of the last residual sum in {source.tuning.sum_parts} parts of 8 bits")
    if tuned.output_parts:
        changes.append(f"the values before the head in {source.tuning.output_parts} parts of 8 bits")
    return (f"tuned for integers: {', '.join(changes)}",)


def effort_notes(source: Source) -> tuple[str, ...]:
    """Returns whether the search was ended by the time limit."""
    if not source.effort.was_cut:
        return ()
    return ("the search was cut short by --time-limit, so that a later export may find another file",)


def seed_notes(seeds: Sequence[SeedError]) -> tuple[str, ...]:
    """Returns with how many other sets of calibration samples there is no such file, or none with finite errors."""
    lost = sum(not math.isfinite(seed.error_ratio) for seed in seeds)
    if not lost:
        return ()
    return (f"no file, or none with finite errors, with {lost} of {len(seeds) - 1} other sets of calibration samples",)


def reason_of(search: Search, recipe: Recipe | None, *, integer_only: bool) -> str:
    """Returns why a variant was chosen."""
    if recipe is not None:
        return "as in the recipe"
    held = sum(trial.within_budget for trial in search.trials)
    if integer_only:
        return f"smallest error on calibration samples of {len(search.trials)} sets of ranges, with no layers in float"
    if held:
        return (
            f"fewest bytes and weights in float of the {held} of {len(search.trials)} variants within {MARGIN:.0%} of "
            f"the budget"
        )
    return f"closest to the budget, which none of {len(search.trials)} variants meets"


def held_in_integers(format: Format, trial: Trial) -> tuple[str, ...]:
    """Returns the layers of a plan that should be in float and whose weights the file stores in integers."""
    if not trial.plan.float_layers:
        return ()
    # The quantizer appends the names of what it fused with a layer, behind semicolons.
    stored = {layer.name.split(";")[0] for layer in read_layers(format, trial.content) if "int" in layer.weights}
    return tuple(name for name in trial.plan.float_layers if name.split(";")[0] in stored)


def _scales(range_scales: Mapping[str, float]) -> str:
    """Returns each layer once, although a normalization is a layer for each of its operators."""
    found: dict[str, list[str]] = {}
    for name, scale in sorted(range_scales.items(), key=lambda item: item[1]):
        found.setdefault(short_layer_name(name), []).append(f"{scale:.0%}")
    shares = {name: " to ".join(dict.fromkeys((scales[0], scales[-1]))) for name, scales in found.items()}
    return ", ".join(f"{name} {share}" for name, share in sorted(shares.items()))


def _names(layers: Mapping[str, int], chosen: Sequence[str]) -> str:
    share = sum(layers[name] for name in chosen) / max(1, sum(layers.values()))
    return f"{', '.join(sorted({short_layer_name(name) for name in chosen}))} ({share:.1%} of the weights)"
