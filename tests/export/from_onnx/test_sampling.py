"""The sampling of a VAE is found by structure."""

import pytest

from pocketvae.export.from_onnx.folding import fold
from pocketvae.export.from_onnx.sampling import find_samplings, random_outputs
from pocketvae.keras.model_form import Role
from tests.onnx_files import conv_encoder, whole_vae


@pytest.mark.parametrize(("scale", "role", "spread"), [(0.5, Role.LOG_VAR, "logvar"), (1.0, Role.LOG_STD, "hv")])
def test_mean_and_spread_are_found(scale, role, spread):
    made = whole_vae(scale)
    fold(made)
    (found,) = find_samplings(made.graph)
    assert found is not None
    assert (found.latent, found.mean, found.spread, found.role) == ("z", "mu", spread, role)


def test_what_is_drawn_is_told_from_what_is_not():
    assert random_outputs(conv_encoder(draws=True, outputs=("mu", "logvar", "z")).graph) == [2]
    assert find_samplings(conv_encoder().graph) == []
