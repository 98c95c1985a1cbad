import numpy as np
import pytest
from skimage.metrics import structural_similarity

from pocketvae.numerics.ssim import ssim


def by_definition(x, y, span=1.0):
    """SSIM of two [H, W] images, window by window, as the paper writes it."""
    size = min(11, *(side if side % 2 else side - 1 for side in x.shape))
    offsets = np.arange(size) - size // 2
    weights = np.exp(-(offsets[:, None] ** 2 + offsets[None] ** 2) / (2 * 1.5**2))
    weights /= weights.sum()
    c1, c2 = (0.01 * span) ** 2, (0.03 * span) ** 2
    values = []
    for top in range(x.shape[0] - size + 1):
        for left in range(x.shape[1] - size + 1):
            a, b = (image[top : top + size, left : left + size] for image in (x, y))
            mu_a, mu_b = (weights * a).sum(), (weights * b).sum()
            var_a, var_b = (weights * (a - mu_a) ** 2).sum(), (weights * (b - mu_b) ** 2).sum()
            covariance = (weights * (a - mu_a) * (b - mu_b)).sum()
            values.append(
                (2 * mu_a * mu_b + c1) * (2 * covariance + c2) / ((mu_a**2 + mu_b**2 + c1) * (var_a + var_b + c2))
            )
    return np.mean(values)


@pytest.mark.parametrize("shape", [(28, 28), (16, 13), (11, 11), (7, 6), (1, 4)])
@pytest.mark.parametrize("span", [1.0, 2.0])
def test_it_is_the_definition(shape, span):
    rng = np.random.default_rng(0)
    x = rng.random((3, *shape, 2)) * span
    y = np.clip(x + rng.normal(0, 0.1, x.shape), 0, span)
    expected = [np.mean([by_definition(x[i, ..., c], y[i, ..., c], span) for c in range(2)]) for i in range(3)]
    assert ssim(x, y, span=span) == pytest.approx(expected, abs=1e-12)


def test_sides_of_more_than_one_tile_are_the_definition_too():
    rng = np.random.default_rng(0)
    x, y = rng.random((2, 1, 76, 75, 1))
    assert ssim(x, y) == pytest.approx([np.mean(by_definition(x[0, ..., 0], y[0, ..., 0], 1.0))], abs=1e-12)


def test_many_images_are_the_same_as_each_alone():
    rng = np.random.default_rng(0)
    x, y = rng.random((2, 9, 128, 128, 1))
    assert ssim(x, y) == pytest.approx([ssim(x[i : i + 1], y[i : i + 1])[0] for i in range(9)], abs=1e-12)


def test_equal_images_are_one_and_inverted_ones_are_far_from_it():
    x = np.random.default_rng(0).random((2, 20, 20, 1)).astype(np.float32)
    assert ssim(x, x) == pytest.approx([1, 1], abs=1e-12)
    assert (ssim(x, 1 - x) < 0).all()


@pytest.mark.slow
def test_it_is_what_tensorflow_computes():
    tf = pytest.importorskip("tensorflow")
    rng = np.random.default_rng(1)
    x = rng.random((4, 28, 28, 3)).astype(np.float32)
    y = np.clip(x + rng.normal(0, 0.05, x.shape), 0, 1).astype(np.float32)
    assert ssim(x, y) == pytest.approx(tf.image.ssim(x, y, 1.0).numpy(), abs=1e-5)


@pytest.mark.parametrize(("shape", "channels"), [((28, 28), 1), ((11, 11), 1), ((70, 131), 3)])
@pytest.mark.parametrize("span", [1.0, 2.0])
def test_it_is_what_scikit_image_computes(shape, channels, span):
    rng = np.random.default_rng(2)
    x = rng.random((2, *shape, channels)) * span
    y = np.clip(x + rng.normal(0, 0.1, x.shape), 0, span)
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": span}
    expected = [structural_similarity(a, b, channel_axis=-1, **options) for a, b in zip(x, y, strict=True)]
    # Both compute in float64: variances are differences of two numbers near 1, and the constant c2 = 9e-4 in the
    # denominator enlarges their rounding of 1e-16 about a thousand times.
    assert ssim(x, y, span=span) == pytest.approx(expected, abs=1e-12)
