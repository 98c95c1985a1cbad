"""A decoder written from docs/codec.md alone, and the test vectors at the end of that page."""

import bisect
import io
import itertools
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from pocketvae.apps.compression.codec_tables import load_tables
from pocketvae.apps.compression.latent_codec import decode_symbols, encode_symbols
from pocketvae.apps.compression.pixel_codec import decode_pixels, encode_pixels
from pocketvae.apps.compression.stream import unpack, unpack_names

PAGE = Path(__file__).parents[3] / "docs" / "codec.md"


class Code:
    """The entropy coder of the page."""

    def __init__(self, data):
        self.state = int.from_bytes(data[:4], "little")
        self.words = list(struct.unpack(f"<{len(data) // 2 - 2}H", data[4:]))

    def symbol(self, frequencies):
        position, begins = self.state % 16384, [0, *itertools.accumulate(frequencies)]
        symbol = bisect.bisect_right(begins, position) - 1
        self.state = frequencies[symbol] * (self.state // 16384) + position - begins[symbol]
        if self.state < 65536:
            self.state = self.state * 65536 + self.words.pop(0)
        return symbol

    def check_end(self):
        assert (self.state, self.words) == (65536, [])


class File:
    """The fields of a file."""

    def __init__(self, data):
        self.data, self.place = data, 0
        assert zlib.crc32(data[:-4]) == struct.unpack("<I", data[-4:])[0]
        assert self.take(4) == b"PVAE"
        self.version, self.coding, self.quality = self.take(3)
        self.tables_id, self.decoder_id, self.check = self.take(4), self.take(4), self.take(4)
        self.count = self.varint()
        self.labels = [self.varint() for _ in range(self.varint())]
        lengths = [self.varint() for _ in range(self.varint())]
        self.codes = [Code(self.take(length)) for length in lengths]
        self.names = zlib.decompress(self.take(self.varint())).decode().split("\0")[:-1] if self.version == 2 else []
        assert self.place == len(data) - 4

    def take(self, size):
        self.place += size
        return self.data[self.place - size : self.place]

    def varint(self):
        value, shift = 0, 0
        while (byte := self.take(1)[0]) >= 128:
            value, shift = value + ((byte - 128) << shift), shift + 7
        return value + (byte << shift)


def frequencies_of(counts, step):
    reach = len(counts) // 2
    symbols = [(k + step // 2) // step for k in range(-reach, reach + 1)]
    sums = [sum(int(c) for s, c in zip(symbols, counts, strict=True) if s == symbol) for symbol in sorted(set(symbols))]
    frequencies = [1 + n * (16384 - len(sums)) // sum(sums) for n in sums]
    frequencies[frequencies.index(max(frequencies))] += 16384 - sum(frequencies)
    return frequencies, symbols[0]


def latents_of(file, tables):
    step = (64, 48, 32, 24, 16, 12, 8, 6, 4, 2)[file.quality - 1]
    coded = [frequencies_of(counts, step) for counts in tables["latent_counts"]]
    units = 2.0 ** -tables["latent_exponents"].astype(float)
    z = np.zeros((file.count, len(coded)), "<f4")
    for i in range(file.count):
        for d, (frequencies, lowest) in enumerate(coded):
            z[i, d] = (file.codes[i // 64].symbol(frequencies) + lowest) * step * units[d]
    return z


def pixels_of(file, tables):
    network = {name[8:]: array.astype(float) for name, array in tables.items() if name.startswith("network_")}
    above, beside = map(int, tables["network_window"])
    height, width = len(network["rows"]), len(network["columns"])
    limit = (len(network["squash"]) - 1) // 2

    def bit(code, one):
        return code.symbol([int(one), 16384 - int(one)]) == 0

    pixels = np.zeros((file.count, height, width), np.uint8)
    for i, image in enumerate(pixels):
        code, padded = file.codes[i // 16], np.zeros((height + above, width + 2 * beside))
        for row in range(height):
            for column in range(width):
                rows = padded[row : row + above, column : column + 2 * beside + 1]
                values = np.concatenate([rows.ravel(), padded[row + above, column : column + beside]])
                x = np.concatenate([values, np.where(values != 0, 255, 0)])
                first = x @ network["inputs"] + network["rows"][row] + network["columns"][column]
                h = np.clip(np.floor(first / 2**6), 0, 2**15)
                g = np.clip(np.floor((h @ network["hidden"] + network["hidden_bias"]) / 2**12), 0, 2**15)
                t = np.floor((g @ network["decisions"] + network["decisions_bias"]) / 2**14)
                p = network["squash"][np.clip(t, -limit, limit).astype(int) + limit]
                if not bit(code, p[0]):
                    node = 1
                    while node < 256:
                        node = 2 * node + bit(code, p[node])
                    image[row, column] = padded[row + above, column + beside] = node - 256
    return pixels


def decoded(data, tables):
    file = File(data)
    content = latents_of(file, tables) if file.coding == 0 else pixels_of(file, tables)
    for code in file.codes:
        code.check_end()
    assert zlib.crc32(content.tobytes()) == int.from_bytes(file.check, "little")
    return file, content


@pytest.fixture(scope="module")
def page():
    """The blocks of hexadecimal digits on the page, as bytes."""
    blocks = re.findall(r"(?m)(?:^    [0-9a-f]+\n)+", PAGE.read_text(encoding="utf-8"))
    return [bytes.fromhex("".join(block.split())) for block in blocks]


@pytest.fixture(scope="module")
def arrays(page):
    with np.load(io.BytesIO(page[0])) as archive:
        return dict(archive)


@pytest.fixture(scope="module")
def tables(page, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "codec.npz"
    path.write_bytes(page[0])
    return load_tables(path)


def test_the_page_s_files_are_what_it_says(page, arrays):
    text = " ".join(PAGE.read_text(encoding="utf-8").split())
    assert len(page) == 4
    file, z = decoded(page[1], arrays)
    assert (file.version, file.quality, file.decoder_id) == (2, 10, bytes([1, 2, 3, 4]))
    assert z.tolist() == [[-0.5, 12], [0.25, -8], [0, 8]]
    assert "latents [-0.5, 12], [0.25, -8] and [0, 8]." in text
    assert file.labels == [3, 200, 0]
    assert file.names == ["cat/1.png", "cat/2.png", "dog/é.png"]
    file, z = decoded(page[2], arrays)
    assert (file.version, file.quality, z.shape, len(file.codes), z[-1].tolist()) == (1, 9, (65, 2), 2, [0, 8])
    file, images = decoded(page[3], arrays)
    assert (file.version, file.quality, images.shape, len(file.codes)) == (1, 0, (17, 2, 3), 2)
    assert f"the first is {images[0].tolist()}, the last {images[-1].tolist()}." in text


def test_pocketvae_reads_and_writes_the_page_s_files(page, arrays, tables):
    for data in page[1:3]:
        stream, (file, z) = unpack(data, "x"), decoded(data, arrays)
        assert stream.tables_id == file.tables_id == tables.id
        symbols = decode_symbols(list(stream.codes), stream.count, tables.latents, stream.quality)
        assert np.array_equal(tables.latents.latents(symbols, stream.quality), z)
        assert encode_symbols(tables.latents.symbols(z, stream.quality), tables.latents, stream.quality) == [
            *stream.codes
        ]
        assert list(unpack_names(stream.names, 3)) == file.names
    stream, (_, images) = unpack(page[3], "x"), decoded(page[3], arrays)
    assert np.array_equal(decode_pixels(list(stream.codes), stream.count, tables.network), images)
    assert encode_pixels(images, tables.network) == [*stream.codes]


def test_the_rest_goes_to_the_largest_frequency_and_not_to_the_largest_count(arrays, tables):
    counts = arrays["latent_counts"][0].astype(int)
    sums = [*(counts[:1].sum(), *counts[1:].reshape(-1, 2).sum(axis=1))]
    frequencies, lowest = frequencies_of(counts, 2)
    assert (lowest, len(sums)) == (-2, 6)
    assert (int(np.argmax(sums)), int(np.argmax(frequencies))) == (3, 2)
    assert frequencies == [1, 1, 8192, 8188, 1, 1] == tables.latents.frequencies(10)[0].tolist()
