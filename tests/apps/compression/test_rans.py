"""The entropy coder: exact, nearly as short as the entropy, and never reading beyond its end."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketvae.apps.compression import rans
from pocketvae.apps.compression.rans import TOTAL, RansDecoder, RansEncoder
from pocketvae.errors import DataError


def coded(bits, ones):
    """Encodes `[lanes, N]` bits, each with its own probability."""
    encoder = RansEncoder(len(bits), bits.shape[1])
    lanes = np.arange(len(bits))
    for column in reversed(range(bits.shape[1])):
        encoder.push_bits(lanes, bits[:, column], ones[:, column])
    return encoder.finish()


def decoded(codes, ones):
    decoder = RansDecoder(codes)
    lanes = np.arange(len(codes))
    bits = np.stack([decoder.pop_bits(lanes, ones[:, column]) for column in range(ones.shape[1])], axis=1)
    decoder.check_finished()
    return bits


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 200))
def test_what_goes_in_comes_out(seed, lanes, count):
    rng = np.random.default_rng(seed)
    ones = rng.choice([1, 2, 100, TOTAL // 2, TOTAL - 2, TOTAL - 1, int(rng.integers(1, TOTAL))], (lanes, count))
    bits = rng.random((lanes, count)) < rng.choice([0.0, 0.5, 1.0])
    code = coded(bits, ones)
    assert np.array_equal(decoded(code, ones), bits)
    # Lanes one by one, and all at once: the same bytes, read either way.
    for few in (0, lanes):
        with pytest.MonkeyPatch.context() as changed:
            changed.setattr(rans, "_FEW", few)
            assert coded(bits, ones) == code
            assert np.array_equal(decoded(code, ones), bits)


@pytest.mark.parametrize("probability", [0.001, 0.1, 0.5, 0.97])
def test_the_code_is_as_short_as_the_entropy(probability):
    rng = np.random.default_rng(1)
    count = 20_000
    ones = np.full((1, count), round(probability * TOTAL))
    bits = rng.random((1, count)) < probability
    share = ones[0, 0] / TOTAL
    information = -np.where(bits, np.log2(share), np.log2(1 - share)).sum()
    (code,) = coded(bits, ones)
    assert information < 8 * len(code) < information * 1.002 + 40


def test_the_code_is_as_short_as_that_of_constriction():
    constriction = pytest.importorskip("constriction", reason="constriction is not installed")
    rng = np.random.default_rng(2)
    share = 0.2
    symbols = (rng.random(20_000) < share).astype(np.int32)
    reference = constriction.stream.stack.AnsCoder()
    reference.encode_reverse(symbols, constriction.stream.model.Bernoulli(perfect=False), np.full(len(symbols), share))
    ours = coded(symbols[None].astype(bool), np.full((1, len(symbols)), round(share * TOTAL)))
    assert len(ours[0]) < reference.num_bits() / 8 * 1.002 + 4


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=40))
def test_foreign_bytes_are_decoded_or_refused_and_nothing_else(data):
    ones = np.full((1, 100), TOTAL // 3)
    try:
        decoded([data], ones)
    except DataError:
        return
    assert coded(decoded([data], ones), ones) == [data]


def test_a_truncated_code_is_refused():
    ones = np.full((1, 400), TOTAL // 2)
    bits = np.random.default_rng(0).random((1, 400)) < 0.5
    (code,) = coded(bits, ones)
    with pytest.raises(DataError, match="ends too early"):
        decoded([code[:-2]], ones)
    with pytest.raises(DataError, match="impossible length"):
        decoded([code[:-1]], ones)
    with pytest.raises(DataError, match="does not end where it should"):
        decoded([code + b"\0\0"], ones)


def test_the_format_is_this():
    ones = np.array([[8192, 100, 16000, 1]])
    assert coded(np.array([[True, False, True, False]]), ones)[0].hex() == FROZEN


FROZEN = "f9070200"
