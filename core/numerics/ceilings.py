"""Ceilings of the limits of float artifacts: what rounding can explain, as a share of an output's range."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pocketvae.spec import ImageDtype, Precision

# Sums in another order move the outputs of a float32 network by 1e-7 to 1e-5 of their range, those of a deep or badly
# scaled one by 1e-4. What moves by more than a thousandth, a quarter of a grey step, computes something else: it is
# random, or it depends on the other samples of its batch.
FLOAT_CEILING = 1e-3
# Half precision rounds each weight to 1 part in 2,048, 8,192 times as coarsely. The outputs of trained decoders move by
# up to 2e-3; an image that moves by more than 2.5 grey steps shows it.
HALF_CEILING = 1e-2
# The largest number of half precision, in which GPUs of phones compute even what a file stores in float32.
HALF_MAX = 65504.0
HALF_WARNING = "a GPU that computes in half precision makes them infinite"

_HALF_STEP = 0.5 / 255


def output_range(values: npt.NDArray[np.float32], made_for: float) -> float:
    """Returns the range of an output: of the original's values, but at least the range that the output is made for.

    Args:
        values: The original's values of it, `[N, ...]`.
        made_for: See `VaeSpec.span_of`.
    """
    return max(made_for, float(np.max(values) - np.min(values))) if values.size else made_for


def float_ceiling(
    precision: Precision, output: str, output_range: float, image_dtype: ImageDtype = ImageDtype.FLOAT32
) -> float:
    """Returns the largest limit that an output of a float artifact may have, see `FLOAT_CEILING` and `HALF_CEILING`.

    Args:
        precision: A float one.
        output: Name of the output.
        output_range: From the function of this name.
        image_dtype: How the artifact stores images; whole pixels take half a step more.
    """
    share = FLOAT_CEILING if precision is Precision.FLOAT32 else HALF_CEILING
    rounding = _HALF_STEP if image_dtype is ImageDtype.UINT8 and output == "image" else 0.0
    return (share + rounding) * output_range
