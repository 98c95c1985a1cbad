"""Limits of float files on a chip that computes in half precision, whatever the file says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pocketvae.bundle.bundle import Bundle
from pocketvae.bundle.manifest import ArtifactRecord
from pocketvae.numerics.tolerance import Tolerance
from pocketvae.spec import Precision

# Half of the spacing of half-precision numbers, relative to their size.
_ROUNDING = 2.0**-11


def judged_in_half_precision(bundle: Bundle, artifact: ArtifactRecord) -> ArtifactRecord:
    """Returns an artifact with the limits that hold where its float layers are computed in half precision.

    Limits of float files are those of float16 plus one rounding of the largest output for each layer, since layers
    return half-precision numbers there, which those of float16 files on a CPU do not. Where the bundle has no float16
    file, what rounding the weights costs is not known, and counts as much again. Other files keep their limits.

    Args:
        bundle: The bundle that it is of.
        artifact: As the bundle records it.

    Raises:
        ManifestError: the bundle's goldens are damaged.
    """
    if artifact.precision not in (Precision.FLOAT32, Precision.FLOAT16):
        return artifact
    halves = (
        item
        for item in bundle.manifest.artifacts
        if (item.component, item.precision) == (artifact.component, Precision.FLOAT16) and item.tolerances
    )
    half = next(halves, None)
    roundings = max(1, len(artifact.layers)) * (1 if half else 2)
    outputs = bundle.goldens(artifact.component).outputs
    limits = tuple(_widened(limit, outputs.get(limit.output), roundings) for limit in (half or artifact).tolerances)
    return replace(artifact, tolerances=limits)


def _widened(limit: Tolerance, output: np.ndarray | None, roundings: int) -> Tolerance:
    if limit.metric != "max_abs" or output is None or not output.size:
        return limit
    rounding = roundings * _ROUNDING * float(np.abs(output).max())
    source = f"{rounding:.1e}, {roundings} roundings of the largest output to half precision, and {limit.source}"
    return replace(limit, limit=limit.limit + rounding, source=source)
