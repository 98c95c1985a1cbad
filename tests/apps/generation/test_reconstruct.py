import numpy as np
import pytest
from PIL import Image

import pocketvae
from pocketvae import apps
from pocketvae.apps import (
    Choice,
    load_images,
    write_reconstruction,
)
from pocketvae.apps.generation.reconstruct import reconstruct
from pocketvae.cli.main import main


@pytest.fixture
def bundle(tmp_path, bundles):
    with pocketvae.open(bundles.make_bundle(tmp_path / "b")) as opened:
        yield opened


@pytest.fixture
def source(tmp_path, bundle):
    images = np.random.default_rng(0).integers(0, 256, (70, 6, 6), np.uint8)
    np.savez(tmp_path / "x.npz", images=images, labels=np.arange(70) % 10)
    return load_images(str(tmp_path / "x.npz"), bundle.vae)


def test_reconstructions_are_what_the_decoder_makes_of_the_means(bundle, source, tmp_path):
    result = reconstruct(bundle, source, Choice())
    means = bundle.encoder().encode(source.images).z_mean
    assert np.array_equal(result.reconstructions, bundle.decoder().decode_pixels(means))
    error = result.images.astype(float) - result.reconstructions
    assert result.psnr_db == pytest.approx(10 * np.log10(255**2 / np.mean(error**2)))
    write_reconstruction(result, tmp_path / "r.png", columns=10, force=False)
    sheet = np.asarray(Image.open(tmp_path / "r.png"))[::2, ::2]
    assert sheet.shape == (14 * 8 + 2, 10 * 8 + 2)
    assert np.array_equal(sheet[2:8, 2:8], source.images[0, ..., 0])
    assert np.array_equal(sheet[10:16, 2:8], result.reconstructions[0, ..., 0])


def test_too_many_images_for_a_picture_are_refused_before_any_work(bundle, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.save("many.npy", np.zeros((501, 6, 6), np.uint8))
    monkeypatch.setattr(apps, "reconstruct", lambda *_: pytest.fail("it has begun"))
    assert main(["reconstruct", "b", "many.npy", "--out", "r.png", "--columns", "1", "--quiet"]) == 2
    assert "at most 500 images: pass --count, or use .npz" in capsys.readouterr().err
