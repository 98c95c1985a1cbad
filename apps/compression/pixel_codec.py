"""Lossless coding of grey images with the pixel network's probabilities and an entropy coder.

A code holds 16 images, one after the other; all codes of a batch are processed together, pixel by pixel.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from pocketvae.apps.compression.pixel_network import VALUE_BITS, Integers, PixelNetwork, Pixels
from pocketvae.apps.compression.rans import RansDecoder, RansEncoder
from pocketvae.errors import DataError
from pocketvae.progress import Progress, ProgressCallback, ignore_progress

# An entropy coder's state and a code's length take six bytes, which images share.
IMAGES_PER_CODE = 16
_BATCH = 512 * IMAGES_PER_CODE
# Of whose probabilities the encoder, which knows all pixels, computes many at once.
_PIXELS_AT_ONCE = 512

# Which codes, which bits, and the probability that each is set.
_Decision: TypeAlias = tuple[npt.NDArray[np.intp], npt.NDArray[np.bool_], Integers]


def encode_pixels(images: Pixels, network: PixelNetwork, progress: ProgressCallback = ignore_progress) -> list[bytes]:
    """Encodes images `[N, H, W] uint8`, 16 to a code.

    Raises:
        DataError: the network was fitted to images of another size.
    """
    if images.shape[1:] != network.image_size:
        raise DataError(f"the pixel network takes images of {network.image_size}, got {images.shape[1:]}")
    codes: list[bytes] = []
    for first in range(0, len(images), _BATCH):
        codes += _encode_batch(images[first : first + _BATCH], network)
        progress(Progress(stage="compressing", done=min(first + _BATCH, len(images)), total=len(images)))
    return codes


def decode_pixels(
    codes: list[bytes], count: int, network: PixelNetwork, progress: ProgressCallback = ignore_progress
) -> Pixels:
    """Decodes `count` images, `[N, H, W] uint8`.

    Raises:
        DataError: a code is damaged, or the number of codes does not match the number of images.
    """
    if len(codes) != -(-count // IMAGES_PER_CODE):
        raise DataError(f"the stream is damaged: {len(codes)} codes for {count} images")
    images = np.zeros((count, *network.image_size), np.uint8)
    for first in range(0, count, _BATCH):
        part = images[first : first + _BATCH]
        start = first // IMAGES_PER_CODE
        _decode_batch(codes[start : start + _BATCH // IMAGES_PER_CODE], part, network)
        progress(Progress(stage="decompressing", done=first + len(part), total=count))
    return images


def _encode_batch(images: Pixels, network: PixelNetwork) -> list[bytes]:
    height, width = network.image_size
    places = range(min(IMAGES_PER_CODE, len(images)))
    # A bit takes at most 14 of a word's 16 bits.
    capacity = (1 + VALUE_BITS) * height * width * len(places)
    encoder = RansEncoder(-(-len(images) // IMAGES_PER_CODE), capacity)
    for place in reversed(places):
        for lanes, bits, ones in reversed(_decisions(images[place::IMAGES_PER_CODE], network)):
            encoder.push_bits(lanes, bits, ones)
    return encoder.finish()


def _decisions(images: Pixels, network: PixelNetwork) -> list[_Decision]:
    """Returns all decisions of images at the same position of their codes, in order."""
    height, width = network.image_size
    padded = network.window.pad(images)
    everyone = np.arange(len(images))
    decisions: list[_Decision] = []
    step = max(1, _PIXELS_AT_ONCE // len(images))
    for row in range(height):
        for first in range(0, width, step):
            columns = slice(first, min(first + step, width))
            values = images[:, row, columns].astype(np.int64)
            features = network.features_of_row(network.window.inputs_of_row(padded, row, columns), row, columns)
            zeros, is_value = network.zero_probabilities(features), values != 0
            tables = network.all_probabilities(features[is_value])
            places = np.cumsum(is_value).reshape(is_value.shape) - 1
            for column in range(values.shape[1]):
                decisions.append((everyone, ~is_value[:, column], zeros[:, column]))
                lanes = np.flatnonzero(is_value[:, column])
                if len(lanes):
                    own = values[lanes, column], tables[places[lanes, column]]
                    decisions += _value_decisions(lanes, *own)
    return decisions


def _value_decisions(lanes: npt.NDArray[np.intp], values: Integers, table: Integers) -> list[_Decision]:
    decisions = []
    for shift in range(VALUE_BITS, 0, -1):
        nodes = (values | (1 << VALUE_BITS)) >> shift
        bits = ((values >> (shift - 1)) & 1).astype(bool)
        decisions.append((lanes, bits, table[np.arange(len(lanes)), nodes]))
    return decisions


def _decode_batch(codes: list[bytes], images: Pixels, network: PixelNetwork) -> None:
    """Decodes into `images`."""
    decoder = RansDecoder(codes)
    top, left = network.window.above, network.window.beside
    _, width = network.image_size
    for place in range(min(IMAGES_PER_CODE, len(images))):
        part = images[place::IMAGES_PER_CODE]
        padded = network.window.pad(part)
        _decode_place(decoder, padded, network)
        part[:] = padded[:, top:, left : left + width]
    decoder.check_finished()


def _decode_place(decoder: RansDecoder, padded: Pixels, network: PixelNetwork) -> None:
    height, width = network.image_size
    everyone = np.arange(len(padded))
    for row in range(height):
        for column in range(width):
            features = network.features(network.window.inputs(padded, row, column), row, column)
            zero = decoder.pop_bits(everyone, network.zero_probabilities(features))
            lanes = np.flatnonzero(~zero)
            if len(lanes):
                values = _decode_values(decoder, lanes, network.all_probabilities(features[lanes]))
                padded[lanes, row + network.window.above, column + network.window.beside] = values


def _decode_values(decoder: RansDecoder, lanes: npt.NDArray[np.intp], table: Integers) -> Pixels:
    nodes = np.ones(len(lanes), np.int64)
    for _ in range(VALUE_BITS):
        bits = decoder.pop_bits(lanes, table[np.arange(len(lanes)), nodes])
        nodes = 2 * nodes + bits
    return (nodes & 0xFF).astype(np.uint8)
