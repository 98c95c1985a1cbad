"""A small classifier trained on the images at hand, whose last hidden layer describes images for comparisons."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.data.dataset import ImageSet, to_unit_interval
from pocketvae.keras.io import import_keras, import_tensorflow
from pocketvae.progress import Progress, ProgressCallback, ignore_progress

_FILTERS, _FEATURES = (32, 64, 96), 128
_STEPS, _BATCH, _RATE = 600, 64, 1e-3
_BATCH_OF_FEATURES = 500
_STREAM = 5


class Task(enum.StrEnum):
    """What the classifier learns, which needs no VAE.

    LABELS: the classes of the source. TURNS: by how many quarters (of images that are not square: halves) an image is
    turned, for sources without labels of training or test images (Gidaris et al. 2018, rotation prediction).
    """

    LABELS = "labels"
    TURNS = "turns"


@dataclass(frozen=True)
class FeatureNet:
    """A trained classifier.

    Attributes:
        task: What it learned.
        accuracy: Share of the test images whose class it knows.
        model: Keras model, `x [N, H, W, C] float32 in [0, 1] -> features [N, D], logits [N, classes]`.
    """

    task: Task
    accuracy: float
    model: Any

    def features(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
        """Returns the features of `[N, H, W, C] uint8` images, `[N, D]`."""
        return _outputs(self.model, images, 0)


def train_features(
    train: ImageSet, test: ImageSet, seed: int, *, progress: ProgressCallback = ignore_progress
) -> FeatureNet:
    """Trains a classifier; the same images, seed and number of threads give the same one.

    Args:
        train: Images to learn from.
        test: Images for the accuracy.
        seed: Of weights and batches.
        progress: Called after every tenth of the steps.
    """
    keras = import_keras()
    # Without labels of the test images, the accuracy would be that of calling all of them 0.
    is_labelled = train.labels is not None and test.labels is not None and len(np.unique(train.labels)) > 1
    task = Task.LABELS if is_labelled else Task.TURNS
    is_square = train.image_shape[0] == train.image_shape[1]
    turns: Sequence[int] = range(4) if is_square else (0, 2)
    count = len(turns) if task is Task.TURNS else int(train.labels_or_zeros().max()) + 1
    model = _build(train.image_shape, count, seed)
    optimizer, rng = keras.optimizers.legacy.Adam(_RATE), np.random.default_rng([seed, _STREAM])
    step = import_tensorflow().function(_step_of(model, optimizer), autograph=False)
    for number in range(_STEPS):
        batch = train.take(rng.integers(len(train), size=min(_BATCH, len(train))))
        step(*_posed(batch, task, rng.integers(len(turns), size=len(batch)), turns))
        if number % (_STEPS // 10) == 0:
            progress(Progress(stage="training the classifier", done=number, total=_STEPS))
    # The first of the held-out images is turned by the first of the turns, the next by the next.
    asked, classes = _posed(test, task, np.arange(len(test)) % len(turns), turns)
    return FeatureNet(task, float((_outputs(model, asked, 1).argmax(axis=1) == classes).mean()), model)


def _posed(
    images: ImageSet, task: Task, classes: npt.NDArray[np.intp], turns: Sequence[int]
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32]]:
    """Returns images as questions of a task, with their right answers."""
    if task is Task.LABELS:
        return images.images, images.labels_or_zeros()
    turned = [np.rot90(image, turns[kind]) for image, kind in zip(images.images, classes, strict=True)]
    return np.stack(turned), classes.astype(np.int32)


def _step_of(model: Any, optimizer: Any) -> Any:
    tf = import_tensorflow()

    def step(images: Any, classes: Any) -> None:
        with tf.GradientTape() as tape:
            logits = model(tf.cast(images, tf.float32) / 255.0, training=True)[1]
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(classes, logits))
        weights = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))

    return step


def _build(image_shape: tuple[int, int, int], classes: int, seed: int) -> Any:
    keras = import_keras()
    seeds = iter(range(seed * 10, seed * 10 + len(_FILTERS) + 2))

    def glorot() -> Any:
        return keras.initializers.GlorotUniform(seed=next(seeds))

    x = images = keras.Input(image_shape)
    for filters in _FILTERS:
        x = keras.layers.Conv2D(filters, 3, 2, "same", activation="relu", kernel_initializer=glorot())(x)
    features = keras.layers.Dense(_FEATURES, "relu", kernel_initializer=glorot())(keras.layers.Flatten()(x))
    return keras.Model(images, [features, keras.layers.Dense(classes, kernel_initializer=glorot())(features)])


def _outputs(model: Any, images: npt.NDArray[np.uint8], index: int) -> npt.NDArray[np.float64]:
    parts = [
        np.asarray(model(to_unit_interval(images[start : start + _BATCH_OF_FEATURES]), training=False)[index])
        for start in range(0, len(images), _BATCH_OF_FEATURES)
    ]
    return np.concatenate(parts).astype(np.float64)
