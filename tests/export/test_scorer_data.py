import numpy as np

from pocketvae.export import ExportConfig, plan_artifacts
from pocketvae.export.scorer_data import _normal_items
from pocketvae.progress import ignore_progress
from pocketvae.vae_spec import VaeSpec, class_label, vector_latent


def test_every_image_counts_once_with_its_label(tmp_path):
    images = np.arange(105, dtype=np.uint8)[:, None, None].repeat(6, axis=1).repeat(6, axis=2)
    np.savez(tmp_path / "x.npz", images=images, labels=np.arange(105) % 3)
    vae = VaeSpec(data_shape=(6, 6, 1), latents=vector_latent(2), conditions=class_label(3))
    items, labels = _normal_items(
        str(tmp_path / "x.npz"), vae, ExportConfig(artifacts=plan_artifacts()), ignore_progress
    )
    first = items[:, 0, 0, 0]
    assert sorted(first.tolist()) == list(range(105))
    assert np.array_equal(labels, first % 3)
