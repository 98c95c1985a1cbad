import errno
import json
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest

from pocketvae.bundle.run import open_run
from pocketvae.cli.main import main
from pocketvae.errors import DataError, ExportError, ManifestError, SpecError
from pocketvae.vae_spec import DataKind, class_label

pytestmark = pytest.mark.slow


def test_a_loaded_run_is_evaluated_like_the_trained_one(small_run, small_npz):
    from pocketvae.train import evaluate

    result = evaluate(small_run, source=str(small_npz), importance_samples=20)
    metrics = open_run(small_run).record.metrics
    assert result.elbo.negative_elbo_nats == pytest.approx(metrics["test_negative_elbo_nats"], rel=1e-5)
    assert result.elbo.kl_nats == pytest.approx(metrics["test_kl_nats"], rel=1e-4)
    elbo, log_likelihood = result.elbo, result.log_likelihood
    noise = elbo.standard_error_nats + log_likelihood.standard_error_nats
    assert log_likelihood.negative_log_likelihood_nats < elbo.negative_elbo_nats + 3 * noise
    assert result.bits_per_dim == pytest.approx(
        result.log_likelihood.negative_log_likelihood_nats / (64 * np.log(2)), rel=1e-6
    )
    assert (result.run, result.data, result.binarization) == ("small", "small.npz", "dynamic")


@pytest.mark.parametrize(
    "changes",
    [
        {"likelihood": "gaussian"},
        {"likelihood": "discretized_logistic", "prior": "mixture", "components": 3},
        {"prior": "vamp", "components": 3},
        {"conditional": True},
        {"binarization": "static"},
    ],
    ids=lambda changes: "-".join(map(str, changes.values())),
)
def test_every_kind_of_run_is_evaluated_like_the_trained_one(tmp_path, small_npz, small_config, changes):
    from pocketvae.train import evaluate, train

    config = small_config(epochs=1, **changes)
    record = train(source=str(small_npz), out=tmp_path / "run", config=config, preset="x")
    result = evaluate(tmp_path / "run", source=str(small_npz), importance_samples=3)
    assert result.elbo.negative_elbo_nats == pytest.approx(record.metrics["test_negative_elbo_nats"], rel=1e-4)
    assert result.elbo.psnr_db == pytest.approx(record.metrics["test_psnr_db"], rel=1e-4)
    if config.likelihood == "gaussian":
        assert result.bits_per_dim is result.elbo_bits_per_dim is result.binarization is None
        assert record.vae.noise_scale > 0
    else:
        assert result.bits_per_dim > 0


def test_the_command_prints_and_writes_its_figures(small_run, small_npz, tmp_path, capsys):
    words = ["evaluate", small_run, "--data", small_npz, "--importance-samples", 50, "--images", 9, "--seed", 3]
    assert main([str(word) for word in (*words, "--json", tmp_path / "e.json")]) == 0
    out = capsys.readouterr().out
    document = json.loads((tmp_path / "e.json").read_text())
    assert document["log_likelihood"]["importance_samples"] == 50
    assert document["log_likelihood"]["images"] == 9
    assert document["seed"] == 3
    assert "9 test images of small.npz, bernoulli, dynamic binarization" in out
    assert "-log p(x), 50 importance samples" in out
    assert f"{document['log_likelihood']['negative_log_likelihood_nats']:.2f}" in out
    assert "bits/dim" in out


def test_figures_are_printed_before_a_disk_can_be_full(small_run, small_npz, tmp_path, capsys, monkeypatch):
    from pocketvae.system import files

    def full(path, text):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(files, "write_text", full)
    words = ["evaluate", small_run, "--data", small_npz, "--importance-samples", 2, "--images", 9]
    assert main([str(word) for word in (*words, "--json", tmp_path / "e.json")]) == 2
    printed = capsys.readouterr()
    assert "-log p(x), 2 importance samples" in printed.out
    assert "No space left on device" in printed.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"importance_samples": 0}, "the number of importance samples must be at least 1, got 0"),
        ({"importance_samples": 10**9}, "the number of importance samples must be at most 1000000, got 1000000000"),
        ({"importance_samples": -3}, "the number of importance samples must be at least 1, got -3"),
        ({"image_count": 0}, "the number of images must be at least 1, got 0"),
    ],
)
def test_a_number_below_one_is_refused(small_run, options, message):
    from pocketvae.train import evaluate

    with pytest.raises(SpecError, match=message):
        evaluate(small_run, **options)


