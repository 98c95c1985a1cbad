"""The precisions by name."""

from __future__ import annotations

import importlib

from pocketvae.export.precisions.base import PrecisionExport
from pocketvae.spec import Precision


def export_of(precision: Precision) -> PrecisionExport:
    """Returns what export does for a precision."""
    found: PrecisionExport = importlib.import_module(f"pocketvae.export.precisions.{precision}").EXPORT
    return found
