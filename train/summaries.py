"""TensorBoard event files, written without the tensorboard package, which is only needed to view them."""

from __future__ import annotations

from pathlib import Path

from pocketvae.keras.io import import_tensorflow, tensorflow_writes
from pocketvae.train.loop import EpochMetrics

FOLDER_NAME = "tensorboard"


class Summaries:
    """Appends the figures of epochs to a folder; a resumed run adds a file that continues from there."""

    def __init__(self, folder: Path) -> None:
        """Opens an event file in the run's `tensorboard` folder."""
        tf = import_tensorflow()
        self._folder = folder / FOLDER_NAME
        with tensorflow_writes(self._folder):
            self._writer = tf.summary.create_file_writer(str(self._folder))
        self._metadata = tf.compat.v1.SummaryMetadata()
        self._metadata.plugin_data.plugin_name = "scalars"

    def add(self, metrics: EpochMetrics) -> None:
        """Writes every figure of an epoch at its step.

        Raises:
            TrainingError: the disk is full, or the folder cannot be written.
        """
        values = metrics.figures()
        step = values.pop("step")
        tf = import_tensorflow()
        with tensorflow_writes(self._folder), self._writer.as_default():
            for name, value in values.items():
                tf.summary.write(name, tf.constant(float(value)), step=step, metadata=self._metadata)
            self._writer.flush()
