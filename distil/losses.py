"""How far a student is from its teacher, in TensorFlow: the KL divergence of p(x|z) where the likelihood has one."""

from __future__ import annotations

from typing import Any

from pocketvae.distil.networks import squashing
from pocketvae.fields import ChannelKind
from pocketvae.keras.heads import runs
from pocketvae.keras.io import import_tensorflow
from pocketvae.numerics.likelihoods import places
from pocketvae.train.likelihoods import SMALLEST_LOG_SCALE
from pocketvae.vae_spec import DataKind, Likelihood, VaeSpec

_LEAST_PROBABILITY = 1e-6


def distance(vae: VaeSpec, outputs: Any, targets: Any) -> Any:
    """Returns how far each item's outputs are from the teacher's, `[N]`; 0 only if they are equal.

    Probabilities: the cross-entropy with the teacher's less the teacher's own entropy, which is the KL divergence.
    Means: half the squared difference in units of the noise, which is the same for Gaussians; where no noise is known,
    the squared difference in units of the range; for Student's t what its log-density loses with the difference, so
    that single values far off count little. What an image's head clips may lie anywhere beyond the clip.

    Args:
        vae: The interface of the teacher.
        outputs: Of the student without its head, `[N, *data_shape]` each.
        targets: What the teacher returned, with its head, likewise; of two outputs both.
    """
    tf = import_tensorflow()
    axes = list(range(-vae.data.rank, 0))
    if vae.likelihood is Likelihood.DISCRETIZED_LOGISTIC:
        (mean, log_scale), (wanted, wanted_scale) = outputs, targets
        # As the likelihood bounds them: below, a scale changes nothing.
        log_scale = tf.where(wanted_scale > SMALLEST_LOG_SCALE, log_scale, tf.maximum(log_scale, SMALLEST_LOG_SCALE))
        wanted_scale = tf.maximum(wanted_scale, SMALLEST_LOG_SCALE)
        off = tf.square((mean - wanted) * tf.exp(-wanted_scale)) + tf.square(log_scale - wanted_scale)
        return tf.reduce_sum(off, axis=axes)
    output, target = outputs[0], targets[0]
    if vae.likelihood is Likelihood.MIXED:
        return _mixed(vae, output, target, axes)
    squash = squashing(vae)
    if squash:
        shares = (target - vae.data_range[0]) / vae.range_span
        # tanh(u) = 2 sigmoid(2u) - 1.
        return tf.reduce_sum(_bernoulli(output * (2.0 if squash == "tanh" else 1.0), shares), axis=axes)
    if vae.data is DataKind.IMAGE and vae.likelihood is Likelihood.GAUSSIAN:
        difference = _beyond_clip(output, target)
        return tf.reduce_sum(0.5 * tf.square(difference / (vae.noise_scale or 1.0)), axis=axes)
    square = tf.square((output - target) / _scales(vae))
    degrees = vae.degrees_of_freedom
    if vae.likelihood is Likelihood.STUDENT_T and degrees:
        return tf.reduce_sum(0.5 * (degrees + 1) * tf.math.log1p(square / degrees), axis=axes)
    return tf.reduce_sum(0.5 * square, axis=axes)


def in_nats(vae: VaeSpec) -> bool:
    """Whether `distance` is a KL divergence of p(x|z) in nats: the likelihood is known, and so is its noise."""
    if vae.likelihood in (Likelihood.UNKNOWN, Likelihood.DISCRETIZED_LOGISTIC, Likelihood.STUDENT_T):
        return False
    if vae.data is DataKind.IMAGE:
        return vae.likelihood is Likelihood.BERNOULLI or bool(vae.noise_scale)
    return all(channel.noise_scale for channel in vae.channels if channel.kind is ChannelKind.REAL)


def _bernoulli(logits: Any, probabilities: Any) -> Any:
    """Returns KL(teacher || student) of each value; the teacher's entropy has no gradient but makes 0 the least."""
    tf = import_tensorflow()
    cross = tf.nn.sigmoid_cross_entropy_with_logits(labels=probabilities, logits=logits)
    p = tf.clip_by_value(probabilities, _LEAST_PROBABILITY, 1 - _LEAST_PROBABILITY)
    return cross + p * tf.math.log(p) + (1 - p) * tf.math.log1p(-p)


def _beyond_clip(output: Any, target: Any) -> Any:
    tf = import_tensorflow()
    low, high = tf.nn.relu(output), -tf.nn.relu(1.0 - output)
    return tf.where(target <= 0.0, low, tf.where(target >= 1.0, high, output - target))


def _mixed(vae: VaeSpec, output: Any, target: Any, axes: list[int]) -> Any:
    tf = import_tensorflow()
    scales, total = _scales(vae), 0.0
    for kind, part in runs(vae.channels):
        values, wanted = output[..., part], target[..., part]
        if kind is ChannelKind.REAL:
            off = 0.5 * tf.square((values - wanted) / scales[part])
        elif kind is ChannelKind.BINARY:
            off = _bernoulli(values, wanted)
        else:
            p = tf.clip_by_value(wanted, _LEAST_PROBABILITY, 1.0)
            off = wanted * (tf.math.log(p) - tf.nn.log_softmax(values))
        total += tf.reduce_sum(off, axis=axes)
    return total


def _scales(vae: VaeSpec) -> Any:
    """Returns what a difference of each value is measured in: the noise of its channel, else the range."""
    tf = import_tensorflow()
    if not vae.channels:
        return tf.constant(float(vae.range_span))
    scales = [1.0] * vae.data_shape[-1]
    for channel, part in places(vae.channels):
        for index in range(part.start, part.stop):
            scales[index] = channel.noise_scale or 1.0
    return tf.constant(scales, tf.float32)
