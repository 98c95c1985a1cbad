"""Int8 with an integer interface: for devices without floats, so that no layer stays in float."""

from __future__ import annotations

from pocketvae.export.precisions.base import PixelBudget
from pocketvae.export.precisions.int8 import Int8Export
from pocketvae.spec import Precision


class Int8IoExport(Int8Export):
    """See `PrecisionExport`."""

    # The interface alone rounds z to 1/255 of its range, and an image of 256 levels is no probability to take
    # logarithms of.
    pixel_budget = PixelBudget(p99_steps=12.0, mean_steps=2.0, has_elbo=False)
    timed_as = Precision.INT8
    may_differ_in_generator = False
    integer_only = True
    keeps_floats = False


EXPORT = Int8IoExport()
