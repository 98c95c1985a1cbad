"""Reference data of a run, so that export does not need a data source: selected, written and read only here."""

from __future__ import annotations

import io
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pocketvae.data.array_files import open_npz
from pocketvae.errors import ManifestError

if TYPE_CHECKING:
    from pocketvae.data.items import ItemSet, Parts

REFERENCE_NAME = "reference.npz"
_CALIBRATION_COUNT, _GOLDEN_COUNT = 512, 256


@dataclass(frozen=True, kw_only=True)
class ReferenceImages:
    """Images for calibration, and images for goldens; or data of another kind.

    Attributes:
        calibration: `[N, H, W, C] uint8` training images that fix activation ranges; `[N, *data_shape] float32` of
            data that are not images.
        calibration_labels: `[N] int32`.
        golden: `[M, ...]`, test images that goldens are computed from.
        golden_labels: `[M] int32`.
    """

    calibration: npt.NDArray[np.uint8 | np.float32]
    calibration_labels: npt.NDArray[np.int32]
    golden: npt.NDArray[np.uint8 | np.float32]
    golden_labels: npt.NDArray[np.int32]

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Returns the arrays by the names that they have in the archive."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def archive(self) -> bytes:
        """Returns them as an uncompressed `.npz`."""
        file = io.BytesIO()
        np.savez(file, allow_pickle=False, **self.arrays())
        return file.getvalue()


def choose_reference(splits: Parts, rng: np.random.Generator) -> ReferenceImages:
    """Returns some training and test items, in their order."""
    calibration: ItemSet = splits.train.some(_CALIBRATION_COUNT, rng)
    golden: ItemSet = splits.test.some(_GOLDEN_COUNT, rng)
    return ReferenceImages(
        calibration=calibration.items,
        golden=golden.items,
        calibration_labels=calibration.labels_or_zeros(),
        golden_labels=golden.labels_or_zeros(),
    )


def read_reference(path: Path, shape: tuple[int, ...], dtype: type[np.generic] = np.uint8) -> ReferenceImages:
    """Reads the images, or data of another kind.

    Args:
        path: The `.npz`.
        shape: `(H, W, C)` of the model's images, or the shape of another item.
        dtype: uint8 for images, else float32.

    Raises:
        ManifestError: the file is missing, damaged or of other images.
    """
    try:
        with open_npz(path) as archive:
            images = ReferenceImages(**{field.name: archive.read(field.name) for field in fields(ReferenceImages)})
    except (ValueError, OSError) as e:
        raise ManifestError(f"{path} is missing or damaged: {e}") from e
    for array in (images.calibration, images.golden):
        if array.shape[1:] != shape or array.dtype != dtype:
            raise ManifestError(
                f"{path} must hold {np.dtype(dtype)} {'images' if dtype is np.uint8 else 'items'} of {shape}"
            )
    return images
