import numpy as np
import pytest

from pocketvae.benchmarks import figures_table, verify_bundle
from pocketvae.benchmarks.parity.deviations import Deviations
from pocketvae.benchmarks.parity.figures import output_figures
from pocketvae.bundle.manifest import Stratum
from pocketvae.spec import Component
from pocketvae.vae_spec import VaeSpec, vector_latent

VAE = VaeSpec(data_shape=(6, 6, 1), latents=vector_latent(3))
STRATA = (Stratum(name="prior", start=0, count=6), Stratum(name="tails", start=6, count=2))


def figures(expected, outputs, *, component=Component.DECODER, vae=VAE):
    found = output_figures("a", "host", component, Deviations(expected, outputs, vae, strata=STRATA))
    return {(item.output, item.stratum, item.metric): item.value for item in found}


def test_an_image_has_figures_in_the_units_of_its_users():
    expected = {"image": np.full((8, 6, 6, 1), 0.5, np.float32)}
    outputs = {"image": expected["image"].copy()}
    outputs["image"][7, 0, 0, 0] += np.float32(0.1)
    found = figures(expected, outputs)
    assert found["image", "", "max_abs"] == pytest.approx(0.1)
    assert found["image", "prior", "max_abs"] == 0
    assert found["image", "tails", "max_abs"] == pytest.approx(0.1)
    assert found["image", "", "share_off_by_4"] == pytest.approx(1 / 288)
    assert found["image", "", "psnr_db"] == pytest.approx(10 * np.log10(288 / 0.01))
    assert found["image", "", "ssim_worst"] < found["image", "", "ssim"] < 1


def test_equal_images_have_no_ratio_of_signal_to_noise():
    images = {"image": np.full((8, 6, 6, 1), 0.5, np.float32)}
    assert ("image", "", "psnr_db") not in figures(images, images)


def test_an_encoder_has_figures_of_its_posterior():
    posterior = {"z_mean": np.zeros((8, 3), np.float32), "z_log_var": np.zeros((8, 3), np.float32)}
    moved = {**posterior, "z_mean": np.ones((8, 3), np.float32)}
    found = figures(posterior, moved, component=Component.ENCODER)
    assert found["posterior", "", "kl_mean"] == pytest.approx(1.5)
    assert found["posterior", "", "active_units_changed"] == 0


def test_an_output_that_is_not_finite_has_none():
    expected = {"image": np.zeros((8, 6, 6, 1), np.float32)}
    assert figures(expected, {"image": np.full((8, 6, 6, 1), np.nan, np.float32)}) == {}


def test_flat_images_are_folded():
    vae = VaeSpec(data_shape=(6, 6, 1), latents=vector_latent(3), flat=(Component.DECODER,))
    images = {"image": np.random.default_rng(0).random((8, 36)).astype(np.float32)}
    assert figures(images, images, vae=vae)["image", "", "ssim"] == pytest.approx(1)


def test_the_table_has_a_row_for_each_output(tmp_path, bundles):
    headers, rows = figures_table(verify_bundle(bundles.make_bundle(tmp_path / "b")))
    assert [(row[0], row[2]) for row in rows] == [
        ("decoder.float32.onnx", "image"),
        ("encoder.float32.onnx", "z_log_var"),
        ("encoder.float32.onnx", "z_mean"),
        ("encoder.float32.onnx", "posterior"),
    ]
    assert {"PSNR dB", "SSIM", "> 1/255", "KL nats"} <= set(headers)
    assert all(len(row) == len(headers) for row in rows)
