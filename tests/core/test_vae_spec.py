import pytest

from pocketvae.errors import SpecError
from pocketvae.spec import Component
from pocketvae.vae_spec import Likelihood, PriorKind, VaeSpec, vector_latent


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data_shape": (0, 8, 1)}, "data_shape must be height, width, channels, each positive"),
        ({"latents": ()}, "latents must have different names"),
        ({"label_count": -1}, "label_count must be at least 0, got -1"),
    ],
)
def test_a_vae_without_extent_is_refused(changes, message):
    with pytest.raises(SpecError, match=message):
        VaeSpec(**{"data_shape": (8, 8, 1), "latents": vector_latent(2), **changes})


def test_a_vae_says_what_its_parts_take_and_return():
    vae = VaeSpec(
        data_shape=(8, 6, 3),
        latents=vector_latent(2),
        likelihood=Likelihood.DISCRETIZED_LOGISTIC,
        prior=PriorKind.VAMP,
        label_count=4,
    )
    shapes = {part: [(spec.name, spec.dtype, spec.shape) for spec in vae.inputs(part)] for part in vae.exports}
    assert shapes == {
        Component.ENCODER: [("x", "float32", (1, 8, 6, 3)), ("label", "int32", (1,))],
        Component.DECODER: [("z", "float32", (1, 2)), ("label", "int32", (1,))],
        Component.PRIOR: [("eps", "float32", (1, 3))],
        Component.SAMPLER: [("seed", "int32", (1,)), ("index", "int32", (1,))],
        Component.GENERATOR: [("seed", "int32", (1,)), ("index", "int32", (1,)), ("label", "int32", (1,))],
    }
    assert vae.likelihood.decoder_outputs == 2
    outputs = [("z_mean", "z_log_var"), ("image",), ("z",), ("z",), ("image",)]
    assert [vae.output_names(part) for part in vae.exports] == outputs


def test_a_standard_prior_is_no_component():
    vae = VaeSpec(data_shape=(8, 8, 1), latents=vector_latent(2))
    assert vae.components == (Component.ENCODER, Component.DECODER)
    assert vae.exports == (*vae.components, Component.SAMPLER, Component.GENERATOR)
    assert [part for part in vae.exports if part.is_composed] == [Component.SAMPLER, Component.GENERATOR]
    assert vae.eps_dim == vae.latent_dim
