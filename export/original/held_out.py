"""What a scorer needs of a run's data: goldens with anomalies, the original's threshold, items for other thresholds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.errors import DataError, ExportError
from pocketvae.export.original.goldens import Original
from pocketvae.export.original.samples import Samples, encoder_grey, with_conditions
from pocketvae.export.original.through import Through, golden_items
from pocketvae.kinds.registry import kind_of
from pocketvae.numerics.conformal import conformal_threshold
from pocketvae.numerics.normalization import in_own_unit
from pocketvae.numerics.ranking import changed_decisions, confused_pairs
from pocketvae.numerics.scoring import Scoring, measured_noise_scales, needs_noise_scales
from pocketvae.numerics.spectrogram import model_items
from pocketvae.spec import Component
from pocketvae.vae_spec import SCORE, WINDOW, VaeSpec

Array = npt.NDArray[Any]
# Of the random generator; `samples.Purpose` and the worker have the others.
_STREAM, _CALIBRATION_STREAM = 5, 6
# A few, so that narrower ranges are still chosen for what is normal.
_CALIBRATION_COUNT = 128
# How far integers may reach beyond normal values, as parts of their span, on either side. A wide range has coarse
# steps, a narrow one cuts off what makes an anomaly one.
_REACHES = (math.inf, 1.0, 0.5, 0.25)
_STEPS, _SMALLEST_SPAN = 255, 1e-30


@dataclass(frozen=True, kw_only=True)
class ScorerData:
    """The data of a scorer.

    Attributes:
        golden: Golden inputs, of scorers in the unit of a user's data `x` too.
        anomalous: `[N]`, which goldens are anomalies.
        held_out: Inputs `[K, ...]` by name: normal items that the model was not trained on.
        calibration: The encoder's inputs `[M, ...]` by name: anomalies for the ranges of integers.
        scoring: How the original decides.
    """

    golden: Samples
    anomalous: npt.NDArray[np.bool_]
    held_out: dict[str, Array]
    calibration: dict[str, Array]
    scoring: Scoring


def scorer_data(
    encoder: Any,
    decoder: Any,
    arrays: Mapping[str, Array],
    vae: VaeSpec,
    *,
    false_positive_rate: float,
    seed: int,
    one_by_one: bool = False,
) -> ScorerData:
    """Returns the data of a scorer.

    Args:
        encoder: The original encoder.
        decoder: The original decoder.
        arrays: Of a run's reference.
        vae: The interface.
        false_positive_rate: The largest expected share of other normal items that are alarms.
        seed: Of the anomalies.
        one_by_one: See `Original`.

    Raises:
        ExportError: there are too few held-out items for the rate, or their scores are not finite.
    """
    through = Through(component=Component.RECONSTRUCTOR, vae=vae, encoder=encoder, decoder=decoder)
    noise: tuple[float, ...] = ()
    if needs_noise_scales(vae):
        inputs = _inputs(arrays, "calibration", vae)
        original = Original(Component.RECONSTRUCTOR, through, vae, one_by_one=one_by_one)
        noise = measured_noise_scales(vae, model_items(inputs["x"], vae), original.golden_outputs(inputs)[vae.output])
    held_out = in_both_units(_inputs(arrays, "held_out", vae), vae)
    scoring = Scoring(
        threshold=0.0,
        false_positive_rate=false_positive_rate,
        fitted_items=len(arrays["held_out"]),
        noise_scales=noise,
    )
    through = replace(through, component=Component.SCORER, scoring=scoring)
    taken = {spec.name: held_out[spec.name] for spec in vae.inputs(Component.SCORER)}
    original = Original(Component.SCORER, through, vae, one_by_one=one_by_one)
    scores = original.golden_outputs(taken)[SCORE]
    try:
        threshold = conformal_threshold(scores.astype(np.float64), false_positive_rate, kind_of(vae.data).plural)
    except DataError as e:
        raise ExportError(str(e)) from e
    golden, anomalous = _goldens(arrays, "golden", vae, np.random.default_rng([seed, _STREAM]))
    calibration, strange = _goldens(arrays, "calibration", vae, np.random.default_rng([seed, _CALIBRATION_STREAM]))
    low, high = _range_of_integers(original, calibration.inputs, strange, vae)
    few = np.flatnonzero(strange)[:: max(1, int(strange.sum()) // _CALIBRATION_COUNT)]
    return ScorerData(
        golden=replace(golden, inputs=in_both_units(golden.inputs, vae)),
        anomalous=anomalous,
        held_out=held_out,
        calibration={
            name: np.clip(values[few], low, high) if name == "x" else values[few]
            for name, values in calibration.inputs.items()
        },
        # In the precision in which files compare.
        scoring=replace(scoring, threshold=float(np.float32(threshold))),
    )


def _range_of_integers(
    original: Original, inputs: Mapping[str, Array], strange: npt.NDArray[np.bool_], vae: VaeSpec
) -> tuple[float, float]:
    """Returns the range of an 8-bit input with which the original confuses and decides otherwise the fewest items.

    Args:
        original: Of the scorer.
        inputs: Of the encoder, by name.
        strange: `[N]`, which of them are anomalies.
        vae: The interface.
    """
    x = inputs["x"]
    low, high = float(x[~strange].min()), float(x[~strange].max())
    exact = _scores(original, inputs, vae)
    best, fewest = (float(x.min()), float(x.max())), math.inf
    for reach in _REACHES:
        margin = reach * max(high - low, _SMALLEST_SPAN)
        limits = max(low - margin, float(x.min())), min(high + margin, float(x.max()))
        step = (limits[1] - limits[0]) / _STEPS or 1.0
        rounded = limits[0] + step * np.round((np.clip(x, *limits) - limits[0]) / step)
        scores = _scores(original, {**inputs, "x": rounded.astype(x.dtype)}, vae)
        found = confused_pairs(exact, scores, strange) + changed_decisions(exact, scores, strange)
        if found < fewest:
            best, fewest = limits, found
    return best


def _scores(original: Original, inputs: Mapping[str, Array], vae: VaeSpec) -> Array:
    given = in_both_units(inputs, vae)
    found: Array = original.golden_outputs({spec.name: given[spec.name] for spec in vae.inputs(Component.SCORER)})[
        SCORE
    ]
    return found


def _goldens(
    arrays: Mapping[str, Array], name: str, vae: VaeSpec, rng: np.random.Generator
) -> tuple[Samples, npt.NDArray[np.bool_]]:
    normal = _inputs(arrays, name, vae)
    golden, labels, anomalous = golden_items(normal["x"], arrays[f"{name}_labels"], vae, rng)
    return with_conditions(golden, _conditions(labels, vae)), anomalous


def _inputs(arrays: Mapping[str, Array], name: str, vae: VaeSpec) -> dict[str, Array]:
    return {"x": encoder_grey(arrays[name], vae), **_conditions(arrays[f"{name}_labels"], vae)}


def _conditions(labels: Array, vae: VaeSpec) -> dict[str, Array]:
    return {condition.name: labels.astype(np.int32) for condition in vae.conditions}


def in_both_units(inputs: Mapping[str, Array], vae: VaeSpec) -> dict[str, Array]:
    """Adds `window`, in the unit of a user's data, where the VAE has channels; of sounds it is all there is."""
    if vae.log_mel:
        return {WINDOW: inputs["x"], **{name: values for name, values in inputs.items() if name != "x"}}
    if vae.inputs(Component.SCORER)[0].name != WINDOW:
        return dict(inputs)
    return {WINDOW: in_own_unit(inputs["x"], vae.channels), **inputs}
