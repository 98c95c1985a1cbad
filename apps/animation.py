"""Pictures of several images: a PNG strip or grid, or an animation as GIF or WebP."""

from __future__ import annotations

import enum
import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.data.pictures import grid, pixel_scale, png_bytes
from pocketvae.errors import DataError, SpecError
from pocketvae.kinds.registry import kind_of
from pocketvae.models.components import Decoder
from pocketvae.numerics.pixels import to_pixels
from pocketvae.vae_spec import DataKind, VaeSpec

Pixels = npt.NDArray[np.uint8]
_ANIMATION_HEIGHT = 128


class PictureKind(enum.StrEnum):
    """The kind of picture that a file name's extension selects."""

    PNG = "png"
    GIF = "gif"
    WEBP = "webp"

    @classmethod
    def of(cls, path: Path, *kinds: PictureKind) -> PictureKind:
        """Returns the kind of picture that a path's extension selects.

        Raises:
            SpecError: the extension is not one of `kinds`.
        """
        known = kinds or tuple(cls)
        extension = path.suffix.lower().lstrip(".")
        if extension not in [kind.value for kind in known]:
            raise SpecError(f"the output must end in {' or '.join(f'.{kind}' for kind in known)}, got {path.name!r}")
        return cls(extension)


def pixels_of(vae: VaeSpec, items: npt.NDArray[Any]) -> Pixels:
    """Returns items as pictures `[N, H, W, C] uint8`: images as they are, other data as their kind is drawn.

    Args:
        vae: The interface of the model that made them.
        items: `[N, ...]`, pixels or in the VAE's `data_range`.
    """
    return items if items.dtype == np.uint8 else to_pixels(kind_of(vae.data).shown(items, vae))


def decoded(decoder: Decoder, z: npt.NDArray[np.float32], label: npt.ArrayLike | None) -> Pixels:
    """Returns what a decoder makes of latents `[N, D]`, as pictures `[N, H, W, C] uint8`.

    Raises:
        DataError: they are images of another number of channels than 1 and 3.
    """
    if decoder.vae.data is not DataKind.IMAGE:
        return pixels_of(decoder.vae, decoder.decode(z, label))
    check_channels(decoder.vae.image_shape[2])
    return decoder.decode_pixels(z, label)


def picture(images: Pixels, columns: int, kind: PictureKind, *, frame_ms: int) -> bytes:
    """Encodes images `[N, H, W, 1 or 3] uint8` as one file: a PNG grid of `columns`, or an animation.

    Args:
        images: The images, in order.
        columns: Of a grid.
        kind: Kind of file.
        frame_ms: How long an animation shows an image; it runs back and forth forever.

    Raises:
        DataError: the images have another number of channels, or the time is not positive.
    """
    check_channels(images.shape[3])
    if kind is PictureKind.PNG:
        return png_bytes(grid(images, columns), scale=pixel_scale(images.shape[1]))
    if frame_ms < 1:
        raise DataError(f"a frame must be shown for at least 1 ms, got {frame_ms}")
    return _animation(images, kind, frame_ms)


def single(image: Pixels) -> bytes:
    """Encodes one image `[H, W, 1 or 3] uint8` as PNG, pixel for pixel."""
    check_channels(image.shape[2])
    return png_bytes(image)


def check_channels(channels: int) -> None:
    """Checks that images can be shown in a picture.

    Raises:
        DataError: the number of channels is neither 1 nor 3.
    """
    if channels not in (1, 3):
        raise DataError(
            f"only images with 1 or 3 channels can be shown, got {channels}: generate and reconstruct write others as "
            ".npz"
        )


def _animation(images: Pixels, kind: PictureKind, frame_ms: int) -> bytes:
    from PIL import Image

    scale = max(1, _ANIMATION_HEIGHT // images.shape[1])
    large = images.repeat(scale, axis=1).repeat(scale, axis=2)
    frames = [Image.fromarray(image[..., 0] if image.shape[2] == 1 else image) for image in large]
    loop = [*frames, *frames[-2:0:-1]]
    file = io.BytesIO()
    options = {"lossless": True} if kind is PictureKind.WEBP else {}
    loop[0].save(file, kind.upper(), save_all=True, append_images=loop[1:], duration=frame_ms, loop=0, **options)
    return file.getvalue()
