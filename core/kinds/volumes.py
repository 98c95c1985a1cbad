"""Volumes `[D, H, W, C]`: voxels."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.kinds.base import AMPLIFICATION, FloatArray, Kind, unit
from pocketvae.vae_spec import VaeSpec


class Volumes(Kind):
    """Voxels, shown by their mean along the depth and compared as a share of their range."""

    noun, plural = "volume", "volumes"

    def description(self, shape: tuple[int, ...]) -> str:
        """See `Kind.description`."""
        return f"{'x'.join(str(size) for size in shape)} volumes"

    def item(self, shape: tuple[int, ...]) -> str:
        """See `Kind.item`."""
        depth, height, width, channels = shape
        return f"{depth} layers of {width}x{height}, {channels} channel{'s' if channels > 1 else ''}"

    def shown(self, values: npt.NDArray[Any], vae: VaeSpec) -> FloatArray:
        """See `Kind.shown`: the first channel."""
        projected: FloatArray = unit(values.reshape(-1, *vae.data_shape), vae).mean(axis=1)[..., :1]
        return projected

    def shown_difference(self, values: npt.NDArray[Any], expected: npt.NDArray[Any], vae: VaeSpec) -> FloatArray:
        """See `Kind.shown_difference`: the largest along the depth; white where a value is not finite."""
        difference = np.abs(values - expected).reshape(-1, *vae.data_shape).max(axis=1)[..., :1]
        amplified: FloatArray = difference / np.float32(vae.range_span) * np.float32(AMPLIFICATION)
        return np.asarray(np.nan_to_num(amplified, nan=1.0), np.float32)
