import json
from dataclasses import replace

import numpy as np
import pytest

from pocketvae.cli.main import main
from pocketvae.errors import DataError, SpecError

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def few_steps(monkeypatch):
    from pocketvae.train import features

    monkeypatch.setattr(features, "_STEPS", 20)


def test_training_images_are_closer_to_test_images_than_an_untrained_models(make_parts, small_data):
    from pocketvae.train.sample_quality import sample_quality

    model, both = make_parts().model, replace(small_data, test=small_data.validation)
    quality = sample_quality(model, both, 100, 0)
    assert quality.images == len(both.test)
    assert quality.training.kernel_distance < quality.samples.kernel_distance
    assert quality.training.recall > quality.samples.recall
    assert sample_quality(model, both, 100, 0) == quality
    assert sample_quality(model, both, 100, 1) != quality
    assert sample_quality(model, both, 100, 0, binary=True).samples != quality.samples


def test_few_test_images_are_refused(make_parts, small_data):
    from pocketvae.train.sample_quality import sample_quality

    few = replace(small_data, test=small_data.test.take(slice(15)))
    with pytest.raises(DataError, match="samples are compared with at least 16 test images, got 15"):
        sample_quality(make_parts().model, few, 100, 0)


def test_the_command_shows_samples_beside_training_images(small_run, small_npz, tmp_path, capsys):
    words = ["evaluate", small_run, "--data", small_npz, "--importance-samples", 2, "--samples", 16]
    assert main([str(word) for word in (*words, "--json", tmp_path / "e.json")]) == 0
    out = capsys.readouterr().out
    quality = json.loads((tmp_path / "e.json").read_text())["sample_quality"]
    assert (quality["images"], quality["task"]) == (16, "labels")
    assert f"{quality['samples']['kernel_distance']:.4f}" in out
    assert "training images" in out
    assert np.isfinite(quality["training"]["kernel_distance"])


def test_numbers_that_cannot_be_compared_are_refused(small_run, small_npz):
    from pocketvae.train import evaluate

    for count, message in ((15, "at least 16, got 15"), (5001, "at most 5000, got 5001")):
        with pytest.raises(SpecError, match=f"the number of samples must be {message}"):
            evaluate(small_run, source=str(small_npz), sample_count=count)
