"""Whether an artifact computes in integers throughout, and what helps where it does not."""

from __future__ import annotations

from pocketvae.bundle.manifest import ArtifactRecord
from pocketvae.export.tuning.ladder import Tune
from pocketvae.spec import Component, Precision


def not_whole(record: ArtifactRecord, tune: Tune, *, has_learned_prior: bool = False) -> str:
    """Returns why `--whole` refuses an artifact: its layers in float, and what would help; empty if it is whole.

    Args:
        record: Of the artifact.
        tune: How much was tried.
        has_learned_prior: Whether a generator holds a prior, which is in float always.
    """
    share = record.integers
    if share is None or share.is_whole:
        return ""
    if record.component is Component.GENERATOR and has_learned_prior:
        help = "a learned prior is always in float: use sampler and decoder as two files"
    else:
        help = f"try {' or '.join(_ways(record, tune))}"
    return (
        f"with --whole every layer must compute in integers, but {100 - share.whole_percent}% of the multiply-adds are "
        f"in float: {share.float_names()}; {help}"
    )


def _ways(record: ArtifactRecord, tune: Tune) -> list[str]:
    ways = ["--tune full"] if tune is not Tune.FULL else []
    if record.precision is not Precision.INT16X8:
        ways.append("the precision int16x8")
    if record.component is not Component.ENCODER:
        ways.append("a larger budget (--budget-p99, --budget-mean, --budget-elbo)")
    return ways or ["a network of other layers"]
