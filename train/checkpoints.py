"""Checkpoints: everything that an interrupted training run needs to continue as if it had not been interrupted."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pocketvae.documents import decode, encode
from pocketvae.errors import DataError, SpecError, TrainingError
from pocketvae.keras.io import import_tensorflow, tensorflow_writes
from pocketvae.spec import STRICT
from pocketvae.system import files
from pocketvae.system.quiet import quiet_stderr
from pocketvae.train.config import TrainConfig
from pocketvae.train.loop import LoopState
from pocketvae.train.trainer import Trainer

FOLDER_NAME = "checkpoints"
MILESTONE = f"{FOLDER_NAME}/state.json"
SCHEMA_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class DataIdentity:
    """Identifies a data source.

    Attributes:
        name: Name of the source.
        counts: Numbers of training, validation and test items.
        sha256: SHA-256 of the training items, hexadecimal.
    """

    __pydantic_config__ = STRICT
    name: str
    counts: tuple[int, int, int]
    sha256: str


@dataclass(frozen=True, kw_only=True)
class CheckpointRecord:
    """The document next to the weights, which only count once it names them.

    Attributes:
        latest: Name of the checkpoint to continue from.
        best: Name of the weights of the best epoch.
        config: The training configuration as plain JSON values.
    """

    __pydantic_config__ = STRICT
    schema_version: int = SCHEMA_VERSION
    latest: str
    best: str | None
    config: dict[str, Any]
    data: DataIdentity
    state: LoopState


class Checkpoints:
    """Keeps the latest checkpoint and the best weights of one training in a folder."""

    def __init__(self, folder: Path, trainer: Trainer, data: DataIdentity) -> None:
        """Creates the folder.

        Args:
            folder: Folder of the run.
            trainer: The trainer whose state is kept.
            data: The data that it trains on.
        """
        tf = import_tensorflow()
        self._path = folder / MILESTONE
        self._folder = folder / FOLDER_NAME
        self._folder.mkdir(exist_ok=True)
        self._trainer, self._data = trainer, data
        self._all = tf.train.Checkpoint(**trainer.tracked())
        self._weights = tf.train.Checkpoint(**trainer.tracked_weights())

    def save(self, state: LoopState) -> None:
        """Writes a checkpoint and, after the best epoch so far, its weights; then drops what they replace.

        Raises:
            TrainingError: the disk is full, or the folder cannot be written.
        """
        latest = f"step-{state.step}"
        self._write(self._all, latest)
        best = None if state.best is None else f"best-{state.best.epoch}"
        if best is not None and not (self._folder / f"{best}.index").exists():
            with self._trainer.averaged_weights():
                self._write(self._weights, best)
        record = CheckpointRecord(
            latest=latest, best=best, config=self._trainer.config.as_json(), data=self._data, state=state
        )
        files.write_text(self._path, encode(record))
        self._drop_all_but([name for name in (latest, best) if name])

    def restore(self) -> LoopState:
        """Restores the latest checkpoint; without one, training starts from the beginning.

        Raises:
            SpecError: the training run was started with another configuration.
            DataError: it was started on other data.
            TrainingError: the checkpoint is damaged.
        """
        if not self._path.exists():
            return LoopState()
        record = decode(CheckpointRecord, self._path.read_bytes(), str(self._path))
        _check_same(record, self._trainer.config, self._data)
        self._read(self._all, record.latest)
        return record.state

    def restore_best(self) -> None:
        """Puts the best epoch's weights into the model.

        Raises:
            TrainingError: the checkpoint is damaged.
        """
        record = decode(CheckpointRecord, self._path.read_bytes(), str(self._path))
        if record.best is not None:
            self._read(self._weights, record.best)

    def _write(self, checkpoint: Any, name: str) -> None:
        with tensorflow_writes(self._folder / name):
            checkpoint.write(str(self._folder / name))

    def _read(self, checkpoint: Any, name: str) -> None:
        try:
            with quiet_stderr():
                checkpoint.read(str(self._folder / name)).assert_existing_objects_matched()
        except Exception as e:  # TensorFlow raises whatever its reader ran into
            reason = (str(e).strip() or type(e).__name__).splitlines()[0][:200]
            raise TrainingError(f"the checkpoint {self._folder / name} is damaged: {reason}") from e

    def _drop_all_but(self, names: Iterable[str]) -> None:
        kept = tuple(f"{name}." for name in names)
        for file in self._folder.iterdir():
            if file.is_dir():
                # Left behind by a writer that was killed or ran into a full disk.
                shutil.rmtree(file)
            elif file != self._path and not file.name.startswith(kept):
                file.unlink()


def _check_same(record: CheckpointRecord, config: TrainConfig, data: DataIdentity) -> None:
    now = config.as_json()
    # A key that an older version did not have was as it is by default.
    then = {**TrainConfig().as_json(), **record.config}
    different = [f"{key} = {then[key]} (now {value})" for key, value in now.items() if then[key] != value]
    if different:
        raise SpecError(
            f"the interrupted training run was started with {', '.join(different)}: resume it with the same "
            f"configuration, or pass --force to start over"
        )
    if record.data != data:
        raise DataError(
            f"the interrupted training run was started on other data ({record.data.name}, {record.data.counts[0]} "
            f"items for training): resume it with the same data, or pass --force to start over"
        )
