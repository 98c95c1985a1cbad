import pytest

from pocketvae.export.embed.tensor_docs import tensor_doc
from pocketvae.spec import Component, PriorKind, TensorSpec, VaeSpec

COLOUR = VaeSpec(image_shape=(8, 12, 3), latent_dim=2, image_range=(-1.0, 1.0), label_count=5, prior=PriorKind.REALNVP)


@pytest.mark.parametrize("component", Component)
@pytest.mark.parametrize("vae", [COLOUR, VaeSpec(image_shape=(4, 4, 2), latent_dim=3, flat=(Component.DECODER,))])
def test_every_tensor_of_every_component_has_a_meaning(component, vae):
    names = [spec.name for spec in vae.inputs(component)] + list(vae.output_names(component))
    for name in names:
        found = tensor_doc(TensorSpec(name=name, dtype="float32", shape=(1, 2)), component, vae)
        assert found.meaning
        assert found.unit


def meaning(name, component, vae, dtype="float32"):
    found = tensor_doc(TensorSpec(name=name, dtype=dtype, shape=(1, 2)), component, vae)
    return found.meaning, found.unit, found.range


def test_images_are_described_by_size_colours_and_range():
    assert meaning("image", Component.DECODER, COLOUR) == (
        "the decoded image: 12x8, red, green, blue, rows, columns, channels",
        "pixel, -1 black to 1 white",
        (-1.0, 1.0),
    )
    flat = VaeSpec(image_shape=(4, 4, 2), latent_dim=3, flat=(Component.DECODER,), range_is_strict=False)
    assert meaning("image", Component.GENERATOR, flat) == (
        "the decoded image: 4x4, 2 channels, one vector, row by row",
        "pixel, 0 black to 1 white",
        None,
    )


def test_an_image_of_bytes_has_their_range():
    assert meaning("image", Component.DECODER, COLOUR, "uint8")[1:] == ("pixel, 0 black to 255 white", (0.0, 255.0))


def test_a_latent_comes_from_its_prior():
    assert meaning("z", Component.DECODER, COLOUR)[0] == "latent vector; draw it from the realnvp prior to generate"
    assert meaning("label", Component.DECODER, COLOUR)[2] == (0.0, 4.0)
