"""Repeated runs of an artifact with other threads, orders and batches, on which nothing may depend."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pocketvae.benchmarks.parity.artifact import check_artifact
from pocketvae.benchmarks.parity.checks import structural_check
from pocketvae.benchmarks.parity.limits import Limits
from pocketvae.benchmarks.parity.results import Check, Measurement
from pocketvae.benchmarks.targets import TargetRun
from pocketvae.bundle.bundle import Bundle, Goldens
from pocketvae.bundle.manifest import ArtifactRecord
from pocketvae.numerics.tolerance import Tolerance
from pocketvae.reporting.text import count_of
from pocketvae.system.environment import logical_cores

_SEED = 0
_ORDERS = 2


@dataclass(frozen=True, kw_only=True)
class Repeats:
    """Whether every repetition stayed within the limits, and how far repetitions were from one another."""

    checks: tuple[Check, ...]
    figures: tuple[Measurement, ...]


def check_repeats(bundle: Bundle, run: TargetRun, limits: Limits) -> Repeats:
    """Runs every artifact on its goldens in two random orders, with 1 and 2 threads, in every batch size.

    Args:
        bundle: The bundle.
        run: Runs its artifacts on this machine.
        limits: The custom limits, which must name what the bundle has.

    Raises:
        ManifestError: the goldens are damaged.
        TargetError: a runtime is missing.
    """
    checks, figures = [], []
    for artifact in bundle.manifest.artifacts:
        goldens = bundle.goldens(artifact.component)
        problem, spread = _repeat(bundle, run, artifact, limits.apply(artifact), goldens)
        checks.append(structural_check(artifact.name, "host", "repeats", problem))
        figures += [
            Measurement(
                artifact=artifact.name, target="host", output=name, stratum="", metric="repeat_max_abs", value=value
            )
            for name, value in spread.items()
        ]
    return Repeats(checks=tuple(checks), figures=tuple(figures))


def _repeat(
    bundle: Bundle, run: TargetRun, artifact: ArtifactRecord, tolerances: Sequence[Tolerance], goldens: Goldens
) -> tuple[str, dict[str, float]]:
    """Returns the first problem, empty if there is none, and the largest difference from the first repetition."""
    rng = np.random.default_rng(_SEED)
    first: dict[str, np.ndarray] = {}
    spread: dict[str, float] = {}
    threads = (1, 2) if logical_cores() > 1 else (1,)
    orders = [goldens.random_order(rng) for _ in range(_ORDERS)]
    for order, count, batch in itertools.product(orders, threads, artifact.batches):
        checked = check_artifact(
            run,
            "host",
            bundle,
            artifact,
            tolerances,
            goldens.reordered(order),
            num_threads=count,
            batch=batch,
        )
        failed = [check for check in checked.checks if not check.passed]
        if failed or checked.outputs is None:
            reason = failed[0].detail if failed else "it could not be run"
            return f"with {count_of(count, 'thread')} at batch {batch}: {reason}", spread
        for name, values in checked.outputs.items():
            restored = np.empty_like(values)
            restored[order] = values
            difference = float(np.abs(restored - first.setdefault(name, restored)).max())
            spread[name] = max(spread.get(name, 0.0), difference)
    return "", spread
