"""The tunings that an export tries, by effort."""

from __future__ import annotations

import enum

from pocketvae.export.tuning.names import Tuning
from pocketvae.spec import Component


class Tune(enum.StrEnum):
    """How much an export tries before it leaves layers in float.

    NONE: nothing. FAST: a form of the network, and a second one where the first is not enough. FULL: many, of which the
    one with the smallest error is taken, and then weights of 4 bits.
    """

    NONE = "none"
    FAST = "fast"
    FULL = "full"


# Equal channels leave the next layer's weights unequal: halfway costs least on average.
_EXPONENT = 0.5
_EXPONENTS = (0.25, _EXPONENT, 0.75, 1.0)
_PARTS = 2
_MORE_PARTS = (1, _PARTS, 4)


def tunings(tune: Tune, component: Component, *, integer_only: bool = False) -> tuple[Tuning, ...]:
    """Returns what to try for a component.

    Args:
        tune: The effort.
        component: Which part of the VAE.
        integer_only: Whether the interface is in integers too, which leaves no place for parts of 8 bits.

    Returns:
        The tunings in the order in which to try them.
    """
    if tune is Tune.NONE:
        return ()
    first = tunings(Tune.FAST, component, integer_only=integer_only) if tune is Tune.FULL else ()
    exponents = (_EXPONENT,) if tune is Tune.FAST else _EXPONENTS
    if integer_only or component is not Component.DECODER:
        found = tuple(Tuning(exponent=exponent) for exponent in exponents)
    else:
        found = _of_decoders(exponents, (_PARTS,) if tune is Tune.FAST else _MORE_PARTS)
    # What is left out for lack of time should not be what a smaller effort would have tried.
    return (*first, *(tuning for tuning in found if tuning not in first))


def _of_decoders(exponents: tuple[float, ...], parts: tuple[int, ...]) -> tuple[Tuning, ...]:
    simple = tuple(
        Tuning(exponent=exponent, latent_parts=True, output_parts=count) for exponent in exponents for count in parts
    )
    # For networks that end in a residual sum.
    return (*simple, Tuning(exponent=_EXPONENT, latent_parts=True, output_parts=_PARTS, sum_parts=_PARTS))
