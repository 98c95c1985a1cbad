"""Latents in finer steps: the second layer is given what the first computes, in steps that 8 bits do not have."""

from __future__ import annotations

import numpy as np
import pytest

from pocketvae.export.convert.fine_latents import with_fine_latents
from pocketvae.export.quantize.measured import run_content
from pocketvae.formats.tflite.model import operator_name, read_model
from pocketvae.spec import Format
from tests.tflite_models import two_dense

RNG = np.random.default_rng(0)
FIRST, SECOND = RNG.integers(-100, 101, (3, 6)), RNG.integers(-100, 101, (5, 3))
Z = RNG.uniform(-3, 3, (200, 6)).astype(np.float32)


def outputs_of(content, z=Z):
    return run_content(Format.TFLITE, content, {"z": z})["image"]


@pytest.mark.parametrize("scales", [(0.02,), (0.02, 0.01, 0.03)])
def test_the_second_layer_sees_finer_steps(scales):
    content = two_dense(FIRST, SECOND, scales)
    rounded = 0.1 * np.round(Z.astype(np.float64) / 0.1)
    latent = rounded @ (FIRST.T * np.broadcast_to(scales, 3)) + 1
    exact = latent @ (0.01 * SECOND.T) - 2
    coarse, fine = (np.sqrt(np.mean((outputs_of(each) - exact) ** 2)) for each in (content, with_fine_latents(content)))
    assert fine < 0.6 * coarse
    assert fine < 0.11  # steps of 0.2 alone: 0.058


def test_what_is_beyond_the_range_is_cut_off_a_little_later():
    content = two_dense(np.full((1, 6), 100), np.full((1, 1), 10), (0.5,))
    far = np.stack([np.full(6, sign * 12, np.float32) for sign in (-1, 1)])
    np.testing.assert_allclose(outputs_of(content, far)[:, 0] + 2, [-5.12, 5.08], atol=0.11)
    np.testing.assert_allclose(outputs_of(with_fine_latents(content), far)[:, 0] + 2, [-6.4, 6.4], atol=0.15)


def test_an_activation_between_them_changes_nothing():
    content = two_dense(FIRST, SECOND, (0.02,), "RELU6")
    model = read_model(with_fine_latents(content))
    assert [operator_name(model, item) for item in model.subgraphs[0].operators] == ["FULLY_CONNECTED"] * 2
    np.testing.assert_array_equal(outputs_of(with_fine_latents(content)), outputs_of(content))
