"""Inputs far larger than any golden: what the glitch of a sensor, or a latent far outside of the prior, gives a file.

Runtimes compute some functions in a form that overflows where TensorFlow's does not. On inputs like those of the data
such a file agrees with the original.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.export.original.goldens import Original, thinned
from pocketvae.export.quantize.measured import taken
from pocketvae.export.quantize.source import Source
from pocketvae.runtimes.base import Runner
from pocketvae.spec import Component

Arrays = Mapping[str, npt.NDArray[Any]]

# Times the goldens, in the order in which they are tried.
_FACTORS = (10.0, 100.0)
_SAMPLES = 8
# What takes real numbers; the noise of seeds is made inside.
_TAKES_LARGE = (Component.ENCODER, Component.DECODER)


def overflow_note(runner: Runner, component: Component, source: Source) -> str:
    """Says from which size of its inputs on a file is not finite where the original is; empty if it always is.

    Args:
        runner: The opened file, in floats.
        component: Which part of the VAE it is.
        source: What it was made from.
    """
    large = {name for name, spec in runner.inputs.items() if spec.dtype == "float32"}
    is_limited = component is Component.ENCODER and source.vae.range_is_strict
    if component not in _TAKES_LARGE or is_limited or not large:
        return ""
    original = Original(component, source.model, source.vae, one_by_one=source.one_by_one)
    if original.is_costly:
        return ""
    some = thinned(taken(source.golden_inputs, runner.inputs), _SAMPLES)
    for factor in _FACTORS:
        inputs = _scaled(some, large, factor)
        expected = original.outputs(inputs)
        found = runner.run_samples(inputs, source.vae.data_range)
        names = [name for name, values in found.items() if _is_lost(values, expected[name])]
        if names:
            return (
                f"{' and '.join(names)} not finite for inputs {factor:g} times as large as usual, where the original is"
            )
    return ""


def _scaled(inputs: Arrays, names: Collection[str], factor: float) -> dict[str, npt.NDArray[Any]]:
    return {name: values * np.float32(factor) if name in names else values for name, values in inputs.items()}


def _is_lost(found: npt.NDArray[Any], expected: npt.NDArray[Any]) -> bool:
    """Whether a value is not finite that should be."""
    return bool((np.isfinite(expected) & ~np.isfinite(found)).any())
