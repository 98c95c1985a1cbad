import itertools
from statistics import NormalDist

import numpy as np
import pytest
from scipy import special

from pocketvae.errors import SpecError
from pocketvae.numerics import noise as noise_module
from pocketvae.numerics.noise import block_count, normal_noise, normal_table, uniform_codes

EXTREMES = (-(2**31), -1, 0, 1, 2**31 - 1)
MASK = 0xFFFFFFFF


def scalar_noise(seed, index, dim):
    """The definition once more, for one pair, in Python's integers and written out differently."""
    blocks = []
    for block in range((dim + 1) // 2):
        key = [seed & MASK, 0, (seed & MASK) ^ 0x1BD11BDA]
        x = [(index + key[0]) & MASK, (block + key[1]) & MASK]
        for round_ in range(20):
            bits = [13, 15, 26, 6, 17, 29, 16, 24][round_ % 8]
            x[0] = (x[0] + x[1]) & MASK
            x[1] = ((x[1] << bits | x[1] >> (32 - bits)) & MASK) ^ x[0]
            if round_ % 4 == 3:
                step = round_ // 4 + 1
                x[0] = (x[0] + key[step % 3]) & MASK
                x[1] = (x[1] + key[(step + 1) % 3] + step) & MASK
        blocks.append(x)
    words = [x[0] for x in blocks] + [x[1] for x in blocks]
    values = []
    for word in words[:dim]:
        position = word >> 18 & 0x1FFF
        values.append(-normal_table()[0x1FFF - position] if word >> 31 else normal_table()[position])
    return np.array(values, np.float32)


@pytest.mark.parametrize("dim", [1, 2, 5, 16])
def test_the_noise_is_as_defined(dim):
    rng = np.random.default_rng(dim)
    pairs = [*itertools.product(EXTREMES, repeat=2), *rng.integers(-(2**31), 2**31, (50, 2)).tolist()]
    seeds, indices = np.array(pairs).T
    expected = np.stack([scalar_noise(seed, index, dim) for seed, index in pairs])
    assert normal_noise(seeds, indices, dim).tobytes() == expected.tobytes()


def test_the_first_values_never_change():
    # Somebody's seed must give the same images in every version.
    noise = normal_noise(7, [0, -1], 3)
    assert noise.dtype == np.float32
    expected = [[-0.23146243, 0.6100796, -0.7216332], [-0.500794, -0.17445076, -1.0741044]]
    np.testing.assert_array_equal(noise, np.array(expected, np.float32))


def test_one_seed_serves_many_indices_and_one_index_many_seeds():
    indices = np.arange(-3, 3)
    np.testing.assert_array_equal(normal_noise(4, indices, 6), normal_noise(np.full(6, 4), indices, 6))
    np.testing.assert_array_equal(normal_noise(indices, 4, 6)[2], normal_noise(-1, 4, 6)[0])


def test_any_value_is_computed_by_itself():
    whole = normal_noise(3, np.arange(1000), 10)
    np.testing.assert_array_equal(normal_noise(3, 777, 10)[0], whole[777])
    assert block_count(10) == block_count(9) == 5


@pytest.mark.parametrize("bad", [2**31, -(2**31) - 1, 0.5, [[1]], [], np.zeros(0, np.int32), "1"])
def test_what_is_no_32_bit_integer_is_refused(bad):
    with pytest.raises(
        SpecError, match=r"seed must be an integer from -2\^31 to 2\^31 - 1, or a list of such integers, got"
    ):
        normal_noise(bad, 0, 2)
    with pytest.raises(SpecError, match="index must be an integer"):
        normal_noise(0, bad, 2)


def test_codes_are_equally_likely_and_can_be_computed_by_themselves():
    codes = uniform_codes(3, np.arange(2000), 5, 7)
    assert codes.dtype == np.int32
    assert codes.shape == (2000, 5)
    counts = np.bincount(codes.ravel(), minlength=7)
    assert len(counts) == 7
    assert np.abs(counts - 10_000 / 7).max() < 150
    np.testing.assert_array_equal(uniform_codes(3, 17, 5, 7), codes[17:18])
    each = uniform_codes(3, np.arange(2000), 5, np.array([7, 3, 7, 7, 3], np.int32))
    np.testing.assert_array_equal(each[:, [0, 2, 3]], codes[:, [0, 2, 3]])
    assert set(each[:, 1].tolist()) == {0, 1, 2}
    assert uniform_codes(-1, [2**31 - 1], 4, 2**15).max() < 2**15


def test_noise_without_extent_is_refused():
    with pytest.raises(SpecError, match="dim must be at least 1, got 0"):
        normal_noise(0, 0, 0)


def test_a_machine_with_other_quantiles_is_refused(monkeypatch):
    monkeypatch.setattr(noise_module, "_TABLE_SHA256", "another")
    with pytest.raises(SpecError, match="table of normal quantiles differs on this machine"):
        normal_table.__wrapped__()


def test_the_table_is_the_upper_half_of_the_normal_distribution():
    table = normal_table().astype(np.float64)
    assert table.shape == (8192,)
    assert (np.diff(table) > 0).all()
    assert 4.008 < table[-1] < 4.009
    assert not normal_table().flags.writeable


def test_the_table_s_resolution_is_as_documented():
    table = normal_table().astype(np.float64)
    values = np.concatenate([-table[::-1], table])
    exact = np.array([NormalDist().cdf(value) for value in values])
    steps = np.arange(len(values) + 1) / len(values)
    assert max(np.abs(exact - steps[1:]).max(), np.abs(exact - steps[:-1]).max()) < 3.1e-5
    assert np.mean(values**2) == pytest.approx(0.99992, abs=1e-5)
    assert np.mean(values**4) == pytest.approx(3, abs=0.004)


@pytest.fixture(scope="module")
def sample():
    """65,536 images of 16 dimensions: a million values."""
    return normal_noise(20240607, np.arange(65_536), 16)


def score(statistic, mean, variance):
    """How many standard deviations a statistic is off."""
    return (statistic - mean) / np.sqrt(variance)


def test_moments(sample):
    values = sample.astype(np.float64).ravel()
    for power, mean, variance in ((1, 0, 1), (2, 0.99992, 2), (3, 0, 15), (4, 2.9969, 96)):
        assert abs(score(np.mean(values**power), mean, variance / len(values))) < 4
    assert sample.min() < -3.9
    assert sample.max() > 3.9


def test_kolmogorov_smirnov_distance(sample):
    table = normal_table()
    support = np.concatenate([-table[::-1], table])
    counts = np.bincount(np.searchsorted(support, sample.ravel()), minlength=len(support))
    empirical = np.cumsum(counts) / sample.size
    exact = np.array([NormalDist().cdf(float(value)) for value in support])
    # The middle of a step is what the table's entries stand for; 1.95 is the critical value at 0.1 per cent.
    distance = np.abs(empirical - 0.5 / len(support) - exact).max()
    assert distance * np.sqrt(sample.size) < 1.95


def test_every_value_of_the_table_is_equally_likely(sample):
    counts = np.unique(sample, return_counts=True)[1]
    expected = sample.size / 16384
    assert len(counts) == 16384
    chi_square = ((counts - expected) ** 2 / expected).sum()
    assert abs(score(chi_square, 16383, 2 * 16383)) < 4


def pairs_chi_square(a, b, bins=16):
    """Chi-square of independence of two equally long samples, in cells of equal probability."""
    edges = [NormalDist().inv_cdf(i / bins) for i in range(1, bins)]
    cells = np.bincount(np.searchsorted(edges, a) * bins + np.searchsorted(edges, b), minlength=bins * bins)
    expected = len(a) / bins**2
    return score(((cells - expected) ** 2 / expected).sum(), bins**2 - 1, 2 * (bins**2 - 1))


def test_dimensions_are_independent(sample):
    count, dim = sample.shape
    correlations = np.corrcoef(sample.T) - np.eye(dim)
    squares = np.corrcoef(np.square(sample).T) - np.eye(dim)
    # Of 240 correlations, one of 4.5 standard deviations turns up once in 600 tries.
    assert np.abs([correlations, squares]).max() * np.sqrt(count) < 4.5
    # Both words of one block, and the same word of neighbouring blocks.
    assert max(abs(pairs_chi_square(sample[:, i], sample[:, j])) for i, j in ((0, 8), (3, 11), (0, 1), (8, 9))) < 4


@pytest.mark.parametrize("lag", [1, 2, 256, 4096])
def test_indices_are_independent(sample, lag):
    assert abs(pairs_chi_square(sample[:-lag, 5], sample[lag:, 5])) < 4
    assert abs(np.corrcoef(sample[:-lag].ravel(), sample[lag:].ravel())[0, 1]) * np.sqrt(sample.size) < 4


@pytest.mark.parametrize(("seed", "other"), [(0, 1), (0, -1), (1, 2), (5, 5 + 2**16), (-(2**31), 2**31 - 1)])
def test_seeds_are_independent(seed, other):
    indices = np.arange(32_768)
    a, b = normal_noise(seed, indices, 8), normal_noise(other, indices, 8)
    assert abs(pairs_chi_square(a.ravel(), b.ravel())) < 4
    # Nor is one seed's stream the other's, moved by the difference of the seeds.
    assert abs(pairs_chi_square(a[1:].ravel(), b[:-1].ravel())) < 4


def test_seed_and_index_are_not_interchangeable():
    numbers = np.arange(1, 40_001)
    a, b = normal_noise(0, numbers, 8), normal_noise(numbers, 0, 8)
    assert abs(pairs_chi_square(a.ravel(), b.ravel())) < 4
    # A stream across seeds is as good as one along indices.
    assert abs(pairs_chi_square(b[:-1].ravel(), b[1:].ravel())) < 4


def test_no_two_images_are_alike():
    noise = normal_noise(np.repeat(np.arange(-50, 50), 100), np.tile(np.arange(-50, 50), 100), 4)
    assert len(np.unique(noise, axis=0)) == 10_000


def test_the_table_is_that_of_scipy():
    probabilities = 0.5 + (np.arange(8192) + 0.5) / 16384
    expected = special.ndtri(probabilities).astype(np.float32)
    # Both algorithms are good to about 1e-15, so that rounding to float32 may differ by its last unit at the most.
    np.testing.assert_array_max_ulp(normal_table(), expected, maxulp=1)
