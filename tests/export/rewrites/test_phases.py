"""Up-sampling operators as convolutions, against their definitions written out in numpy."""

import numpy as np
import pytest

from pocketvae.export.rewrites.phases import of_resized_convolution, of_shuffled_convolution, of_transposed_convolution

RNG = np.random.default_rng(0)


def transposed(x, kernel, stride, offset, size):
    """The definition: every input pixel adds its kernel to the output."""
    reach = [(n - 1) * s + k for n, s, k in zip(x.shape, stride, kernel.shape, strict=False)]
    canvas = np.zeros((*(max(r, o + p) for r, o, p in zip(reach, size, offset, strict=True)), kernel.shape[3]))
    for i, j in np.ndindex(x.shape[:2]):
        y, x0 = i * stride[0], j * stride[1]
        canvas[y : y + kernel.shape[0], x0 : x0 + kernel.shape[1]] += np.einsum("abcd,c->abd", kernel, x[i, j])
    return canvas[offset[0] : offset[0] + size[0], offset[1] : offset[1] + size[1]]


def convolve(x, window):
    (top, left), (bottom, right) = window.before, window.after
    pads = [(max(0, a), max(0, b)) for a, b in ((top, bottom), (left, right))]
    x = np.pad(x, [*pads, (0, 0)])
    x = x[max(0, -top) : len(x) - max(0, -bottom), max(0, -left) : x.shape[1] - max(0, -right)]
    height, width = window.kernel.shape[:2]
    shape = x.shape[0] - height + 1, x.shape[1] - width + 1
    taps = [
        np.einsum("yxc,cd->yxd", x[a : a + shape[0], b : b + shape[1]], window.kernel[a, b])
        for a, b in np.ndindex(height, width)
    ]
    return sum(taps)


def by_phases(x, phases):
    """What the rewritten graph does: a convolution for each place of a block, put where it belongs."""
    (rows, columns), (height, width) = phases.stride, phases.blocks
    image = np.zeros((height * rows, width * columns, phases.channels))
    for row, column in np.ndindex(rows, columns):
        image[row::rows, column::columns] = convolve(x, phases.window([row], [column])) + phases.bias[row, column]
    return image[: phases.output_size[0], phases.skip[1] : phases.skip[1] + phases.output_size[1]]


def random(*shape):
    return RNG.normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("kernel", [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 6), (3, 4), (7, 2)])
@pytest.mark.parametrize("stride", [(2, 2), (3, 3), (1, 2), (2, 1), (2, 3), (4, 4)])
@pytest.mark.parametrize("size", [(1, 1), (3, 3), (2, 5)])
@pytest.mark.parametrize("padding", ["same", "valid", "odd"])
def test_a_transposed_convolution_by_phases_is_its_definition(kernel, stride, size, padding):
    weights, x = random(*kernel, 2, 3), random(*size, 2)
    totals = [max(0, k - s) for k, s in zip(kernel, stride, strict=True)]
    offset, output = (totals[0] // 2, totals[1] // 2), (size[0] * stride[0], size[1] * stride[1])
    if padding != "same":
        extra = 0 if padding == "valid" else 1
        offset = 0, 0
        output = tuple((n - 1) * s + k + extra for n, s, k in zip(size, stride, kernel, strict=True))
    phases = of_transposed_convolution(weights, stride, offset, size, output)
    expected = transposed(x, weights.astype(np.float64), stride, offset, output)
    np.testing.assert_allclose(by_phases(x, phases), expected, atol=1e-5)
    np.testing.assert_allclose(by_phases(x, phases.with_fewest_columns()), expected, atol=1e-5)


@pytest.mark.parametrize("kernel", [(3, 3), (1, 1), (5, 5), (2, 3)])
@pytest.mark.parametrize("factor", [(2, 2), (3, 1), (2, 4)])
def test_repeated_pixels_and_a_convolution_are_one_operator(kernel, factor):
    weights, x = random(*kernel, 2, 3), random(3, 4, 2)
    pad = (kernel[0] - 1) // 2, (kernel[1] - 1) // 2
    large = x.repeat(factor[0], 0).repeat(factor[1], 1)
    amounts = [(p, k - 1 - p) for p, k in zip(pad, kernel, strict=True)]
    padded = np.pad(large, [*amounts, (0, 0)])
    expected = sum(
        np.einsum("yxc,cd->yxd", padded[a : a + len(large), b : b + large.shape[1]], weights[a, b])
        for a, b in np.ndindex(kernel)
    )
    phases = of_resized_convolution(weights, factor, pad, x.shape[:2], large.shape[:2])
    np.testing.assert_allclose(by_phases(x, phases), expected, atol=1e-5)


def test_a_shuffled_convolution_is_split_by_its_channels():
    weights, x = random(2, 2, 3, 8), random(4, 5, 3)
    padded = np.pad(x, [(0, 1), (0, 1), (0, 0)])
    convolved = sum(np.einsum("yxc,cd->yxd", padded[a : a + 4, b : b + 5], weights[a, b]) for a, b in np.ndindex(2, 2))
    expected = convolved.reshape(4, 5, 2, 2, 2).transpose(0, 2, 1, 3, 4).reshape(8, 10, 2)
    phases = of_shuffled_convolution(weights, 2, (0, 0), (4, 5), (8, 10))
    np.testing.assert_allclose(by_phases(x, phases), expected, atol=1e-5)


def test_the_phases_of_a_kernel_need_no_more_taps_than_it_has():
    for length in (2, 3, 4, 5):
        offset = max(0, length - 2) // 2
        kernel = random(length, length, 1, 1)
        phases = of_transposed_convolution(kernel, (2, 2), (offset, offset), (4, 4), (8, 8))
        taps = sum(phases.window([row], [column]).kernel.size for row, column in np.ndindex(2, 2))
        assert taps == length**2


def test_a_kernel_of_four_needs_no_third_column_when_blocks_are_moved():
    phases = of_transposed_convolution(random(4, 4, 1, 1), (2, 2), (1, 1), (7, 7), (14, 14))
    assert phases.window([0], [0, 1]).kernel.shape[:2] == (2, 3)
    moved = phases.with_fewest_columns()
    assert moved.window([0], [0, 1]).kernel.shape[:2] == (2, 2)
    assert moved.blocks == (7, 8)
    assert moved.skip == (0, 1)


def test_scales_and_shifts_reach_filters_and_biases():
    weights, x = random(3, 3, 2, 2), random(3, 3, 2)
    phases = of_transposed_convolution(weights, (2, 2), (0, 0), (3, 3), (6, 6))
    scale, shift = np.array([2.0, -3.0]), np.array([0.5, 1.0])
    twice = phases.scaled(scale, shift).scaled(scale, shift)
    expected = (by_phases(x, phases) * scale + shift) * scale + shift
    np.testing.assert_allclose(by_phases(x, twice), expected, atol=1e-5)
