"""Decoding of one image file: its formats, its limits, and what its decoder complains of."""

from __future__ import annotations

import contextlib
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from pocketvae.parsing import shortened

Pixels: TypeAlias = npt.NDArray[np.uint8]

# What a file may hold, whatever its name says; Pillow would decode forty formats, PostScript among them.
FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "GIF", "TIFF")
LARGEST_PIXELS = 1 << 26
_GREY_MODES = ("1", "L")
_COLOUR_MODES = ("P", "PA", "LA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")
_GREY_SCALES = {"L;2": 85, "L;4": 17}
_TRANSPARENT = "has transparent pixels: flatten it onto a background first"
# Tags of a TIFF file that say that a page is a smaller copy of another one.
_SUBFILE, _OLD_SUBFILE = 254, 255
# Tags of a TIFF file that say where its pixels are and what they mean (TIFF 6.0).
_PIXEL_TAGS = {256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 284, 317, 320, 322, 323, 324, 325, 338, 339, 530}


@dataclass(frozen=True, kw_only=True)
class ImageReport:
    """What was found in an image file.

    Attributes:
        width: In pixels; 0 if unknown.
        height: In pixels; 0 if unknown.
        channels: 1 or 3; 0 if unknown.
        problem: Why it cannot be used, in words that follow the file's name; empty if it can.
        is_damaged: Whether it cannot be read, as opposed to being intact but of the wrong kind.
        note: What is wrong with it without changing its pixels; empty if nothing is.
    """

    width: int = 0
    height: int = 0
    channels: int = 0
    problem: str = ""
    is_damaged: bool = False
    note: str = ""

    @property
    def shape(self) -> tuple[int, int, int]:
        """`(H, W, C)`."""
        return self.height, self.width, self.channels


@contextlib.contextmanager
def collected_warnings() -> Iterator[list[warnings.WarningMessage]]:
    """Keeps warnings from the terminal in the block and yields the list that they go to."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield caught


def examine(
    file: str | Path, caught: list[warnings.WarningMessage], *, pixels: bool
) -> tuple[ImageReport, Pixels | None]:
    """Reads a file's header, or all of it as `[H, W, 1 or 3] uint8`.

    Args:
        file: The file.
        caught: What `collected_warnings` yielded; it is emptied.
        pixels: Whether to decode it.

    Returns:
        The report, and the pixels if they were asked for and the file can be used.
    """
    caught.clear()
    try:
        report, values, kind = _examine(file, pixels=pixels)
    except _WrongKindError as e:
        return ImageReport(problem=str(e)), None
    except Exception as e:  # Pillow's decoders raise a dozen unrelated types for damaged files
        return damaged(shortened(str(e) or type(e).__name__)), None
    messages = [shortened(warning.message) for warning in caught if _matters(warning)]
    wrong = next((message for message in messages if kind == "TIFF" and _changes_pixels(message)), None)
    if wrong is not None:
        return damaged(wrong), None
    return replace(report, note=messages[0]) if messages else report, values


def resized(pixels: Pixels, size: tuple[int, int], channels: int | None = None) -> Pixels:
    """Returns an image `[H, W, C] uint8` scaled to (height, width).

    Args:
        pixels: The image.
        size: Height and width.
        channels: 1 to convert it to grey, 3 to colour; None keeps its own.
    """
    from PIL import Image

    shape = (*size, channels or pixels.shape[2])
    if pixels.shape == shape:
        return pixels
    picture = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    if shape[2] != pixels.shape[2]:
        picture = picture.convert("L" if shape[2] == 1 else "RGB")
    return np.asarray(picture.resize((size[1], size[0]), Image.Resampling.LANCZOS)).reshape(shape)


def damaged(reason: str) -> ImageReport:
    """Returns the report on a file that cannot be read."""
    return ImageReport(problem=f"cannot be read as an image: {reason}", is_damaged=True)


class _WrongKindError(Exception):
    """A file is intact, but not an image that can be used; the words follow its name."""


def _examine(file: str | Path, *, pixels: bool) -> tuple[ImageReport, Pixels | None, str]:
    from PIL import Image

    # The limit is our own, so that it does not depend on a setting that others may change.
    Image.MAX_IMAGE_PIXELS = None
    with Image.open(file, formats=FORMATS) as image:
        (width, height), mode = image.size, image.mode
        if width * height > LARGEST_PIXELS:
            raise _WrongKindError(f"must have at most {LARGEST_PIXELS} pixels, got {width}x{height}")
        # Pillow converts 16-bit and float pixels by clipping them to 0..255: most would become white, or all black.
        if mode not in (*_GREY_MODES, *_COLOUR_MODES):
            raise _WrongKindError(f"must have 8 bits per channel, got the mode {mode}: convert it first")
        _check_is_one(image)
        report = ImageReport(width=width, height=height, channels=1 if mode in _GREY_MODES else 3)
        return report, _pixels(image) if pixels else None, str(image.format)


def _check_is_one(image: Any) -> None:
    """Refuses files of several images, of which Pillow would give the first alone.

    The pictures behind a JPEG's first one are previews and depths that cameras make of it, and do not count.
    """
    if image.format == "MPO" or not getattr(image, "is_animated", False):
        return
    count, what = (_pages(image), "pages") if image.format == "TIFF" else (image.n_frames, "frames")
    if count > 1:
        raise _WrongKindError(
            f"has {count} {what}, but an image must be one: save each as a file of its own, for instance by ImageMagick"
        )


def _pages(image: Any) -> int:
    """Returns the number of pages of a TIFF file, without smaller copies of the first."""
    count = 1
    for number in range(1, image.n_frames):
        image.seek(number)
        tags = image.tag_v2
        count += not (tags.get(_SUBFILE, 0) & 1 or tags.get(_OLD_SUBFILE, 0) == 2)
    image.seek(0)
    return count


def _pixels(image: Any) -> Pixels:
    if image.mode in _GREY_MODES:
        return _grey_pixels(image)
    if "A" in image.getbands() or "transparency" in image.info:
        rgba = np.asarray(image.convert("RGBA"))
        if rgba[..., 3].min() < 255:
            raise _WrongKindError(_TRANSPARENT)
        return np.ascontiguousarray(rgba[..., :3])
    return np.asarray(image.convert("RGB"))


def _grey_pixels(image: Any) -> Pixels:
    # Of 2 and 4 bits Pillow scales the pixels, but not the value that is transparent.
    scale = _GREY_SCALES.get(image.tile[0][3], 1) if image.format == "PNG" and image.tile else 1
    pixels = np.asarray(image.convert("L"))[..., None]
    transparent = image.info.get("transparency")
    if isinstance(transparent, int) and (pixels == scale * transparent).any():
        raise _WrongKindError(_TRANSPARENT)
    return pixels


def _matters(warning: warnings.WarningMessage) -> bool:
    # Transparency is looked at here, and what will change in Pillow concerns nobody who reads images.
    ignored = issubclass(warning.category, (DeprecationWarning, PendingDeprecationWarning, ResourceWarning))
    return not ignored and "Transparency" not in str(warning.message)


def _changes_pixels(message: str) -> bool:
    tag = re.search(r"tag (\d+)", message)
    return "Truncated" in message or (tag is not None and int(tag[1]) in _PIXEL_TAGS)