def test_a_run_on_other_data_than_mnist_must_be_told_where_it_is(small_run):
    from pocketvae.train import evaluate

    with pytest.raises(DataError, match=r"the run was trained on small\.npz: pass its source with --data"):
        evaluate(small_run)


def test_images_of_another_size_are_refused(small_run, tmp_path):
    from pocketvae.train import evaluate

    np.save(tmp_path / "x.npy", np.zeros((40, 8, 9), np.uint8))
    with pytest.raises(DataError, match=r"images must be \(8, 8, 1\) as the model expects, got \(8, 9, 1\)"):
        evaluate(small_run, source=str(tmp_path / "x.npy"))


def conditional_copy(run, folder, label_count=10):
    """A run whose record says that its model takes labels."""
    from pocketvae.documents import encode

    copy = shutil.copytree(run, folder / "conditional")
    record = open_run(run).record
    changed = replace(record, vae=replace(record.vae, conditions=class_label(label_count)))
    (copy / "run.json").write_text(encode(changed))
    return copy


def test_a_conditional_model_refuses_images_without_labels_or_with_more(small_run, small_npz, tmp_path):
    from pocketvae.train import evaluate

    np.save(tmp_path / "x.npy", np.zeros((40, 8, 8), np.uint8))
    with pytest.raises(DataError, match="a class-conditional model needs labels, but the images do not have any"):
        evaluate(conditional_copy(small_run, tmp_path), source=str(tmp_path / "x.npy"))
    (tmp_path / "few").mkdir()
    with pytest.raises(DataError, match="labels must be below 3, the model's number of classes, got 9"):
        evaluate(conditional_copy(small_run, tmp_path / "few", label_count=3), source=str(small_npz))


def test_a_conditional_model_refuses_a_folder_without_one_of_its_classes(small_run, tmp_path):
    from PIL import Image

    from pocketvae.train import evaluate

    for name in ("cat", "dog"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for number in range(20):
            Image.effect_noise((8, 8), 90).save(tmp_path / "images" / name / f"{number}.png")
    with pytest.raises(
        DataError, match="images has 2 subfolders of images but the model 3 classes, so their numbering"
    ):
        evaluate(conditional_copy(small_run, tmp_path, label_count=3), source=str(tmp_path / "images"))


def test_a_folder_called_like_the_embedded_images_is_not_taken_for_them(tmp_path, monkeypatch):
    from pocketvae.train.evaluate_run import _where

    monkeypatch.chdir(tmp_path)
    for name in ("mnist", "photos"):
        (tmp_path / name).mkdir()
    assert [_where(name, DataKind.IMAGE) for name in (None, "mnist", "photos")] == [
        None,
        "mnist",
        str(tmp_path / "photos"),
    ]
    assert _where("mnist", DataKind.SEQUENCE) == str(tmp_path / "mnist")


def test_a_damaged_run_is_refused(small_run, small_npz, tmp_path):
    from pocketvae.train import evaluate

    copy = shutil.copytree(small_run, tmp_path / "run")
    (copy / "prior.keras").write_bytes(b"PK nothing")
    with pytest.raises(ExportError, match=r"prior\.keras cannot be loaded"):
        evaluate(copy, source=str(small_npz))
    (copy / "prior.keras").unlink()
    with pytest.raises(ManifestError, match=r"prior\.keras is missing"):
        evaluate(copy, source=str(small_npz))


def test_a_result_file_that_cannot_be_written_is_refused_before_any_work(tmp_path, capsys):
    assert main(["evaluate", str(tmp_path), "--json", str(tmp_path / "no" / "e.json")]) == 2
    assert "does not exist: create it first" in capsys.readouterr().err


def test_images_that_cannot_be_read_are_left_out_where_that_is_asked_for(small_run, tmp_path, capsys):
    from PIL import Image

    folder = tmp_path / "images"
    folder.mkdir()
    for index in range(40):
        Image.effect_noise((8, 8), 90).save(folder / f"{index:02}.png")
    (folder / "21.png").write_bytes(b"\x89PNG broken")
    words = ["evaluate", str(small_run), "--data", str(folder), "--importance-samples", "2", "--quiet"]
    assert main(words) == 2
    assert "21.png cannot be read as an image" in capsys.readouterr().err
    assert main([*words, "--skip-corrupt"]) == 0
