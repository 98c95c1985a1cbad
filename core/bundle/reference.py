"""Reference images of a run, so that export does not need a data source: selected, written and read only here."""

from __future__ import annotations

import io
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pocketvae.data.array_files import open_npz
from pocketvae.errors import ManifestError

if TYPE_CHECKING:
    from pocketvae.data.dataset import ImageSplits

REFERENCE_NAME = "reference.npz"
_CALIBRATION_COUNT, _GOLDEN_COUNT = 512, 256


@dataclass(frozen=True, kw_only=True)
class ReferenceImages:
    """Images for calibration, and images for goldens.

    Attributes:
        calibration: `[N, H, W, C] uint8` training images that fix activation ranges.
        calibration_labels: `[N] int32`.
        golden: `[M, H, W, C] uint8` test images that goldens are computed from.
        golden_labels: `[M] int32`.
    """

    calibration: npt.NDArray[np.uint8]
    calibration_labels: npt.NDArray[np.int32]
    golden: npt.NDArray[np.uint8]
    golden_labels: npt.NDArray[np.int32]

    def arrays(self) -> dict[str, npt.NDArray[np.uint8 | np.int32]]:
        """Returns the arrays by the names that they have in the archive."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def archive(self) -> bytes:
        """Returns them as an uncompressed `.npz`."""
        file = io.BytesIO()
        np.savez(file, allow_pickle=False, **self.arrays())
        return file.getvalue()


def choose_reference(splits: ImageSplits, rng: np.random.Generator) -> ReferenceImages:
    """Returns some training and test images, in their order."""
    calibration, golden = splits.train.some(_CALIBRATION_COUNT, rng), splits.test.some(_GOLDEN_COUNT, rng)
    return ReferenceImages(
        calibration=calibration.images,
        golden=golden.images,
        calibration_labels=calibration.labels_or_zeros(),
        golden_labels=golden.labels_or_zeros(),
    )


def read_reference(path: Path, image_shape: tuple[int, ...]) -> ReferenceImages:
    """Reads the images.

    Args:
        path: The `.npz`.
        image_shape: `(H, W, C)` of the model.

    Raises:
        ManifestError: the file is missing, damaged or of other images.
    """
    try:
        with open_npz(path) as archive:
            images = ReferenceImages(**{field.name: archive.read(field.name) for field in fields(ReferenceImages)})
    except (ValueError, OSError) as e:
        raise ManifestError(f"{path} is missing or damaged: {e}") from e
    for array in (images.calibration, images.golden):
        if array.shape[1:] != image_shape or array.dtype != np.uint8:
            raise ManifestError(f"{path} must hold uint8 images of {image_shape}")
    return images
