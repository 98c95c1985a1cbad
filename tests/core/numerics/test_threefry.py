import numpy as np
import pytest

from pocketvae.numerics.threefry import NumpyArithmetic, threefry2x32

# Random123's kat_vectors, threefry2x32 with 20 rounds: counter, key, result.
KNOWN_ANSWERS = [
    ((0x00000000, 0x00000000), (0x00000000, 0x00000000), (0x6B200159, 0x99BA4EFE)),
    ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
    ((0x243F6A88, 0x85A308D3), (0x13198A2E, 0x03707344), (0xC4923A9C, 0x483DF7A0)),
]
MASK = 0xFFFFFFFF


class IntegerArithmetic:
    """Words as Python's integers, which do not wrap around by themselves."""

    def add(self, word, other):
        return (word + other) & MASK

    def xor(self, word, other):
        return word ^ other

    def rotate(self, word, bits):
        return (word << bits | word >> (32 - bits)) & MASK


def words(*values):
    return tuple(np.array([value], np.uint32) for value in values)


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN_ANSWERS)
def test_the_published_answers_come_out(counter, key, expected):
    assert threefry2x32(IntegerArithmetic(), key, counter) == expected
    result = threefry2x32(NumpyArithmetic(), words(*key), words(*counter))
    assert tuple(int(word[0]) for word in result) == expected


def test_a_constant_in_the_key_is_the_same_as_a_word():
    counter = words(5, 6)
    constant = threefry2x32(NumpyArithmetic(), (words(9)[0], 0), counter)
    np.testing.assert_array_equal(constant, threefry2x32(NumpyArithmetic(), words(9, 0), counter))


def test_shapes_broadcast():
    column, row = np.arange(3, dtype=np.uint32)[:, None], np.arange(4, dtype=np.uint32)[None]
    first, _ = threefry2x32(NumpyArithmetic(), (column, 0), (column, row))
    assert first.shape == (3, 4)
    assert first[2, 3] == threefry2x32(NumpyArithmetic(), words(2, 0), words(2, 3))[0][0]


@pytest.mark.parametrize("changed", ["seed", "index", "block"])
def test_one_bit_of_the_input_changes_half_of_the_output(changed):
    rng = np.random.default_rng(0)
    inputs = {name: rng.integers(0, 2**32, 2000, dtype=np.uint32) for name in ("seed", "index", "block")}
    shares = []
    for bit in range(32):
        other = {**inputs, changed: inputs[changed] ^ np.uint32(1 << bit)}
        results = [threefry2x32(NumpyArithmetic(), (x["seed"], 0), (x["index"], x["block"])) for x in (inputs, other)]
        flipped = np.bitwise_count(np.stack(results[0]) ^ np.stack(results[1]))
        shares.append(flipped.mean() / 32)
    # 4,000 words of 32 bits: a standard deviation of 0.0014.
    assert np.abs(np.array(shares) - 0.5).max() < 0.006
