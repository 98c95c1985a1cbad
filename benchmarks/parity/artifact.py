"""One artifact on one target: run on the goldens, then checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pocketvae.benchmarks.parity.checks import fault_checks, output_checks
from pocketvae.benchmarks.results import Check
from pocketvae.benchmarks.targets import ArtifactFault, TargetRun
from pocketvae.bundle import Goldens
from pocketvae.manifest import ArtifactRecord, Tolerance
from pocketvae.runners import FloatArray, Kernels
from pocketvae.spec import VaeSpec


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
    artifact: ArtifactRecord,
    tolerances: Sequence[Tolerance],
    goldens: Goldens,
    vae: VaeSpec,
    *,
    kernels: Kernels = Kernels.OPTIMIZED,
    num_threads: int = 1,
) -> CheckedArtifact:
    """Runs an artifact on every golden sample and checks it.

    Args:
        run: Where it runs.
        target: That target's name.
        artifact: Its record.
        tolerances: What it is held to.
        goldens: Of its component.
        vae: Gives the image's range.
        kernels: Which operator implementations run.
        num_threads: Inside one inference.

    Raises:
        TargetError: the target cannot run it, for which the artifact is not to blame.
    """
    expected = {name: values.astype(np.float32, copy=False) for name, values in goldens.outputs.items()}
    try:
        outputs = run.outputs(artifact, goldens.inputs, kernels=kernels, num_threads=num_threads)
    except ArtifactFault as e:
        checks = fault_checks(artifact.name, target, e.check, str(e))
        return CheckedArtifact(checks=checks, expected=expected, outputs=None)
    checks = output_checks(artifact.name, target, vae, tolerances, expected, outputs)
    return CheckedArtifact(checks=checks, expected=expected, outputs=outputs)
