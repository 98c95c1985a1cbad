"""One artifact on one target: run on the goldens, then checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pocketvae.benchmarks.parity.checks import fault_checks, output_checks, structural_check
from pocketvae.benchmarks.parity.results import Check
from pocketvae.benchmarks.targets import ArtifactFault, TargetRun
from pocketvae.bundle.bundle import Bundle, Goldens
from pocketvae.bundle.manifest import ArtifactRecord
from pocketvae.numerics.noise import normal_table
from pocketvae.numerics.tolerance import Tolerance
from pocketvae.runtimes.base import FloatArray, Kernels


@dataclass(frozen=True, kw_only=True)
class CheckedArtifact:
    """What came out.

    Attributes:
        checks: All of them.
        expected: Output name to the original's `[N, ...]`.
        outputs: Output name to the artifact's `[N, ...]`; None where it could not be run.
    """

    checks: list[Check]
    expected: dict[str, FloatArray]
    outputs: dict[str, FloatArray] | None

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
    kernels: Kernels = Kernels.OPTIMIZED,
    num_threads: int = 1,
    batch: int = 1,
) -> CheckedArtifact:
    """Runs an artifact on every golden sample and checks it.

    Args:
        run: Where it runs.
        target: That target's name.
        bundle: Holds its file.
        artifact: Its record.
        tolerances: What it is held to.
        goldens: Of its component.
        kernels: Which operator implementations run.
        num_threads: Inside one inference.
        batch: Samples in one call.

    Raises:
        TargetError: the target cannot run it, for which the artifact is not to blame.
    """
    expected = {name: values.astype(np.float32, copy=False) for name, values in goldens.outputs.items()}
    outputs: dict[str, FloatArray] | None
    try:
        outputs = run.outputs(artifact, goldens.inputs, kernels=kernels, num_threads=num_threads, batch=batch)
        vae, compared = bundle.manifest.vae, goldens.select(outputs)
        checks = output_checks(artifact.name, target, vae, tolerances, expected, outputs, compared, goldens.observed)
    except ArtifactFault as e:
        outputs, checks = None, fault_checks(artifact.name, target, e.check, str(e))
    checks += _noise_checks(bundle, artifact, target)
    checks = [replace(check, batch=batch) for check in checks]
    return CheckedArtifact(checks=checks, expected=expected, outputs=outputs)


def _noise_checks(bundle: Bundle, artifact: ArtifactRecord, target: str) -> list[Check]:
    if not artifact.component.is_composed:
        return []
    problem = noise_problem(bundle.artifact_path(artifact).read_bytes())
    return [structural_check(artifact.name, target, "noise", problem)]


def noise_problem(content: bytes) -> str:
    """Says that a sampler's or generator's file lacks the table of noise; empty where it has it.

    Both formats store a constant as it is. Goldens alone would not do: they touch half of the 8,192 entries.
    """
    table = normal_table().astype("<f4").tobytes()
    return "" if table in content else "the table of normal quantiles is not the one that noise is made of"
