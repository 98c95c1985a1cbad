"""Coding of latents as bytes: each dimension's symbols with its own integer table."""

from __future__ import annotations

import numpy as np

from pocketvae.apps.compression.latent_tables import Integers, LatentTables
from pocketvae.apps.compression.rans import RansDecoder, RansEncoder
from pocketvae.errors import DataError

# The state of an entropy coder takes four bytes, so images share one.
_IMAGES_PER_CODE = 64


def code_count(count: int) -> int:
    """Returns the number of codes for the latents of `count` images."""
    return -(-count // _IMAGES_PER_CODE)


def encode_symbols(symbols: Integers, tables: LatentTables, quality: int) -> list[bytes]:
    """Encodes symbols `[N, D]`."""
    count, dims = symbols.shape
    frequencies = tables.frequencies(quality)
    starts = np.cumsum(frequencies, axis=1) - frequencies
    encoder = RansEncoder(code_count(count), dims * _IMAGES_PER_CODE)
    for place in reversed(range(min(count, _IMAGES_PER_CODE))):
        images = np.arange(place, count, _IMAGES_PER_CODE)
        for d in reversed(range(dims)):
            chosen = symbols[images, d]
            encoder.push(np.arange(len(images)), starts[d, chosen], frequencies[d, chosen])
    return encoder.finish()


def decode_symbols(codes: list[bytes], count: int, tables: LatentTables, quality: int) -> Integers:
    """Decodes symbols `[N, D]`.

    Raises:
        DataError: the codes are damaged.
    """
    if len(codes) != code_count(count):
        raise DataError(f"the stream is damaged: {count} images take {code_count(count)} codes, got {len(codes)}")
    frequencies = tables.frequencies(quality)
    ends = np.cumsum(frequencies, axis=1)
    decoder = RansDecoder(codes)
    symbols = np.zeros((count, tables.latent_dim), np.int64)
    for place in range(min(count, _IMAGES_PER_CODE)):
        images = np.arange(place, count, _IMAGES_PER_CODE)
        lanes = np.arange(len(images))
        for d in range(tables.latent_dim):
            chosen = np.searchsorted(ends[d], decoder.peek(lanes), side="right")
            decoder.pop(lanes, ends[d, chosen] - frequencies[d, chosen], frequencies[d, chosen])
            symbols[images, d] = chosen
    decoder.check_finished()
    return symbols
