import pytest

from pocketvae.export.embed.tensor_docs import tensor_doc
from pocketvae.spec import Component, TensorSpec
from pocketvae.vae_spec import PriorKind, VaeSpec, class_label, vector_latent

COLOUR = VaeSpec(
    data_shape=(8, 12, 3),
    latents=vector_latent(2),
    data_range=(-1.0, 1.0),
    conditions=class_label(5),
    prior=PriorKind.REALNVP,
)


def meaning(name, component, vae, dtype="float32"):
    found = tensor_doc(TensorSpec(name=name, dtype=dtype, shape=(1, 2)), component, vae)
    return found.meaning, found.unit, found.range


POSTERIOR = {
    "z_mean": ("mean of the posterior q(z|x)", "1", None),
    "z_log_var": ("logarithm of the variance of the posterior q(z|x)", "nats", None),
}
LABEL = {"label": ("class of the image", "class number", (0.0, 4.0))}
IMAGE = {
    "image": (
        "the decoded image: 12x8, red, green, blue, rows, columns, channels",
        "pixel, -1 black to 1 white",
        (-1, 1),
    )
}
LATENT = {"z": ("latent vector; draw it from the realnvp prior to generate", "1", None)}
INT32 = (-(2.0**31), 2.0**31 - 1)
STREAM = {
    "seed": ("selects a stream of images", "1", INT32),
    "index": ("position in the stream of images", "1", INT32),
}
ITEM = "12x8, red, green, blue, rows, columns, channels"
PIXEL = ("pixel, -1 black to 1 white", (-1, 1))
EXPECTED = {
    Component.RECONSTRUCTOR: {
        "x": (f"the image to reconstruct: {ITEM}", *PIXEL),
        **LABEL,
        "image": (f"the reconstructed image: {ITEM}", *PIXEL),
    },
    Component.SCORER: {
        "x": (f"the image to score: {ITEM}", *PIXEL),
        **LABEL,
        "score": ("how unlike the training data the image is; higher is stranger", "nats", None),
        "alarm": ("1 if the score is above the threshold or no number, else 0", "1", (0.0, 1.0)),
        "contributions": ("each channel's part of the score, without the part of the posterior", "nats", None),
    },
    Component.ENCODER: {
        "x": (
            "the image to encode: 12x8, red, green, blue, rows, columns, channels",
            "pixel, -1 black to 1 white",
            (-1, 1),
        ),
        **LABEL,
        **POSTERIOR,
    },
    Component.DECODER: {**LATENT, **LABEL, **IMAGE},
    Component.PRIOR: {"eps": ("standard normal noise, which the prior turns into a latent", "1", None), **LATENT},
    Component.SAMPLER: {**STREAM, **LATENT},
    Component.GENERATOR: {**STREAM, **LABEL, **IMAGE},
}


@pytest.mark.parametrize("component", Component)
def test_every_tensor_of_every_component_is_described(component):
    names = [*(value.name for value in COLOUR.inputs(component)), *COLOUR.output_names(component)]
    assert {name: meaning(name, component, COLOUR) for name in names} == EXPECTED[component]


def test_images_are_described_by_size_colours_and_range():
    assert meaning("image", Component.DECODER, COLOUR) == (
        "the decoded image: 12x8, red, green, blue, rows, columns, channels",
        "pixel, -1 black to 1 white",
        (-1.0, 1.0),
    )
    flat = VaeSpec(data_shape=(4, 4, 2), latents=vector_latent(3), flat=(Component.DECODER,), range_is_strict=False)
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
