"""Other forms of operators in TFLite files that compute in floats, right for values that the converter's are not for.

Integers end where their ranges do, and are faster in the converter's forms.

Softplus: the converter writes log(1 + exp(x)). That is infinite from 89 on, 88.7 with kernels that limit an
exponential, and 0 below -17, where softplus is exp(x): a standard deviation of 0 has a log-variance of minus infinity
(TensorFlow 2.21, LiteRT 2.3.0; findings/litert_softplus_range.sh).

Rsqrt: XNNPACK's root of 0 is NaN, and not infinity, which Keras 3's UnitNormalization limits to a number
(LiteRT 2.3.0; findings/litert_rsqrt_of_zero.sh).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import numpy as np

from pocketvae.keras.io import import_tensorflow

# 2 artanh(s) / s as a polynomial of s * s, from the highest power on. Fitted for the smallest relative error for s up
# to 1/3, which is 4e-9, a fifteenth of float32's rounding.
_SERIES = (0.28178334, 0.27960603, 0.40024910, 0.66666315, 2.0)


def concerns(nodes: Iterable[Any]) -> bool:
    """Whether any node of a graph has another form; most roots, those of normalization layers, have none."""
    known = list(nodes)
    roots = {node.name for node in known if node.op == "Rsqrt"}
    limited = (source for node in known if node.op == "Minimum" for source in node.input)
    return any(node.op == "Softplus" for node in known) or any(name.split(":")[0] in roots for name in limited)


def _softplus_of(operator: Any) -> Callable[[], Any]:
    """Returns what makes the same values with float32's precision relative to each, from operators that XNNPACK has.

    softplus(x) is max(x, 0) + log(1 + e) with e = exp(-|x|), at most 1, so that nothing overflows; and log(1 + e) is
    2 artanh(s) with s = e / (2 + e), whose series, unlike the sum 1 + e, keeps the digits of a small e.
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


def _limited_root_of(operator: Any) -> Callable[[], Any] | None:
    """Returns what makes 1 / sqrt(x) of at least the smallest normal number, where what reads it limits it anyway."""
    readers = operator.outputs[0].consumers()
    if not readers or any(reader.type != "Minimum" for reader in readers):
        return None
    return partial(_limited_root, operator.inputs[0])


def _limited_root(x: Any) -> Any:
    tf = import_tensorflow()
    return tf.math.rsqrt(tf.maximum(x, np.finfo(np.float32).tiny))


# By the name of an operator: returns for a `tf.Operation` what makes its result, None where it stays as it is.
FLOAT_FORMS: Mapping[str, Callable[[Any], Callable[[], Any] | None]] = {
    "Rsqrt": _limited_root_of,
    "Softplus": _softplus_of,
}
