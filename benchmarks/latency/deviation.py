"""How far an artifact is from the original, as one figure in the unit of what it returns."""

from __future__ import annotations

from collections.abc import Collection

from pocketvae.benchmarks.results import VerifyResult
from pocketvae.metrics import POSTERIOR

_PIXELS = ("max_abs", "p99_abs")


def image_error(verify: VerifyResult, artifact: str) -> float | None:
    """Returns the error of a pixel as far as checked: the largest of float artifacts, else the 99th percentile."""
    # The other checks of an image are in other units: the change of the ELBO is in nats.
    return _largest(verify, artifact, outputs=("image",), metrics=_PIXELS)


def posterior_error(verify: VerifyResult, artifact: str) -> float | None:
    """Returns the mean KL divergence from the original's posterior in nats; of float encoders the largest deviation."""
    return _largest(verify, artifact, outputs=(POSTERIOR, "z_mean", "z_log_var"), metrics=("kl_mean", "max_abs"))


def _largest(
    verify: VerifyResult, artifact: str, *, outputs: Collection[str], metrics: Collection[str]
) -> float | None:
    checks = [c for c in verify.checks if c.artifact == artifact and c.output in outputs and c.metric in metrics]
    return max((check.value for check in checks if check.value is not None), default=None)
