"""How many samples of a model are run where one call of it takes a good part of a second."""

from __future__ import annotations

from typing import Any

# Parameters times values of an item, over all samples: a parameter of a convolution is used for as many values at the
# most. A decoder of 2 M parameters and 256 px is at 4e11 a sample, one of 50 M and 512 px at 4e13.
_AFFORDABLE = 2e13
# A model of which so many samples cannot be run is costly: whatever may be left out is.
_MANY = 64
# Up to so many samples may take five times as long.
_ENOUGH, _LONGER = 8, 5


def affordable(count: int, fewest: int, parameters: int, values: int) -> int:
    """Returns how many of `count` samples are run, at least `fewest` if there are as many.

    Args:
        count: That are run of a smaller model.
        fewest: That are always run.
        parameters: Of the model.
        values: Of an item.
    """
    fitting = _AFFORDABLE / max(1, parameters * values)
    return min(count, max(fewest, int(fitting), min(_ENOUGH, int(_LONGER * fitting))))


def is_costly(parameters: int, values: int) -> bool:
    """Whether a call takes a good part of a second: of 2 M parameters and 256 px, for instance.

    Args:
        parameters: Of the model.
        values: Of an item.
    """
    return affordable(_MANY, 0, parameters, values) < _MANY


def parameter_count(model: Any) -> int:
    """Returns how many numbers a model has learnt."""
    return sum(int(weight.size) for weight in model.get_weights())
