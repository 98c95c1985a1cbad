"""Grey images as bytes and back, without loss: the pixel network's probabilities and an entropy coder.

All images of a batch are worked on together, pixel by pixel; each has a code of its own.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pocketvae.apps.pixel_network import VALUE_BITS, Integers, PixelNetwork, Pixels
from pocketvae.apps.rans import RansDecoder, RansEncoder
from pocketvae.errors import DataError
from pocketvae.progress import Progress, ProgressCallback, ignore_progress

_BATCH = 2048


def encode_pixels(images: Pixels, network: PixelNetwork, progress: ProgressCallback = ignore_progress) -> list[bytes]:
    """Encodes images `[N, H, W] uint8`, one code each.

    Raises:
        DataError: the network was fitted to images of another size.
    """
    if images.shape[1:] != network.image_size:
        raise DataError(f"the pixel network takes images of {network.image_size}, got {images.shape[1:]}")
    codes: list[bytes] = []
    for first in range(0, len(images), _BATCH):
        codes += _encode_batch(images[first : first + _BATCH], network)
        progress(Progress(stage="compressing", done=len(codes), total=len(images)))
    return codes


def decode_pixels(codes: list[bytes], network: PixelNetwork, progress: ProgressCallback = ignore_progress) -> Pixels:
    """Decodes images `[N, H, W] uint8`.

    Raises:
        DataError: a code is damaged.
    """
    parts: list[Pixels] = []
    for first in range(0, len(codes), _BATCH):
        parts.append(_decode_batch(codes[first : first + _BATCH], network))
        progress(Progress(stage="decompressing", done=min(first + _BATCH, len(codes)), total=len(codes)))
    return np.concatenate(parts)


def _encode_batch(images: Pixels, network: PixelNetwork) -> list[bytes]:
    height, width = network.image_size
    padded = network.window.pad(images)
    decisions: list[tuple[npt.NDArray[np.intp], npt.NDArray[np.bool_], Integers]] = []
    everyone = np.arange(len(images))
    for row in range(height):
        for column in range(width):
            values = images[:, row, column].astype(np.int64)
            features = network.features(network.window.inputs(padded, row, column), row, column)
            decisions.append((everyone, values == 0, network.zero_probabilities(features)))
            lanes = np.flatnonzero(values)
            if len(lanes):
                table = network.all_probabilities(features[lanes]).astype(np.int64)
                decisions += _value_decisions(lanes, values[lanes], table)
    # A bit takes at most 14 of a word's 16 bits.
    encoder = RansEncoder(len(images), (1 + VALUE_BITS) * height * width)
    for lanes, bits, ones in reversed(decisions):
        encoder.push_bits(lanes, bits, ones)
    return encoder.finish()


def _value_decisions(
    lanes: npt.NDArray[np.intp], values: Integers, table: Integers
) -> list[tuple[npt.NDArray[np.intp], npt.NDArray[np.bool_], Integers]]:
    decisions = []
    for shift in range(VALUE_BITS, 0, -1):
        nodes = (values | (1 << VALUE_BITS)) >> shift
        bits = ((values >> (shift - 1)) & 1).astype(bool)
        decisions.append((lanes, bits, table[np.arange(len(lanes)), nodes]))
    return decisions


def _decode_batch(codes: list[bytes], network: PixelNetwork) -> Pixels:
    height, width = network.image_size
    decoder = RansDecoder(codes)
    padded = network.window.pad(np.zeros((len(codes), height, width), np.uint8))
    everyone = np.arange(len(codes))
    for row in range(height):
        for column in range(width):
            features = network.features(network.window.inputs(padded, row, column), row, column)
            zero = decoder.pop_bits(everyone, network.zero_probabilities(features))
            lanes = np.flatnonzero(~zero)
            if len(lanes):
                values = _decode_values(decoder, lanes, network.all_probabilities(features[lanes]))
                padded[lanes, row + network.window.above, column + network.window.beside] = values
    decoder.check_finished()
    top, left = network.window.above, network.window.beside
    return np.ascontiguousarray(padded[:, top:, left : left + width])


def _decode_values(decoder: RansDecoder, lanes: npt.NDArray[np.intp], table: Integers) -> Pixels:
    nodes = np.ones(len(lanes), np.int64)
    for _ in range(VALUE_BITS):
        bits = decoder.pop_bits(lanes, table[np.arange(len(lanes)), nodes])
        nodes = 2 * nodes + bits
    return (nodes & 0xFF).astype(np.uint8)
