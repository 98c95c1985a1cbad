"""Images `[H, W, C]`: shown as they are, compared in grey steps and by structure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.kinds.base import AMPLIFICATION, DoubleArray, FloatArray, Kind, rms_error, unit
from pocketvae.numerics.ssim import ssim
from pocketvae.vae_spec import VaeSpec

_COLOURS = {1: "grey", 3: "red, green, blue"}


class Images(Kind):
    """Pixels from black to white."""

    noun, plural = "image", "images"
    element = "pixel and channel"

    def description(self, shape: tuple[int, ...]) -> str:
        """See `Kind.description`."""
        height, width, channels = shape
        return f"{width}x{height}x{channels} images"

    def item(self, shape: tuple[int, ...]) -> str:
        """See `Kind.item`."""
        height, width, channels = shape
        return f"{width}x{height}, {_COLOURS.get(channels, f'{channels} channels')}"

    def shown(self, values: npt.NDArray[Any], vae: VaeSpec) -> FloatArray:
        """See `Kind.shown`; with another number of channels than 1 and 3 only the first is shown."""
        folded = values.reshape(-1, *vae.image_shape)
        return unit(folded if vae.image_shape[2] in _COLOURS else folded[..., :1], vae)

    def shown_difference(self, values: npt.NDArray[Any], expected: npt.NDArray[Any], vae: VaeSpec) -> FloatArray:
        """See `Kind.shown_difference`; white where a value is not finite."""
        difference = np.abs(self.shown(values, vae) - self.shown(expected, vae))
        return np.asarray(np.nan_to_num(difference * np.float32(AMPLIFICATION), nan=1.0), np.float32)

    def deviation(self, share: float) -> str:
        """See `Kind.deviation`: in grey steps."""
        steps = share * 255
        return f"{steps:.2f}/255" if steps >= 0.01 or not steps else f"{steps:.1g}/255"

    def budget(self, steps: float, span: float) -> str:
        """See `Kind.budget`."""
        return f"budget: {steps:g} of 255 grey steps" + ("" if span == 1.0 else f" of {span / 255:.3g}")

    def closeness(self, values: npt.NDArray[Any], expected: npt.NDArray[Any], vae: VaeSpec) -> str:
        """See `Kind.closeness`: the peak signal-to-noise ratio of all pixels together, infinite if nothing differs."""
        error, peak = rms_error(values, expected), 255.0 if values.dtype == np.uint8 else vae.range_span
        return f"PSNR {20 * np.log10(peak / error) if error else np.inf:.2f} dB"

    def similarity(self, values: FloatArray, expected: FloatArray, vae: VaeSpec) -> Mapping[str, DoubleArray]:
        """See `Kind.similarity`: structural similarity."""
        folded = [images.reshape(-1, *vae.image_shape) for images in (expected, values)]
        return {"ssim": ssim(folded[0], folded[1], span=vae.range_span)}
