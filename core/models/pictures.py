"""What a notebook shows of a bundle and of data."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pocketvae.bundle.bundle import Bundle
from pocketvae.data.pictures import grid, pixel_scale, png_bytes
from pocketvae.errors import ManifestError, SpecError
from pocketvae.kinds.registry import described, kind_of
from pocketvae.numerics.pixels import from_pixels, to_pixels
from pocketvae.reporting.html import Table, fragment
from pocketvae.spec import Component
from pocketvae.system.files import write_bytes
from pocketvae.vae_spec import DataKind, VaeSpec

_SHOWN = 10


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture that a notebook shows.

    Attributes:
        png: A PNG file.
    """

    png: bytes = field(repr=False)

    @classmethod
    def of(cls, values: npt.ArrayLike, vae: VaeSpec, *, columns: int) -> Picture:
        """Draws items of a VAE's data; see `ModelBundle.picture`."""
        given = np.asarray(values)
        are_pixels = vae.data is DataKind.IMAGE and given.dtype == np.uint8
        items = from_pixels(given, vae.data_range) if are_pixels else given.astype(np.float32)
        if items.ndim != len(vae.data_shape) + 1 or items.shape[1:] != tuple(vae.data_shape) or not len(items):
            shape = ", ".join(map(str, vae.data_shape))
            raise SpecError(f"a picture takes data of the shape [N, {shape}], got {list(items.shape)}")
        drawn = to_pixels(kind_of(vae.data).shown(items, vae))
        sheet = grid(drawn, min(columns, len(drawn)))
        return cls(png=png_bytes(sheet, scale=pixel_scale(drawn.shape[1])))

    def save(self, path: Path | str) -> None:
        """Writes the file."""
        write_bytes(Path(path), self.png)

    def _repr_png_(self) -> bytes:
        return self.png


def bundle_html(bundle: Bundle) -> str:
    """Returns what a bundle is, what its decoder draws, and its artifacts; no model runs for it."""
    manifest = bundle.manifest
    rows = [
        [
            artifact.name,
            f"{artifact.file.size_bytes / 1000:.0f}",
            artifact.integers.percent if artifact.integers else "",
            f"{artifact.requires.runtime} {artifact.requires.version}".strip() if artifact.requires else "",
        ]
        for artifact in manifest.artifacts
    ]
    table = Table(caption="", headers=["artifact", "kB", "in integers", "needs"], rows=rows)
    title = f"{manifest.name}: {described(manifest.vae)}, {manifest.vae.latent_dim} latent dimensions"
    return fragment(title, table, pictures=_samples(bundle))


def _samples(bundle: Bundle) -> list[tuple[str, bytes]]:
    """Returns a row of what the original draws for latents of the prior, out of the goldens."""
    try:
        goldens = bundle.goldens(Component.DECODER)
    except ManifestError:
        return []
    stratum, vae = goldens.prior, bundle.manifest.vae
    items = goldens.outputs[vae.output][stratum.start : stratum.start + min(_SHOWN, stratum.count)]
    if items.shape[1:] != tuple(vae.data_shape):
        return []
    return [("what the decoder draws", Picture.of(items, vae, columns=_SHOWN).png)]
