"""Quality of samples: draws from a model against images that it has not seen, by features of a classifier."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pocketvae.data.dataset import ImageSet, ImageSplits
from pocketvae.errors import DataError
from pocketvae.numerics.pixels import to_pixels
from pocketvae.progress import ProgressCallback, ignore_progress
from pocketvae.train.features import Task, train_features
from pocketvae.train.model import VaeModel
from pocketvae.train.sample_distance import kernel_distance, precision_and_recall

# Distances of all pairs of more would take gigabytes.
MOST_SAMPLES = 5000
# Of fewer, one within the third neighbour's distance of another says nothing.
FEWEST_SAMPLES = 16
_BATCH = 500
_STREAM = 6
_SMALLEST_SPREAD = 1e-6


@dataclass(frozen=True, kw_only=True)
class Likeness:
    """How like the test images some images are.

    Attributes:
        kernel_distance: KID of features that are centred and scaled by the test images', see
            `sample_distance.kernel_distance`; around 0 is best.
        precision: Share of them that look like test images.
        recall: Share of the test images that look like one of them.
    """

    kernel_distance: float
    precision: float
    recall: float


@dataclass(frozen=True, kw_only=True)
class SampleQuality:
    """Samples against test images; comparable between models of the same data, with the same seed and number.

    Attributes:
        images: Number of samples, of test images, and of training images.
        task: What the classifier behind the features learned from the training images.
        accuracy: Its accuracy on the test images.
        samples: Decoded draws from the prior: means of p(x|z), pixels of 8 bits.
        training: Training images in their place, for comparison: what a perfect model would reach.
    """

    images: int
    task: Task
    accuracy: float
    samples: Likeness
    training: Likeness


def check_enough(test: ImageSet) -> None:
    """Checks the number of test images.

    Raises:
        DataError: there are too few.
    """
    if len(test) < FEWEST_SAMPLES:
        raise DataError(f"samples are compared with at least {FEWEST_SAMPLES} test images, got {len(test)}")


def sample_quality(
    model: VaeModel,
    data: ImageSplits,
    count: int,
    seed: int,
    *,
    binary: bool = False,
    progress: ProgressCallback = ignore_progress,
) -> SampleQuality:
    """Compares samples of a model with test images.

    Args:
        model: The model.
        data: The images of its source. The classifier learns from the training images.
        count: How many samples are drawn, at least 16; as many as there are test images where there are fewer.
        seed: Of the classifier, the draws and the choice of images.
        binary: The images are binarized, so pixels of samples are drawn, too.
        progress: Called while the classifier is trained.

    Raises:
        DataError: there are too few test images.
    """
    check_enough(data.test)
    rng = np.random.default_rng([seed, _STREAM])
    count = min(count, len(data.test), len(data.train))
    net = train_features(data.train, data.test, seed, progress=progress)
    test, training = (part.some(count, rng) for part in (data.test, data.train))
    real = net.features(test.images)
    # One factor for all: a feature that hardly any test image has would be blown up by its own.
    centre, spread = real.mean(axis=0), max(float(np.sqrt(real.var(axis=0).mean())), _SMALLEST_SPREAD)
    drawn = _draw(model, training.labels_or_zeros(), rng, binary=binary)
    of_samples, of_training = (
        _likeness((real - centre) / spread, (net.features(images) - centre) / spread)
        for images in (drawn, training.images)
    )
    return SampleQuality(images=count, task=net.task, accuracy=net.accuracy, samples=of_samples, training=of_training)


def _likeness(real: npt.NDArray[np.float64], others: npt.NDArray[np.float64]) -> Likeness:
    precision, recall = precision_and_recall(real, others)
    return Likeness(kernel_distance=kernel_distance(real, others), precision=precision, recall=recall)


def _draw(
    model: VaeModel, labels: npt.NDArray[np.int32], rng: np.random.Generator, *, binary: bool
) -> npt.NDArray[np.uint8]:
    """Returns an image for every label, which only a conditional model looks at."""
    parts = []
    for start in range(0, len(labels), _BATCH):
        some = labels[start : start + _BATCH]
        eps = rng.standard_normal((len(some), model.spec.eps_dim)).astype(np.float32)
        z = eps if model.prior is None else np.asarray(model.prior(eps, training=False))
        means = np.asarray(model.means(z, some))
        parts.append(to_pixels((rng.random(means.shape) < means).astype(np.float32) if binary else means))
    return np.concatenate(parts)
