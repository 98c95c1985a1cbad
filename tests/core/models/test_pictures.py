"""What a notebook shows of bundles, data and results."""

import io

import numpy as np
import pytest
from PIL import Image

import pocketvae
from pocketvae.benchmarks import BenchConfig, bench_bundle, verify_bundle
from pocketvae.errors import SpecError


@pytest.fixture
def bundle(tmp_path, bundles):
    with pocketvae.open(bundles.make_bundle(tmp_path / "b")) as bundle:
        yield bundle


def test_images_become_a_picture(bundle, tmp_path):
    picture = bundle.picture(np.linspace(0, 1, 12 * 36).reshape(12, 6, 6, 1), columns=5)
    with Image.open(io.BytesIO(picture._repr_png_())) as image:
        # Five columns and three rows of 6 pixels with gaps of 2, each twice as large.
        assert image.size == (2 * (5 * 8 + 2), 2 * (3 * 8 + 2))
    picture.save(tmp_path / "p.png")
    assert (tmp_path / "p.png").read_bytes() == picture.png
    assert "png" not in repr(picture).lower().replace("picture", "")


def test_pixels_are_pixels_and_no_intensities(bundle):
    z = bundle.sample_latents(3, np.arange(4))
    pixels = bundle.decoder().decode_pixels(z)
    assert bundle.picture(pixels).png == bundle.picture(bundle.decoder().decode(z)).png


@pytest.mark.parametrize("shape", [(6, 6, 1), (2, 5, 6, 1), (0, 6, 6, 1), (2, 6, 6, 3)])
def test_what_is_no_data_of_the_vae_is_refused(bundle, shape):
    with pytest.raises(SpecError, match=r"a picture takes data of the shape \[N, 6, 6, 1\], got "):
        bundle.picture(np.zeros(shape))


def test_a_bundle_shows_its_files_and_what_it_draws(bundle):
    html = bundle._repr_html_()
    assert "<code>decoder.float32.onnx</code>" in html
    assert html.count("data:image/png;base64,") == 1
    assert "tiny: " in html


@pytest.mark.usefixtures("few_values")
def test_results_show_themselves(bundle):
    result = verify_bundle(bundle.path)
    html = result._repr_html_()
    assert "2 of 2 artifacts match the original" in html
    assert '<span class="pass">pass</span>' in html
    bench = bench_bundle(bundle.path, BenchConfig(include_original=False))
    assert "latency of " in bench._repr_html_()
    assert "median µs" in bench._repr_html_()
