"""Inputs far larger than any golden: what the glitch of a sensor, or a latent far outside of the prior, gives a file.

Runtimes compute some functions in a form that overflows where TensorFlow's does not. On inputs like those of the data
such a file agrees with the original.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.export.original.goldens import Inputs, Original, Outputs, thinned
from pocketvae.export.quantize.measured import taken
from pocketvae.export.quantize.source import Source
from pocketvae.runtimes.base import Runner
from pocketvae.spec import Component
from pocketvae.vae_spec import DataKind

# A factor, the inputs times it, and the original's outputs for them.
_Case = tuple[float, Inputs, Outputs]

# Times the goldens, in the order in which they are tried.
_FACTORS = (10.0, 100.0)
_SAMPLES = 8


def overflow_note(runner: Runner, component: Component, source: Source) -> str:
    """Says from which size of its inputs on a file is not finite where the original is; empty if it always is.

    Nothing is said of what has no large inputs (images, data with a strict range, the noise of seeds), of an original
    that refuses them, and of one of which a call takes a good part of a second.

    Args:
        runner: The opened file, in floats.
        component: Which part of the VAE it is.
        source: What it was made from.
    """
    large = _large_inputs(runner, component, source)
    for factor, inputs, expected in _cases(runner, component, source, large) if large else ():
        where = f"for inputs {factor:g} times as large as usual"
        try:
            found = runner.run_samples(inputs, source.vae.data_range)
        except Exception:  # whatever a runtime raises
            return f"cannot be run {where}, as the original can"
        if lost := [name for name, values in found.items() if _is_lost(values, expected[name])]:
            return f"{' and '.join(lost)} not finite {where}, unlike in the original"
    return ""


def _cases(runner: Runner, component: Component, source: Source, large: Collection[str]) -> list[_Case]:
    """Returns what the original takes, by factor; run once for all files with the same inputs."""
    key = f"{component} of large {sorted(large)} among {sorted(runner.inputs)}"
    if key not in source.cache:
        some = thinned(taken(source.golden_inputs, runner.inputs), _SAMPLES)
        original = Original(component, source.model, source.vae, one_by_one=source.one_by_one)
        source.cache[key] = [] if original.is_costly else list(_run(original, some, large))
    cases: list[_Case] = source.cache[key]
    return cases


def _run(original: Original, some: Inputs, large: Collection[str]) -> Iterator[_Case]:
    for factor in _FACTORS:
        inputs = {name: values * np.float32(factor) if name in large else values for name, values in some.items()}
        try:
            with np.errstate(all="ignore"):
                expected = original.outputs(inputs)
        except Exception:  # a lookup or an assertion of the user's model, which such inputs are not for
            return
        yield factor, inputs, expected


def _large_inputs(runner: Runner, component: Component, source: Source) -> Collection[str]:
    """Returns the inputs that can be of any size: the items, or latents of real numbers; conditions are not."""
    vae = source.vae
    has_range = vae.data is DataKind.IMAGE or vae.range_is_strict
    names = {
        Component.ENCODER: set() if has_range else {"x"},
        Component.DECODER: {latent.name for latent in vae.latents},
    }.get(component, set())
    return {name for name, spec in runner.inputs.items() if name in names and spec.dtype == "float32"}


def _is_lost(found: npt.NDArray[Any], expected: npt.NDArray[Any]) -> bool:
    """Whether a value is not finite that should be."""
    return bool((np.isfinite(expected) & ~np.isfinite(found)).any())
