"""Float32: the network as it is."""

from __future__ import annotations

from pocketvae.export.precisions.base import Made, PrecisionExport
from pocketvae.export.quantize.source import Source
from pocketvae.numerics.tolerance import Tolerance
from pocketvae.spec import ArtifactSpec


class Float32Export(PrecisionExport):
    """See `PrecisionExport`."""

    def make(self, spec: ArtifactSpec, source: Source, tolerances: tuple[Tolerance, ...]) -> Made:
        """See `PrecisionExport.make`."""
        return Made(content=source.float32(spec.format))


EXPORT = Float32Export()
