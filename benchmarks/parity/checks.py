"""The individual checks of an artifact: interface, finite values, range and tolerances."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from pocketvae.benchmarks.parity.deviations import Deviations
from pocketvae.benchmarks.parity.results import Check
from pocketvae.bundle.manifest import ArtifactRecord
from pocketvae.errors import PocketVaeError
from pocketvae.numerics.ceilings import float_ceiling, output_range
from pocketvae.numerics.tolerance import Tolerance
from pocketvae.runtimes.base import FloatArray
from pocketvae.vae_spec import VaeSpec

# In this order; an artifact that fails one stage does not reach the next.
LOADS, INTERFACE, RUNS = "loads", "interface", "runs"
_STAGES = (LOADS, INTERFACE, RUNS)
# No runtime may exceed the recorded range of the data by more than rounding.
_RANGE_SLACK = 1e-6
# For the rounding of the numbers themselves.
_CEILING_SLACK = 1.001


def fault_checks(artifact: str, target: str, stage: str, problem: str) -> list[Check]:
    """Returns the checks of an artifact that stopped at a stage: earlier ones passed, this one failed."""
    passed = _STAGES[: _STAGES.index(stage)]
    checks = [structural_check(artifact, target, name, "") for name in passed]
    return [*checks, structural_check(artifact, target, stage, problem)]


def output_checks(
    artifact: str,
    target: str,
    tolerances: Sequence[Tolerance],
    outputs: Mapping[str, FloatArray],
    deviations: Deviations,
) -> list[Check]:
    """Returns every check of an artifact that ran.

    Args:
        artifact: File name.
        target: Where it ran.
        tolerances: Its tolerances; without any it fails, because nothing passes by omission.
        outputs: The artifact's outputs `[N, ...]` by name, with all values.
        deviations: Deviations of those values that the original's outputs also have.
    """
    vae, expected = deviations.vae, deviations.original
    checks = [structural_check(artifact, target, stage, "") for stage in (LOADS, INTERFACE)]
    checks += [structural_check(artifact, target, "finite", finite_problem(outputs[name]), name) for name in expected]
    checks += [
        structural_check(artifact, target, "range", range_problem(outputs[item.name], item.data_range), item.name)
        for item in vae.outputs
        if item.name in expected and item.range_is_strict
    ]
    if not tolerances:
        reason = "the manifest has no tolerance for this artifact"
        checks.append(structural_check(artifact, target, "tolerances", reason))
    return checks + [tolerance_check(artifact, target, item, deviations) for item in tolerances]


def attributed(checks: Sequence[Check], runtime: str) -> list[Check]:
    """Returns checks in which failed ones name the runtime, if it is not the usual one."""
    return [
        check if check.passed or not runtime else replace(check, detail=f"{check.detail}, in {runtime}")
        for check in checks
    ]


def structural_check(artifact: str, target: str, metric: str, problem: str, output: str = "") -> Check:
    """Returns a check without a number, which passes if there is no problem."""
    return Check(
        artifact=artifact,
        target=target,
        output=output,
        metric=metric,
        value=None,
        limit=None,
        limit_source="",
        passed=not problem,
        detail=problem,
    )


def tolerance_check(artifact: str, target: str, tolerance: Tolerance, deviations: Deviations) -> Check:
    """Returns a check of a number against its limit; a missing or non-finite number fails."""
    detail = ""
    try:
        value = deviations.measure(tolerance)
    except PocketVaeError as e:
        value, detail = math.nan, str(e)
    if not math.isfinite(value):
        detail = detail or "the deviation is not finite"
    elif not value <= tolerance.limit:
        detail = f"{value:.3g} is above the limit of {tolerance.limit:.3g}"
    return Check(
        artifact=artifact,
        target=target,
        output=tolerance.output,
        metric=tolerance.metric,
        value=value if math.isfinite(value) else None,
        limit=tolerance.limit,
        limit_source=tolerance.source,
        passed=not detail,
        detail=detail,
    )


def ceiling_checks(
    artifact: ArtifactRecord,
    target: str,
    tolerances: Sequence[Tolerance],
    original: Mapping[str, FloatArray],
    vae: VaeSpec,
) -> list[Check]:
    """Returns a failed check for each recorded limit of a float file that exceeds what rounding can explain.

    Older exports gave limits that anything passes to an original that deviates from itself, because it is random or its
    samples depend on one another. A custom limit is the user's own decision.

    Args:
        artifact: The artifact's record.
        target: Where it ran.
        tolerances: The tolerances in use, custom limits among them.
        original: The original's outputs `[N, ...]` by name.
        vae: The interface.
    """
    if not artifact.precision.is_float:
        return []
    checks = []
    for limit in tolerances:
        if limit not in artifact.tolerances or limit.metric != "max_abs" or limit.output not in original:
            continue
        span = output_range(original[limit.output], vae.span_of(limit.output))
        most = float_ceiling(artifact.precision, limit.output, span, artifact.image_dtype)
        if limit.limit > most * _CEILING_SLACK:
            problem = (
                f"its limit of {limit.limit:.2g} passes anything: rounding explains at most {most:.2g}. The original "
                f"deviated from itself when it was exported ({limit.source}); export it again"
            )
            checks.append(structural_check(artifact.name, target, "limit", problem, limit.output))
    return checks


def meets(tolerances: Sequence[Tolerance], deviations: Deviations) -> bool:
    """Whether outputs are within every tolerance; see `output_checks`."""
    return all(tolerance_check("", "", tolerance, deviations).passed for tolerance in tolerances)


def finite_problem(values: FloatArray) -> str:
    """Returns the number of NaN or infinite values as text; empty if there are none."""
    bad = int(np.count_nonzero(~np.isfinite(values)))
    return f"{bad} of {values.size} values are NaN or infinite" if bad else ""


def range_problem(values: FloatArray, limits: tuple[float, float]) -> str:
    """Returns how far values exceed a range; empty if they do not."""
    known = values[~np.isnan(values)]
    if not known.size:
        return f"values must be in [{limits[0]:g}, {limits[1]:g}], but all are NaN"
    low, high = float(known.min()), float(known.max())
    inside = low >= limits[0] - _RANGE_SLACK and high <= limits[1] + _RANGE_SLACK
    return "" if inside else f"values must be in [{limits[0]:g}, {limits[1]:g}], got {low:.4g} to {high:.4g}"
