"""One file in TensorFlow Lite Micro."""

import numpy as np
import pytest

from pocketvae.errors import TargetError
from pocketvae.portability import tflm
from pocketvae.portability.tflm import run_on_tflm, tflm_step


@pytest.fixture
def ready():
    if not tflm_step().is_done():
        pytest.skip("tflite-micro is not set up: pocketvae targets setup tflm")


def test_outputs_arena_and_its_parts(ready, bundles, tflite_models):
    weight = bundles.right_weight()
    z = np.random.default_rng(0).normal(size=(3, 1, bundles.LATENT)).astype(np.float32)
    run = run_on_tflm(tflite_models.decoder(weight, bundles.SIDE), "d", [z], 1)
    expected = 1 / (1 + np.exp(-(z.reshape(3, -1) @ weight)))
    np.testing.assert_allclose(run.outputs[0].reshape(3, -1), expected, atol=1e-5)
    parts = dict(run.allocations)
    assert parts["arena: total"] == parts["arena: head"] + parts["arena: tail"] <= run.arena_bytes
    assert "NodeAndRegistration struct" in parts


def test_a_file_that_it_does_not_take_is_named(ready, tflite_models):
    with pytest.raises(TargetError, match=r"^d: TensorFlow Lite Micro cannot load it: "):
        run_on_tflm(tflite_models.one_operator("RIGHT_SHIFT"), "d", [np.zeros((1, 1, 4), np.float32)], 1)


def test_it_must_be_set_up(monkeypatch, tmp_path, bundles):
    monkeypatch.setattr(tflm, "tflm_site", lambda: tmp_path / "nothing")
    with pytest.raises(TargetError, match="pocketvae targets setup tflm"):
        run_on_tflm(b"", "d", [], 1)
