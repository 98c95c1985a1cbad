"""Thresholds of anomaly scores that hold a stated rate of false alarms, whatever the scores' distribution."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from pocketvae.errors import DataError, SpecError


def conformal_threshold(
    values: npt.NDArray[np.floating], false_positive_rate: float, plural: str = "images", advice: str = ""
) -> float:
    """Returns the score above which another normal item lies with at most the stated probability, from `[N]` scores.

    It is the score of rank ceil((N + 1) * (1 - rate)), which treats the new item as exchangeable with the N others
    (Vovk et al. 2005; Lei et al. 2018). A quantile of the N values alone would miss the rate: with 20 items 0.09
    instead of 0.05.

    Args:
        values: Scores of normal items that the model was not trained on.
        false_positive_rate: The largest expected share of other normal items above the threshold.
        plural: What was scored.
        advice: What to do about too few items.

    Raises:
        SpecError: the rate is not between 0 and 1.
        DataError: there are too few values for the rate.
    """
    check_rate(false_positive_rate, len(values), plural, advice)
    return float(np.sort(values)[_rank(false_positive_rate, len(values)) - 1])


def check_rate(false_positive_rate: float, held_out: int, plural: str, advice: str = "") -> None:
    """Checks that a threshold can hold a rate of false alarms.

    Args:
        false_positive_rate: The rate.
        held_out: Number of held-out normal items.
        plural: What they are.
        advice: What else there is to do about too few of them than to take the rate that they are enough for.

    Raises:
        SpecError: the rate is not between 0 and 1.
        DataError: there are too few items for it.
    """
    if not 0 < false_positive_rate < 1:
        raise SpecError(f"the false-positive rate must be above 0 and below 1, got {false_positive_rate:g}")
    if _rank(false_positive_rate, held_out) > held_out:
        # Rounded up, so that it is enough.
        possible = math.ceil(1000 / (held_out + 1)) / 1000
        choices = [*([advice] if advice else []), *([f"--false-positive-rate {possible:g}"] if possible < 1 else [])]
        raise DataError(
            f"a false-positive rate of {false_positive_rate:g} needs at least {needed_items(false_positive_rate)} "
            f"held-out {plural}, got {held_out}{': give ' if choices else ''}{', or '.join(choices)}"
        )


def needed_items(false_positive_rate: float) -> int:
    """Returns how many held-out items a rate needs at least."""
    return math.ceil(round(1 / false_positive_rate, 9)) - 1


def _rank(false_positive_rate: float, count: int) -> int:
    # Round first: in floating point 10 * (1 - 0.7) is slightly more than 3, and must not become 4.
    return math.ceil(round((count + 1) * (1 - false_positive_rate), 9))
