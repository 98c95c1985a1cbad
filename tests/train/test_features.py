from dataclasses import replace

import numpy as np
import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def few_steps(monkeypatch):
    from pocketvae.train import features

    monkeypatch.setattr(features, "_STEPS", 60)


def test_labels_are_learned_where_there_are_any(small_data):
    from pocketvae.train.features import Task, train_features

    net = train_features(small_data.train, small_data.train, 0)
    assert net.task is Task.LABELS
    # Of ten classes.
    assert net.accuracy > 0.6
    features = net.features(small_data.test.images)
    assert features.shape == (len(small_data.test), 128)
    np.testing.assert_array_equal(
        features, train_features(small_data.train, small_data.test, 0).features(small_data.test.images)
    )


@pytest.mark.parametrize("height", [8, 6])
def test_turns_are_learned_without_labels(small_data, height):
    from pocketvae.train.features import Task, train_features

    images = replace(small_data.train, images=small_data.train.images[:, :height], labels=None)
    net = train_features(images, images, 0)
    assert net.task is Task.TURNS
    assert net.accuracy > (0.4 if height == 8 else 0.6)


def test_turns_are_learned_where_the_test_images_have_no_labels(small_data):
    from pocketvae.train.features import Task, train_features

    net = train_features(small_data.train, replace(small_data.train, labels=None), 0)
    assert net.task is Task.TURNS
    assert net.accuracy > 0.4
