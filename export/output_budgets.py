"""The limits of what a quantized decoder returns beside its data: each in its own unit."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from pocketvae.kinds.registry import kind_of
from pocketvae.numerics.tolerance import Tolerance
from pocketvae.outputs import Meaning, Output

_STEPS = 255
# A small change of a log-variance changes the standard deviation by half as much, in shares of it.
_SHARES_OF_NOISE = {Meaning.LOG_VAR: 0.5, Meaning.LOG_STD: 1.0}


def output_tolerances(
    outputs: Sequence[Output], names: Collection[str], steps: Mapping[str, float]
) -> tuple[Tolerance, ...]:
    """Returns the limits of outputs.

    Args:
        outputs: Those that a decoder has beside its data.
        names: Those that an artifact returns.
        steps: For each metric the limit in 255ths of an output's range.
    """
    return tuple(
        Tolerance(output=output.name, metric=metric, limit=count * output.span / _STEPS, source=_source(output, count))
        for output in outputs
        if output.name in names
        for metric, count in steps.items()
    )


def _source(output: Output, steps: float) -> str:
    """Returns where a limit comes from, as text."""
    share = steps / _STEPS
    if output.meaning in _SHARES_OF_NOISE:
        noise = share * output.span * _SHARES_OF_NOISE[output.meaning]
        return (
            f"budget: {100 * noise:.2g} % of the noise of p(x|z), whose {output.meaning.words} spans {output.span:.3g}"
        )
    if output.is_picture:
        return kind_of(output.data).budget(steps, output.span)
    what = output.meaning.words or "range"
    of = "the largest" if output.meaning.is_noise else "the"
    return f"budget: {100 * share:.2g} % of {of} {what}, {output.span:.3g}"
