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
_FEWEST_GOLDENS = 32
_HELD_OUT_COUNT, _FEWEST_HELD_OUT, _HELD_OUT_BYTES = 1000, 200, 20_000_000


@dataclass(frozen=True, kw_only=True)
class ReferenceImages:
    """Images for calibration, and images for goldens; or data of another kind.

    Attributes:
        calibration: `[N, H, W, C] uint8` training images that fix activation ranges; `[N, *input_shape] float32` of
            data that are not images.
        calibration_labels: `[N] int32`.
        golden: `[M, ...]`, test images that goldens are computed from.
        golden_labels: `[M] int32`.
        held_out: `[K, ...]`, other test images, for the threshold of a scorer; none in runs of older versions.
        held_out_labels: `[K] int32`.
    """

    calibration: npt.NDArray[np.uint8 | np.float32]
    calibration_labels: npt.NDArray[np.int32]
    golden: npt.NDArray[np.uint8 | np.float32]
    golden_labels: npt.NDArray[np.int32]
    held_out: npt.NDArray[np.uint8 | np.float32]
    held_out_labels: npt.NDArray[np.int32]

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Returns the arrays by the names that they have in the archive."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def archive(self) -> bytes:
        """Returns them as an uncompressed `.npz`."""
        file = io.BytesIO()
        np.savez(file, allow_pickle=False, **self.arrays())
        return file.getvalue()


def choose_reference(splits: Parts, rng: np.random.Generator) -> ReferenceImages:
    """Returns some training and test items, in their order.

    Of few test items, as many are goldens as are held out, but the first 32 are goldens.
    """
    calibration: ItemSet = splits.train.some(_CALIBRATION_COUNT, rng)
    test: ItemSet = splits.test
    order = rng.permutation(len(test))
    goldens = min(_GOLDEN_COUNT, max(_FEWEST_GOLDENS, len(test) // 2))
    golden = test.take(np.sort(order[:goldens]))
    held_out = test.take(np.sort(order[goldens : goldens + _most_held_out(test.given)]))
    return ReferenceImages(
        calibration=calibration.given,
        golden=golden.given,
        calibration_labels=calibration.labels_or_zeros(),
        golden_labels=golden.labels_or_zeros(),
        held_out=held_out.given,
        held_out_labels=held_out.labels_or_zeros(),
    )


def _most_held_out(items: npt.NDArray[Any]) -> int:
    """Returns how many items are held out at most: 1,000, of large ones fewer, but enough for a rate of 1 in 200."""
    return max(_FEWEST_HELD_OUT, min(_HELD_OUT_COUNT, _HELD_OUT_BYTES // max(1, int(items[0].nbytes))))


def read_reference(path: Path, shape: tuple[int, ...], dtype: type[np.generic] = np.uint8) -> ReferenceImages:
    """Reads the images, or data of another kind.

    Args:
        path: The `.npz`.
        shape: `(H, W, C)` of the model's images, or the shape of another item.
        dtype: uint8 for images, else float32.

    Raises:
        ManifestError: the file is missing, damaged or of other images.
    """
    none = {"held_out": np.zeros((0, *shape), dtype), "held_out_labels": np.zeros(0, np.int32)}
    try:
        with open_npz(path) as archive:
            missing = none if "held_out" not in archive.names else {}
            images = ReferenceImages(
                **missing,
                **{
                    field.name: archive.read(field.name)
                    for field in fields(ReferenceImages)
                    if field.name not in missing
                },
            )
    except (ValueError, OSError) as e:
        raise ManifestError(f"{path} is missing or damaged: {e}") from e
    for array in (images.calibration, images.golden, images.held_out):
        if array.shape[1:] != shape or array.dtype != dtype:
            raise ManifestError(
                f"{path} must hold {np.dtype(dtype)} {'images' if dtype is np.uint8 else 'items'} of {shape}"
            )
    return images


def held_out_count(path: Path) -> int:
    """Returns how many items are held out.

    Raises:
        ManifestError: the file is missing or damaged.
    """
    try:
        with open_npz(path) as archive:
            return len(archive.read("held_out_labels")) if "held_out_labels" in archive.names else 0
    except (ValueError, OSError) as e:
        raise ManifestError(f"{path} is missing or damaged: {e}") from e
