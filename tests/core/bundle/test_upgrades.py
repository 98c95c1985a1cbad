"""Interfaces as older documents state them."""

from pocketvae.bundle.upgrades import with_conditions, with_named_latents
from pocketvae.documents import from_data
from pocketvae.vae_spec import VaeSpec, class_label, vector_latent


def test_an_interface_of_images_and_one_vector_has_todays_names():
    old = {"image_shape": [8, 12, 3], "latent_dim": 5, "image_range": [-1.0, 1.0], "label_count": 10}
    document = {"vae": old, "name": "m"}
    new = with_conditions(with_named_latents(document))
    expected = VaeSpec(
        data_shape=(8, 12, 3), latents=vector_latent(5), data_range=(-1.0, 1.0), conditions=class_label(10)
    )
    assert from_data(VaeSpec, new["vae"]) == expected
    assert new["name"] == "m"
    assert document["vae"] == old


def test_what_an_old_document_left_out_has_its_default():
    new = with_conditions(with_named_latents({"vae": {"image_shape": [4, 4, 1], "latent_dim": 2}}))
    assert from_data(VaeSpec, new["vae"]) == VaeSpec(data_shape=(4, 4, 1), latents=vector_latent(2))
