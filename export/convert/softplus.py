"""Softplus in TFLite files that compute in floats: the converter writes log(1 + exp(x)).

That form is infinite from 89 on, 88.7 with kernels that limit an exponential, and 0 below -17, where softplus is
exp(x): a standard deviation of 0 has a log-variance of minus infinity (TensorFlow 2.21, LiteRT 2.3.0;
findings/litert_softplus_range.sh). Integers end where their ranges do, and are faster in the converter's form.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from pocketvae.keras.io import import_tensorflow

SOFTPLUS = "Softplus"
# 2 artanh(s) / s as a polynomial of s * s, from the highest power on. Fitted for the smallest relative error for s up
# to 1/3, which is 4e-9, a fifteenth of float32's rounding.
_SERIES = (0.28178334, 0.27960603, 0.40024910, 0.66666315, 2.0)


def in_range(operator: Any) -> Callable[[], Any]:
    """Returns what makes the same values with float32's precision relative to each, from operators that XNNPACK has.

    softplus(x) is max(x, 0) + log(1 + e) with e = exp(-|x|), at most 1, so that nothing overflows; and log(1 + e) is
    2 artanh(s) with s = e / (2 + e), whose series, unlike the sum 1 + e, keeps the digits of a small e.

    Args:
        operator: A `tf.Operation`.
    """
    return partial(_softplus, operator.inputs[0])


def _softplus(x: Any) -> Any:
    tf = import_tensorflow()
    small = tf.exp(-tf.abs(x))
    s = small / (small + 2)
    square = s * s
    first, *others = _SERIES
    series = square * first + others[0]
    for coefficient in others[1:]:
        series = series * square + coefficient
    return tf.nn.relu(x) + s * series
