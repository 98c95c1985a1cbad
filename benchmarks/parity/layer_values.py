"""The values of every tensor inside an artifact for some samples, on the runtime's built-in kernels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pocketvae.formats.damage import naming_file
from pocketvae.runtimes.base import Array
from pocketvae.runtimes.taps import tap
from pocketvae.spec import Format

Values = dict[str, npt.NDArray[np.float64]]


def layer_values(
    path: Path, format: Format, inputs: Mapping[str, Array], image_range: tuple[float, float] = (0.0, 1.0)
) -> Values:
    """Returns the values `[N, *shape]` of each tensor by name, in the order of execution.

    Args:
        path: The artifact.
        format: Its format.
        inputs: Inputs `[N, ...]` by name, as real numbers.
        image_range: What pixels 0 and 255 stand for.

    Raises:
        ManifestError: the artifact is damaged.
        ParityError: its runtime cannot load it.
        TargetError: a package that is needed to read the tensors is not installed.
    """
    with naming_file(path):
        tapped = tap(format, path.read_bytes(), inputs, image_range=image_range)
    return {name: tensor.real() for name, tensor in tapped.items()}
