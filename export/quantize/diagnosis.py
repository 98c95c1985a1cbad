"""Diagnosis of quantization: its effect on the layers and inputs of one artifact."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from pocketvae.bundle.manifest import Stratum
from pocketvae.bundle.quantization import InputClipping, LayerDiagnosis
from pocketvae.export.original.goldens import thinned
from pocketvae.export.quantize.quantizers import Quantizer
from pocketvae.export.quantize.search import QuantizationPlan
from pocketvae.runtimes.taps import Inputs

# Enough to see a channel move: the posterior, the prior and its tails all have their share.
_SAMPLES = 48
# Of the values inside a network that are held at once, as floats; a channel of a large image moves within one sample.
_MOST_BYTES = 1e9


def diagnose_layers(
    quantizer: Quantizer, content: bytes, plan: QuantizationPlan, goldens: Inputs, alone: Mapping[str, float]
) -> tuple[LayerDiagnosis, ...]:
    """Returns the effect of quantization on each layer; none where one sample alone fills the memory for it.

    Args:
        quantizer: The quantizer that made the file.
        content: Content of the file.
        plan: The plan that it was made with.
        goldens: Golden inputs `[N, ...]` by name.
        alone: Layer to the error ratio when it alone is quantized; empty where unknown.
    """
    count = min(_SAMPLES, int(_MOST_BYTES // max(1, quantizer.activation_bytes)))
    if not count:
        return ()
    some = thinned(goldens, count)
    real, stored = quantizer.float_activations(some), quantizer.activations(content, some)
    return tuple(
        _diagnose(name, size, real[name], stored.get(name), quantizer.ranges[name], plan, alone.get(name))
        for name, size in quantizer.layers.items()
    )


def _diagnose(
    name: str,
    size: int,
    real: np.ndarray,
    stored: np.ndarray | None,
    limits: tuple[float, float],
    plan: QuantizationPlan,
    alone: float | None,
) -> LayerDiagnosis:
    scale = plan.range_scales.get(name, 1.0)
    in_float = name in plan.float_layers
    constant = _span(real) == 0
    dead = np.zeros_like(constant)
    if stored is not None and not in_float:
        # The last integer of a float's rounding may tip to and fro: two neighbours are one value.
        dead = (_span(stored) <= (1 if stored.dtype.kind in "iu" else 0)) & ~constant
    return LayerDiagnosis(
        name=name,
        weight_count=size,
        error_ratio_alone=alone,
        inside_calibrated=_inside(real, limits),
        inside_integers=1.0 if in_float else _inside(real, (scale * limits[0], scale * limits[1])),
        channels=len(constant),
        dead_channels=tuple(int(index) for index in np.flatnonzero(dead)),
        constant_in_float=int(constant.sum()),
    )


def clipped_inputs(
    ranges: Mapping[str, tuple[float, float]], goldens: Inputs, strata: tuple[Stratum, ...]
) -> tuple[InputClipping, ...]:
    """Returns the share of golden inputs that quantized inputs cannot hold, by kind of sample.

    Args:
        ranges: Smallest and largest real number that the integers of each input can represent.
        goldens: Golden inputs `[N, ...]` by name.
        strata: Kinds of goldens.
    """
    return tuple(
        InputClipping(
            input=name,
            low=low,
            high=high,
            clipped={
                kind.name: 1 - _inside(goldens[name][kind.start : kind.start + kind.count], (low, high))
                for kind in strata
            },
        )
        for name, (low, high) in ranges.items()
        if name in goldens
    )


def _span(values: np.ndarray) -> np.ndarray:
    """Returns largest minus smallest value of each channel, the last axis, `[C]`."""
    rows = values.reshape(-1, values.shape[-1]).astype(np.float64)
    span: np.ndarray = rows.max(axis=0) - rows.min(axis=0)
    return span


def _inside(values: np.ndarray, limits: tuple[float, float]) -> float:
    # Half a step beyond the end is rounded, not clipped; a step is 1/255 of the range.
    slack = (limits[1] - limits[0]) / 510
    return float(np.mean((values >= limits[0] - slack) & (values <= limits[1] + slack)))
