import json
import shutil

import numpy as np
import pytest

from pocketvae import open_run
from pocketvae.bundle.run import is_run
from pocketvae.errors import ManifestError

pytestmark = pytest.mark.slow


@pytest.fixture
def run_copy(tiny_run, tmp_path):
    return shutil.copytree(tiny_run, tmp_path / "run")


def test_a_run_gives_its_record_and_images(tiny_run):
    run = open_run(tiny_run)
    assert is_run(tiny_run)
    assert run.record.vae.image_shape == (28, 28, 1)
    assert run.record.config["latent_dim"] == run.record.vae.latent_dim == 4
    assert run.reference_images().golden.dtype == np.uint8


def test_a_missing_model_is_named(run_copy):
    (run_copy / "decoder.keras").unlink()
    with pytest.raises(ManifestError, match=r"decoder\.keras is missing"):
        open_run(run_copy)


@pytest.mark.parametrize("damage", ["truncate", "remove", "other images"])
def test_damaged_reference_images_are_refused(run_copy, damage):
    file = run_copy / "reference.npz"
    if damage == "truncate":
        file.write_bytes(file.read_bytes()[:1000])
    elif damage == "remove":
        file.unlink()
    else:
        np.savez(file, calibration=np.zeros((3, 5, 5, 1), np.uint8), golden=np.zeros((3, 5, 5, 1), np.uint8))
    with pytest.raises(ManifestError, match=r"reference\.npz (is missing or damaged|must hold)"):
        open_run(run_copy).reference_images()


def test_a_record_of_a_newer_schema_is_refused(run_copy):
    record = json.loads((run_copy / "run.json").read_text()) | {"schema_version": 99}
    (run_copy / "run.json").write_text(json.dumps(record))
    with pytest.raises(ManifestError, match="schema_version 99, but this pocketvae reads up to 5"):
        open_run(run_copy)
