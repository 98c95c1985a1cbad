"""The contact sheet: the same latents decoded by the original and every decoder, with amplified differences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pocketvae.bundle.bundle import Bundle
from pocketvae.data.pictures import grid, pixel_scale, png_bytes
from pocketvae.errors import PocketVaeError
from pocketvae.kinds.registry import kind_of
from pocketvae.numerics.pixels import to_pixels
from pocketvae.runtimes.base import Array, FloatArray
from pocketvae.runtimes.opening import open_runner
from pocketvae.spec import Component
from pocketvae.vae_spec import VaeSpec

_COLUMNS = 12


@dataclass(frozen=True, kw_only=True)
class ContactRow:
    """One decoder's pictures.

    Attributes:
        name: The artifact, or `original`.
        images_png: A row of decoded images.
        difference_png: |artifact - original| times `AMPLIFICATION`, white on black; None for the original.
    """

    name: str
    images_png: bytes
    difference_png: bytes | None


def contact_rows(bundle: Bundle, component: Component = Component.DECODER) -> tuple[ContactRow, ...]:
    """Makes the same images with every file of a component; files that cannot run are left to verify.

    Args:
        bundle: The bundle of the files.
        component: A decoder, for the first golden latents of the prior, or a generator, for one seed's first images.

    Raises:
        ManifestError: the goldens are damaged.
    """
    decoders = [artifact for artifact in bundle.manifest.artifacts if artifact.component is component]
    if not decoders:
        return ()
    goldens = bundle.goldens(component)
    stratum = goldens.prior
    chosen = slice(stratum.start, stratum.start + min(_COLUMNS, stratum.count))
    inputs = {name: values[chosen] for name, values in goldens.inputs.items()}
    vae = bundle.manifest.vae
    expected = goldens.outputs[vae.output][chosen].astype(np.float32)
    original = _row_png(to_pixels(kind_of(vae.data).shown(expected, vae)))
    rows = [ContactRow(name="original", images_png=original, difference_png=None)]
    for artifact in decoders:
        images = _decode(bundle, artifact.name, inputs)
        if images is not None and images.shape == expected.shape:
            rows.append(_contact_row(artifact.name, images, expected, vae))
    return tuple(rows)


def _decode(bundle: Bundle, name: str, inputs: Mapping[str, Array]) -> FloatArray | None:
    artifact = bundle.manifest.artifact(name)
    try:
        path, batch = bundle.artifact_path(artifact), artifact.batches[0]
        with open_runner(path, artifact.format, batch=batch) as runner:
            return runner.run_samples(inputs, bundle.manifest.vae.data_range)[bundle.manifest.vae.output]
    except PocketVaeError:
        return None


def _contact_row(name: str, images: FloatArray, expected: FloatArray, vae: VaeSpec) -> ContactRow:
    return ContactRow(
        name=name,
        images_png=_row_png(to_pixels(kind_of(vae.data).shown(images, vae))),
        difference_png=_row_png(to_pixels(kind_of(vae.data).shown_difference(images, expected, vae))),
    )


def _row_png(images: npt.NDArray[np.uint8]) -> bytes:
    return png_bytes(grid(images, len(images)), scale=pixel_scale(images.shape[1]))
