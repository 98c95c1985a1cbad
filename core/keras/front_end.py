"""The front end of a VAE of sounds in TensorFlow: samples to what the encoder of a run takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pocketvae.keras.io import import_tensorflow
from pocketvae.numerics.normalization import scales_of
from pocketvae.numerics.spectrogram import decibels
from pocketvae.vae_spec import VaeSpec


class TensorOperations:
    """`pocketvae.numerics.spectrogram.Operations` on tensors, in float32."""

    def __init__(self) -> None:
        self._tf = import_tensorflow()

    def reshape(self, values: Any, shape: tuple[int, ...]) -> Any:
        """See `Operations.reshape`."""
        return self._tf.reshape(values, shape)

    def transpose(self, values: Any) -> Any:
        """See `Operations.transpose`."""
        return self._tf.transpose(values, (0, 2, 1))

    def product(self, values: Any, matrix: Any) -> Any:
        """See `Operations.product`."""
        return self._tf.matmul(values, matrix)

    def join(self, parts: Sequence[Any], axis: int) -> Any:
        """See `Operations.join`."""
        return self._tf.concat(list(parts), axis=axis)

    def log(self, values: Any) -> Any:
        """See `Operations.log`."""
        return self._tf.math.log(values)

    def constant(self, values: Any) -> Any:
        """See `Operations.constant`."""
        return self._tf.constant(np.asarray(values, np.float32))


def encoded_items(samples: Any, vae: VaeSpec) -> Any:
    """Returns what the encoder behind the front end takes, `[N, *data_shape]` in units of the model.

    Args:
        samples: `[N, T, 1] float32` of sounds; of VAEs without a front end, what they take, which is returned as it is.
        vae: The interface.
    """
    if vae.log_mel is None:
        return samples
    operations = TensorOperations()
    means, scales = (operations.constant(values) for values in scales_of(vae.channels))
    return (decibels(operations, samples, vae.log_mel) - means) / scales
