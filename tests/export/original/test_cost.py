import pytest

from pocketvae.export.original.cost import affordable
from pocketvae.vae_spec import VaeSpec, vector_latent


@pytest.mark.parametrize(
    ("side", "parameters", "count"),
    [(28, 1_000_000, 64), (256, 2_000_000, 64), (512, 20_000_000, 40), (512, 50_000_000, 16), (2048, 10**9, 2)],
)
def test_a_model_whose_call_takes_seconds_is_run_on_fewer_samples(side, parameters, count):
    vae = VaeSpec(data_shape=(side, side, 3), latents=vector_latent(4))
    assert affordable(64, 2, parameters, vae) == count
    assert affordable(1, 2, parameters, vae) == 1
