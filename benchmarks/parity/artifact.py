"""Checks of one artifact on one target: it runs on the goldens, then its outputs are checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pocketvae.benchmarks.parity.checks import fault_checks, output_checks, structural_check
from pocketvae.benchmarks.parity.deviations import Deviations
from pocketvae.benchmarks.parity.results import Check
from pocketvae.benchmarks.targets import TargetRun
from pocketvae.bundle.bundle import Bundle, Goldens
from pocketvae.bundle.manifest import ArtifactRecord
from pocketvae.errors import ArtifactFault
from pocketvae.numerics.noise import normal_table
from pocketvae.numerics.tolerance import Tolerance
from pocketvae.runtimes.base import FloatArray, Optimizations


@dataclass(frozen=True, kw_only=True)
class CheckedArtifact:
    """The result of running and checking an artifact.

    Attributes:
        checks: All of them.
        expected: The original's outputs `[N, ...]` by name.
        outputs: The artifact's outputs `[N, ...]` by name; None if it could not be run.
        deviations: Deviations of the outputs that the checks computed; None if it could not be run.
    """

    checks: list[Check]
    expected: dict[str, FloatArray]
    outputs: dict[str, FloatArray] | None
    deviations: Deviations | None

    @property
    def passed(self) -> bool:
        """Whether every check did."""
        return all(check.passed for check in self.checks)


def check_artifact(
    run: TargetRun,
    target: str,
    bundle: Bundle,
    artifact: ArtifactRecord,
    tolerances: Sequence[Tolerance],
    goldens: Goldens,
    *,
    optimizations: Optimizations = Optimizations.ON,
    num_threads: int = 1,
    batch: int = 1,
    in_detail: bool = False,
) -> CheckedArtifact:
    """Runs an artifact on every golden sample and checks it.

    Args:
        run: Runs it on the target.
        target: Name of the target.
        bundle: The bundle that holds its file.
        artifact: Its record.
        tolerances: Its tolerances.
        goldens: Goldens of its component.
        optimizations: Whether the runtime may replace operators by faster ones.
        num_threads: Threads used by one call.
        batch: Samples per call.
        in_detail: Compute everything that figures and the worst input need at once, so that the checks share it.

    Raises:
        TargetError: the target cannot run it, which is not the artifact's fault.
    """
    expected = {name: values.astype(np.float32, copy=False) for name, values in goldens.outputs.items()}
    outputs: dict[str, FloatArray] | None
    deviations: Deviations | None = None
    try:
        outputs = run.run(
            artifact, goldens.inputs_of(artifact), optimizations=optimizations, num_threads=num_threads, batch=batch
        )
        deviations = _deviations(bundle, goldens, expected, outputs, in_detail=in_detail)
        checks = output_checks(artifact.name, target, tolerances, outputs, deviations)
    except ArtifactFault as e:
        outputs, checks = None, fault_checks(artifact.name, target, e.check, str(e))
    checks += _noise_checks(bundle, artifact, target)
    checks = [replace(check, batch=batch) for check in checks]
    return CheckedArtifact(checks=checks, expected=expected, outputs=outputs, deviations=deviations)


def _deviations(
    bundle: Bundle,
    goldens: Goldens,
    expected: dict[str, FloatArray],
    outputs: dict[str, FloatArray],
    *,
    in_detail: bool,
) -> Deviations:
    deviations = Deviations(
        expected,
        goldens.select(outputs),
        bundle.manifest.vae,
        strata=goldens.strata,
        observed=goldens.observed,
        anomalous=goldens.anomalous,
    )
    for name in expected if in_detail else ():
        deviations.of(name)
    return deviations


def _noise_checks(bundle: Bundle, artifact: ArtifactRecord, target: str) -> list[Check]:
    if not artifact.component.has_noise or bundle.manifest.vae.is_discrete:  # codes are computed without the table
        return []
    problem = noise_problem(bundle.artifact_path(artifact).read_bytes())
    return [structural_check(artifact.name, target, "noise", problem)]


def noise_problem(content: bytes) -> str:
    """Returns a problem if a sampler's or generator's file does not contain the table of noise; empty if it does.

    Both formats store a constant as it is. Goldens alone are not enough: they use half of the 8,192 entries.
    """
    table = normal_table().astype("<f4").tobytes()
    return "" if table in content else "the table of normal quantiles is not the one that the noise is made from"
