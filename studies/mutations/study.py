"""How many faults verify finds, and how often it raises a false alarm: trials on a real bundle."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from mutations.fresh import FreshSamples
from mutations.mutation import Mutation
from mutations.onnx_faults import onnx_mutations
from mutations.results import CleanRun, Trial
from mutations.tflite_faults import tflite_mutations
from pocketvae.benchmarks.parity.artifact import CheckedArtifact, check_artifact
from pocketvae.benchmarks.targets.host import HostTarget
from pocketvae.bundle.bundle import Bundle, Goldens
from pocketvae.bundle.manifest import ArtifactRecord
from pocketvae.numerics.metrics import ELBO_CHANGE
from pocketvae.numerics.tolerance import error_ratio
from pocketvae.runtimes.base import Optimizations
from pocketvae.spec import Format

_HOST = "host"


class Study:
    """Trials on one bundle; nothing in it is changed."""

    def __init__(self, bundle: Bundle) -> None:
        """Opens the bundle on this machine."""
        self._bundle = bundle
        self._fresh = FreshSamples(bundle, HostTarget().open(bundle))
        self._goldens = {record.component: bundle.goldens(record.component) for record in bundle.manifest.goldens}

    def mutation_trials(self, artifact: ArtifactRecord, seed: int, bit_flips: int) -> Iterator[Trial]:
        """Makes every kind of fault in a copy of an artifact and yields what verify says of each.

        Args:
            artifact: Of the bundle.
            seed: Of the faults and of the fresh samples.
            bit_flips: How many single bit flips.
        """
        rng = np.random.default_rng([seed, *artifact.name.encode()])
        fresh = self._fresh.draw(artifact, rng)
        content = self._bundle.artifact_path(artifact).read_bytes()
        make = tflite_mutations if artifact.format is Format.TFLITE else onnx_mutations
        with tempfile.TemporaryDirectory() as folder:
            copy = replace(self._bundle, path=Path(folder))
            for mutation in make(content, rng, bit_flips=bit_flips):
                copy.artifact_path(artifact).write_bytes(mutation.content)
                yield self._trial(copy, artifact, mutation, fresh)
        yield from self._golden_trials(artifact)
        yield self._kernel_trial(artifact, fresh)

    def clean_run(self, seed: int) -> CleanRun:
        """Verifies every artifact of the untouched bundle with threads, batch, order and samples chosen by a seed."""
        rng = np.random.default_rng(seed)
        threads, fresh = int(rng.integers(1, 3)), bool(rng.integers(2))
        alarms = []
        for artifact in self._bundle.manifest.artifacts:
            known = self._goldens[artifact.component]
            goldens = self._fresh.draw(artifact, rng) if fresh else known.reordered(known.random_order(rng))
            batch = int(rng.choice(artifact.batches))
            checked = self._check(self._bundle, artifact, goldens, threads=threads, batch=batch)
            alarms += [
                f"{artifact.name} {check.metric}: {check.detail}" for check in checked.checks if not check.passed
            ]
        return CleanRun(seed=seed, threads=threads, fresh=fresh, alarms=tuple(alarms))

    def _trial(self, bundle: Bundle, artifact: ArtifactRecord, mutation: Mutation, fresh: Goldens) -> Trial:
        found = self._check(bundle, artifact, self._goldens[artifact.component])
        return Trial(
            artifact=artifact.name,
            kind=mutation.kind,
            where=mutation.where,
            effect=_effect(self._check(bundle, artifact, fresh)),
            detected=not found.passed,
        )

    def _golden_trials(self, artifact: ArtifactRecord) -> Iterator[Trial]:
        """Yields goldens that belong to other inputs, as after half an export."""
        known = self._goldens[artifact.component]
        for name, values in known.outputs.items():
            stale = replace(known, outputs={**known.outputs, name: np.roll(values, 1, axis=0)})
            found = self._check(self._bundle, artifact, stale)
            effect, detected = _effect(found), not found.passed
            yield Trial(artifact=artifact.name, kind="stale golden", where=name, effect=effect, detected=detected)

    def _kernel_trial(self, artifact: ArtifactRecord, fresh: Goldens) -> Trial:
        known = self._goldens[artifact.component]
        detected = not self._check(self._bundle, artifact, known, optimizations=Optimizations.OFF).passed
        effect = _effect(self._check(self._bundle, artifact, fresh, optimizations=Optimizations.OFF))
        return Trial(artifact=artifact.name, kind="other kernels", where="builtin", effect=effect, detected=detected)

    def _check(
        self,
        bundle: Bundle,
        artifact: ArtifactRecord,
        goldens: Goldens,
        *,
        optimizations: Optimizations = Optimizations.ON,
        threads: int = 1,
        batch: int | None = None,
    ) -> CheckedArtifact:
        # Fresh samples are latents without images, so that no ELBO can be had of them.
        limits = [item for item in artifact.tolerances if goldens.observed or item.metric != ELBO_CHANGE]
        with HostTarget().open(bundle) as run:
            return check_artifact(
                run,
                _HOST,
                bundle,
                artifact,
                limits,
                goldens,
                optimizations=optimizations,
                num_threads=threads,
                batch=batch or artifact.batches[0],
            )


def _effect(checked: CheckedArtifact) -> float | None:
    """Returns the largest error ratio of an artifact's checks; None where there is no finite one."""
    if any(not check.passed for check in checked.checks if check.limit is None):
        return None
    ratios = []
    for check in checked.checks:
        if check.limit is None:
            continue
        if check.value is None or (check.limit == 0 and check.value > 0):
            return None
        ratios.append(error_ratio(check.value, check.limit))
    return max(ratios, default=None)
