"""Pictures of paths through latent space: interpolations and traversals."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pocketvae.apps.animation import PictureKind, decoded, picture
from pocketvae.apps.choice import Choice
from pocketvae.apps.generation.paths import LatentPath, activity, along, check_continuous, walk
from pocketvae.errors import DataError
from pocketvae.models.model_bundle import ModelBundle
from pocketvae.numerics.latents import real_columns
from pocketvae.runtimes.base import FloatArray
from pocketvae.system import files
from pocketvae.system.limits import LARGEST_FLOAT32

_MOST_IMAGES = 10_000
_LONGEST_FRAME_MS = 60_000


@dataclass(frozen=True, kw_only=True)
class Interpolation:
    """A request for an interpolation between latents.

    Attributes:
        steps: Images from one end to the next, both included.
        path: Kind of path.
        frame_ms: How long an animation shows an image.
        choice: Which decoder to use.

    Raises:
        DataError: there are fewer than two steps or too many, or the time per image is out of range.
    """

    steps: int = 10
    path: LatentPath = LatentPath.SPHERICAL
    frame_ms: int = 80
    choice: Choice = field(default_factory=Choice)

    def __post_init__(self) -> None:
        if not 2 <= self.steps <= _MOST_IMAGES:
            raise DataError(f"an interpolation needs at least 2 steps and at most {_MOST_IMAGES}, got {self.steps}")
        if not 1 <= self.frame_ms <= _LONGEST_FRAME_MS:
            raise DataError(f"an image must be shown for 1 to {_LONGEST_FRAME_MS} ms, got {self.frame_ms}")


def interpolate(
    bundle: ModelBundle, stops: FloatArray, request: Interpolation, out: Path, label: int | None, *, force: bool
) -> int:
    """Writes images along the path through `stops`, `[N, D]`, as a PNG strip or an animation; returns their number.

    Raises:
        SpecError: the extension is not `.png`, `.gif` or `.webp`, or the label does not fit.
        DataError: there are fewer than two stops, or too many images along the path.
        OutputExistsError: `out` exists and `force` is off.
    """
    check_continuous(bundle.vae, "interpolate")
    kind = PictureKind.of(out)
    files.check_output(out, force=force)
    _check_count((len(stops) - 1) * (request.steps - 1) + 1)
    images = decoded(request.choice.decoder(bundle), walk(stops, request.steps, request.path, bundle.vae), label)
    files.write_bytes(out, picture(images, len(images), kind, frame_ms=request.frame_ms), force=force)
    return len(images)


@dataclass(frozen=True, kw_only=True)
class Traversal:
    """A request for a traversal: one latent dimension at a time.

    Attributes:
        span: The dimension goes from -span to span.
        steps: Images per dimension.
        dimensions: Number of dimensions, the most active first; None for all.
        choice: Which decoder to use.
    """

    span: float = 3.0
    steps: int = 9
    dimensions: int | None = None
    choice: Choice = field(default_factory=Choice)

    def __post_init__(self) -> None:
        if not 0 < self.span <= LARGEST_FLOAT32:
            raise DataError(f"span must be positive and finite, got {self.span:g}")
        if self.steps < 2 or (self.dimensions is not None and self.dimensions < 1):
            raise DataError(f"at least 2 steps and 1 dimension are needed, got {self.steps} and {self.dimensions}")


def traverse(
    bundle: ModelBundle, centre: FloatArray, request: Traversal, out: Path, label: int | None, *, force: bool
) -> list[tuple[int, float]]:
    """Writes a PNG grid with a row for each latent dimension, the most active first; codes stay those of the centre.

    Returns:
        Dimension and activity of each row.

    Raises:
        SpecError: the extension is not `.png`, or the label does not fit.
        DataError: there are not that many dimensions, or there would be too many images.
        OutputExistsError: `out` exists and `force` is off.
    """
    check_continuous(bundle.vae, "traverse")
    kind = PictureKind.of(out, PictureKind.PNG)
    files.check_output(out, force=force)
    real = real_columns(bundle.vae)
    if (request.dimensions or 0) > len(real):
        raise DataError(f"the VAE has {len(real)} latent dimensions, got --dimensions {request.dimensions}")
    decoder = request.choice.decoder(bundle)
    active = activity(bundle, decoder, label)
    order = real[np.argsort(-active[real], kind="stable")][: request.dimensions]
    _check_count(len(order) * request.steps)
    latents = np.concatenate([along(centre, int(dimension), request.span, request.steps) for dimension in order])
    images = decoded(decoder, latents, label)
    files.write_bytes(out, picture(images, request.steps, kind, frame_ms=1), force=force)
    return [(int(dimension), float(active[dimension])) for dimension in order]


def _check_count(count: int) -> None:
    if count > _MOST_IMAGES:
        raise DataError(f"a picture shows at most {_MOST_IMAGES} images, got {count}: use fewer steps or dimensions")
