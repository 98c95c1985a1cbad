"""What a distillation leaves behind."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from pocketvae.distil.outputs import export_command
from pocketvae.vae_spec import Likelihood, VaeSpec, vector_latent


@pytest.mark.parametrize(
    ("data_range", "is_strict", "stated"),
    [
        ((0.0, 1.0), True, "--decoder-output probabilities"),
        ((-1.0, 1.0), True, "--decoder-output tanh"),
        ((0.0, 1.0), False, "--decoder-output image"),
        # Neither name has such a range: export finds it in the layers.
        ((0.0, 255.0), True, ""),
        ((0.2, 0.7), True, ""),
    ],
)
def test_the_command_states_no_range_that_the_student_does_not_have(data_range, is_strict, stated):
    vae = VaeSpec(
        data_shape=(4, 4, 1),
        latents=vector_latent(2),
        likelihood=Likelihood.UNKNOWN,
        data_range=data_range,
        range_is_strict=is_strict,
    )
    source = SimpleNamespace(vae=vae, bundle=None, model_path=lambda component: None)
    words = " ".join(
        word for word in ["pocketvae export --decoder out/decoder.keras", stated, "--out out-bundle"] if word
    )
    assert export_command(source, Path("out")) == words
