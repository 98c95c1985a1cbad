"""The work of `verify --thorough`: adds tests of the distribution to a verification."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pocketvae.benchmarks.drift.drift import check_comparable, measure_drift
from pocketvae.benchmarks.drift.images import DriftImages, golden_images, source_images
from pocketvae.benchmarks.drift.paths import path_figures
from pocketvae.benchmarks.drift.repeats import check_repeats
from pocketvae.benchmarks.not_run import ALL, NotRun
from pocketvae.benchmarks.parity.verify import Verification
from pocketvae.benchmarks.targets.host import HostTarget
from pocketvae.bundle.bundle import Bundle, opened_with_damage
from pocketvae.errors import ArtifactFault, ManifestError, TargetError
from pocketvae.progress import ProgressCallback, ignore_progress
from pocketvae.system.files import StrPath

_SEED = 0


def thorough_images(bundle: StrPath | Bundle, data: str | None) -> DriftImages | None:
    """Returns what `add_thorough` takes as `data`, so that it is known to be of use before any expensive work.

    Raises:
        SpecError: the encoder does not take what the decoder makes.
        DataError: `data` cannot be used.
    """
    opened = opened_with_damage(bundle)
    check_comparable(opened.manifest.vae)
    return None if data is None else source_images(opened, data, np.random.default_rng(_SEED))


def add_thorough(
    bundle: StrPath | Bundle,
    verification: Verification,
    data: str | DriftImages | None = None,
    *,
    progress: ProgressCallback = ignore_progress,
) -> Verification:
    """Returns a verification with added tests of likelihood, samples, round trips and paths, on this machine.

    Args:
        bundle: The verified bundle: its path, or the open bundle.
        verification: Verification of the bundle, whose custom limits apply here too.
        data: Where to take images from, as for training, or the images; the golden images by default.
        progress: Called for every artifact.

    Raises:
        ManifestError: the bundle or its goldens are damaged.
        DataError: `data` cannot be used.
    """
    whole = opened_with_damage(bundle)
    bundle = whole.intact()
    rng = np.random.default_rng(_SEED)
    result = verification.result
    # Without its damaged files a bundle may lack what these tests need.
    lacking = (ManifestError,) if whole.damaged else ()
    try:
        images = golden_images(bundle, rng) if data is None else data
        images = source_images(bundle, images, rng) if isinstance(images, str) else images
        drift = measure_drift(bundle, images, progress=progress)
        with HostTarget().open(bundle) as run:
            figures = path_figures(bundle, run)
            repeats = check_repeats(bundle, run, verification.limits)
    except (ArtifactFault, TargetError, *lacking) as e:
        missing = NotRun(artifact=ALL, target="host", reason=f"the distribution was not tested: {e}")
        return replace(verification, result=replace(result, passed=False, not_run=(*result.not_run, missing)))
    checks = (*drift.checks, *repeats.checks)
    return replace(
        verification,
        result=replace(
            result,
            passed=result.passed and all(check.passed for check in checks),
            checks=(*result.checks, *checks),
            figures=(*result.figures, *drift.figures, *figures, *repeats.figures),
            notes=(*result.notes, *drift.notes),
        ),
    )
