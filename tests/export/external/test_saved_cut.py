"""A SavedModel that is cut where it draws: with conditions, with several latents, and what cannot be cut."""

import numpy as np
import pytest

from pocketvae.export.external.saved_cut import cut_saved
from pocketvae.export.external.saved_functions import call_part, signature_of
from pocketvae.keras.io import load_saved_model
from tests.export.external.saved_vaes import X, write

pytestmark = pytest.mark.slow


def cut(folder, signature="whole", **given):
    model = write(folder / "vae", signature, **given)
    loaded = load_saved_model(folder / "vae")
    return model, cut_saved(folder / "vae", signature_of(loaded.signatures["serving_default"]).graph(), folder)


def test_a_condition_is_an_input_of_both_parts(tmp_path):
    model, found = cut(tmp_path, "conditional")
    assert found is not None
    label, z = np.array([3, 1], np.int32), np.array([[1, 2, 3], [0, 1, 0]], np.float32)
    made = call_part(tmp_path / "decoder", {"z": z, "label": label})["image"]
    np.testing.assert_allclose(made, model.decoded(z + model.table.numpy()[label]), atol=1e-6)
    mean = call_part(tmp_path / "encoder", {"x": X, "label": label})["z_mean"]
    np.testing.assert_allclose(
        mean, model.moments(X + label.reshape(2, 1, 1, 1).astype(np.float32))[0], rtol=1e-5, atol=1e-5
    )


def test_the_mean_stands_for_a_sample_that_another_latent_depends_on(tmp_path):
    model, found = cut(tmp_path, "hierarchical")
    assert found is not None
    assert found.several
    assert "the mean of 'z1' stands for its sample" in found.notes[0]
    made = call_part(tmp_path / "encoder", {"x": X})
    first = model.moments(X)[0]
    np.testing.assert_allclose(made["z1_mean"], first, atol=1e-6)
    np.testing.assert_allclose(made["z2_mean"], model.moments(X + np.mean(first))[0], atol=1e-5)
    z1, z2 = np.full((2, 3), 0.5, np.float32), np.full((2, 3), -1.5, np.float32)
    made = call_part(tmp_path / "decoder", {"z1": z1, "z2": z2})["image"]
    np.testing.assert_allclose(made, model.decoded(z1 * z2), atol=1e-6)


@pytest.mark.parametrize(("signature", "given"), [("skipping", {}), ("whole", {"noise": "uniform"})])
def test_what_cannot_be_cut_is_left_alone(tmp_path, signature, given):
    assert cut(tmp_path, signature, **given)[1] is None
    assert not (tmp_path / "decoder").exists()
