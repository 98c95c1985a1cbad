"""Data of user-supplied models must be what the models take."""

import numpy as np
import pytest
from PIL import Image

from pocketvae.data.windows import WHOLE
from pocketvae.errors import DataError
from pocketvae.export.external.data import load_data
from pocketvae.progress import ignore_progress
from pocketvae.vae_spec import VaeSpec, class_label, vector_latent


def test_a_folder_without_one_of_the_classes_is_refused(tmp_path):
    vae = VaeSpec(data_shape=(4, 4, 1), latents=vector_latent(2), conditions=class_label(3))
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for number in range(20):
            Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / name / f"{number}.png")
    with pytest.raises(
        DataError, match="has 2 subfolders of images but the model 3 classes, so their numbering differs"
    ):
        load_data(str(tmp_path), vae, WHOLE, ignore_progress)
