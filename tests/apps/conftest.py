"""Small codec tables and networks."""

import numpy as np
import pytest

import pocketvae
from pocketvae.apps import PixelTraining, fit_tables, load_tables
from pocketvae.apps.compression.pixel_network import Window
from pocketvae.vae_spec import DataKind, VaeSpec, vector_latent

WINDOW = Window(above=2, beside=2)


@pytest.fixture(scope="session")
def grey_images():
    """`[300, 6, 6, 1]`: soft blobs, so that neighbours say something of one another, on black."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:6, :6]
    centres = rng.uniform(1, 4, (300, 2, 1, 1))
    distance = np.square(y - centres[:, 0]) + np.square(x - centres[:, 1])
    return np.where(distance < 6, 255 * np.exp(-distance / 4), 0).astype(np.uint8)[..., None]


@pytest.fixture(scope="session")
def tables_path(tmp_path_factory, bundles, grey_images):
    """A bundle's folder with fitted tables. Do not change it."""
    path = bundles.make_bundle(tmp_path_factory.mktemp("codec") / "b")
    with pocketvae.open(path) as bundle:
        training = PixelTraining(window=WINDOW, units=8, steps=150, batch_pixels=256)
        (path / "codec.npz").write_bytes(fit_tables(bundle, grey_images[:200], None, training))
    return path


@pytest.fixture(scope="session")
def tables(tables_path):
    return load_tables(tables_path / "codec.npz")


@pytest.fixture(scope="session")
def sequence_bundle(tmp_path_factory, bundles):
    """The folder of a bundle of sequences `[6, 6]` of any range. Do not change it."""
    vae = VaeSpec(data=DataKind.SEQUENCE, data_shape=(6, 6), latents=vector_latent(3), range_is_strict=False)
    return bundles.make_bundle(tmp_path_factory.mktemp("sequences") / "b", vae=vae)
