"""The score of lasting changes, channel by channel."""

import json

import numpy as np
import pytest

import pocketvae
from pocketvae.apps import Choice, Sampling, ScoreKind, SourceImages, calibrate
from pocketvae.apps.anomaly.calibration import Calibration
from pocketvae.apps.anomaly.offsets import fit_offsets, has_offsets, mean_errors
from pocketvae.cli.main import main
from pocketvae.documents import decode, encode
from pocketvae.errors import DataError
from pocketvae.vae_spec import DataKind, VaeSpec, vector_latent


def test_errors_of_a_window_cancel_and_a_lasting_one_does_not():
    target = np.zeros((2, 4, 2))
    target[0, :, 0] = (1, -1, 1, -1)
    target[1, :, 1] = 0.5
    np.testing.assert_allclose(mean_errors(target, np.zeros((2, 4, 2))), [[0, 0], [0, 0.5]])
    # A table's row is one time step.
    np.testing.assert_allclose(mean_errors(np.ones((1, 3)), np.zeros((1, 3))), [[1, 1, 1]])


def test_the_distance_knows_how_channels_go_together():
    rng = np.random.default_rng(0)
    common = rng.normal(size=(4000, 1))
    density = fit_offsets(5 * common + 0.1 * rng.normal(size=(4000, 3)))
    together, apart = density.distance(np.array([[5.0, 5.0, 5.0], [0.0, 3.0, 0.0]]))
    assert together < 9 < 50 < apart


def test_few_items_give_a_distance_that_holds_for_others():
    rng = np.random.default_rng(1)
    values = rng.normal(size=(2020, 20))
    fitted, others = fit_offsets(values[:20]).distance(values[:20]), fit_offsets(values[:20]).distance(values[20:])
    # Without shrinkage the covariance of 20 items in 20 dimensions has no inverse, and others are infinitely far.
    assert np.median(others) < 3 * np.median(fitted)


def test_a_channel_without_errors_keeps_a_finite_weight():
    values = np.random.default_rng(2).normal(size=(50, 2)) * (1, 0)
    assert np.isfinite(fit_offsets(values).distance(np.array([[0.0, 1.0]]))).all()
    assert np.isfinite(fit_offsets(np.zeros((50, 2))).distance(np.ones((1, 2)))).all()
    with pytest.raises(DataError, match="at least 10 normal items, got 9"):
        fit_offsets(values[:9])


def test_images_and_wide_rows_have_no_offsets():
    def found(data, shape):
        return has_offsets(VaeSpec(data=data, data_shape=shape, latents=vector_latent(2)))

    assert found(DataKind.SEQUENCE, (16, 128))
    assert not found(DataKind.SEQUENCE, (16, 129))
    assert found(DataKind.VECTOR, (6,))
    assert not found(DataKind.IMAGE, (8, 8, 1))


def test_a_shift_that_squares_do_not_see_is_found_by_the_command(sequence_bundle, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    normal = (0.5 + 0.1 * rng.normal(size=(600, 6, 6))).astype(np.float32)
    np.save("normal.npy", normal[:400])
    np.save("other.npy", normal[400:])
    shifted = normal[400:500].copy()
    shifted[:, :, 2] += 0.08
    np.save("shifted.npy", shifted)
    command = ["score", str(sequence_bundle), "--calibration", "c.json", "--quiet"]
    assert main([*command, "normal.npy", "--calibrate"]) == 0
    words = ["shifted.npy", "--normal", "other.npy", "--score", "offset", "--json", "s.json"]
    assert main([*command, *words]) == 0
    found = json.loads((tmp_path / "s.json").read_text())
    assert found["chosen"] == "offset"
    assert found["auroc"]["offset"] > found["auroc"]["reconstruction"] + 0.1
    capsys.readouterr()
    # A calibration of version 2 has no offsets, and still does for all other scores.
    older = json.loads((tmp_path / "c.json").read_text()) | {"schema_version": 2}
    del older["offset"], older["thresholds"]["offset"]
    (tmp_path / "c.json").write_text(json.dumps(older))
    assert main([*command, "shifted.npy"]) == 0
    assert main([*command, "shifted.npy", "--score", "offset"]) == 2
    assert "does not hold what this bundle needs (offset): calibrate it again" in capsys.readouterr().err


def test_a_calibration_survives_its_file(sequence_bundle):
    items = np.random.default_rng(3).random((120, 6, 6)).astype(np.float32)
    source = SourceImages(images=items, names=tuple(map(str, range(120))), labels=None)
    with pocketvae.open(sequence_bundle) as bundle:
        made = calibrate(
            bundle,
            source.first(100),
            source,
            normal="noise",
            choice=Choice(),
            sampling=Sampling(samples=1),
            false_positive_rate=0.1,
        )
        assert decode(Calibration, encode(made).encode(), "c.json") == made
        made.check_bundle(bundle, ScoreKind.OFFSET)
