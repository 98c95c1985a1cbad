"""Running of files that are not written yet, and their deviation from the original on the goldens."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.export.original.goldens import compared
from pocketvae.export.quantize.source import Source
from pocketvae.numerics.metrics import measure
from pocketvae.numerics.tolerance import Tolerance, largest_error_ratio
from pocketvae.runtimes.base import Optimizations
from pocketvae.runtimes.opening import open_runner
from pocketvae.spec import Format

FloatArray = npt.NDArray[np.float32]
Inputs = Mapping[str, npt.NDArray[Any]]


def run_content(
    format: Format, content: bytes, inputs: Inputs, optimizations: Optimizations = Optimizations.ON
) -> dict[str, FloatArray]:
    """Runs a file on every sample; it may take some of the inputs only."""
    with open_runner(content, format, optimizations=optimizations) as runner:
        return runner.run_samples(taken(inputs, runner.inputs))


def taken(inputs: Inputs, names: Collection[str]) -> dict[str, npt.NDArray[Any]]:
    """Returns the inputs of these names: a scorer of integers takes its window in another unit than the others."""
    return {name: values for name, values in inputs.items() if name in names}


def error_ratio_of(format: Format, content: bytes, source: Source, tolerances: tuple[Tolerance, ...]) -> float:
    """Returns the largest ratio of an error on the goldens to its limit; infinite if an output is not finite."""
    return error_ratio_of_outputs(run_content(format, content, source.golden_inputs), source, tolerances)


def error_ratio_of_outputs(
    outputs: Mapping[str, FloatArray], source: Source, tolerances: tuple[Tolerance, ...]
) -> float:
    """Returns the same for outputs that were already computed."""
    return error_ratio_of_errors(errors_of(outputs, source, tolerances), tolerances)


def errors_of(outputs: Mapping[str, FloatArray], source: Source, tolerances: tuple[Tolerance, ...]) -> dict[str, float]:
    """Returns the value that each tolerance limits, by `OUTPUT METRIC`."""
    return {
        error_name(tolerance): measure(
            tolerance,
            source.golden_outputs,
            outputs,
            image_span=source.vae.range_span,
            observed=source.observed,
            anomalous=source.anomalous,
        )
        for tolerance in tolerances
    }


def error_name(tolerance: Tolerance) -> str:
    """Returns the name under which an error is recorded."""
    return f"{tolerance.output} {tolerance.metric}"


def error_ratio_of_errors(errors: Mapping[str, float], tolerances: tuple[Tolerance, ...]) -> float:
    """Returns the same of errors that are known already."""
    return largest_error_ratio((errors[error_name(tolerance)], tolerance.limit) for tolerance in tolerances)


def kernel_spread(format: Format, content: bytes, source: Source) -> dict[str, float]:
    """Returns the largest difference between a runtime's optimized and built-in kernels, by output."""
    # Every parameter of a float file takes four bytes.
    some = compared(source.golden_inputs, source.vae, len(content) // 4)
    optimized, builtin = (run_content(format, content, some, each) for each in Optimizations)
    return {name: float(np.abs(optimized[name] - builtin[name]).max()) for name in optimized}
