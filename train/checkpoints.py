"""Checkpoints: everything that an interrupted training run needs to continue as if it had not been interrupted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pocketvae.documents import decode, encode
from pocketvae.errors import DataError, SpecError
from pocketvae.keras.io import import_tensorflow
from pocketvae.spec import STRICT
from pocketvae.system import files
from pocketvae.train.checkpoint_files import drop_all_but, read_checkpoint, write_checkpoint
from pocketvae.train.config import TrainConfig
from pocketvae.train.loop import LoopState
from pocketvae.train.trainer import Trainer

FOLDER_NAME = "checkpoints"
MILESTONE = f"{FOLDER_NAME}/state.json"
SCHEMA_VERSION = 1
# How the optimizer's state is laid out; records of older versions name none.
OPTIMIZER = "adam-slots"


@dataclass(frozen=True, kw_only=True)
class DataIdentity:
    """Identifies a data source.

    Attributes:
        name: Name of the source.
        counts: Numbers of training, validation and test items.
        sha256: SHA-256 of the training items, hexadecimal.
        held_out_sha256: That of the items for validation, and behind them those for testing; empty in records of older
            versions.
    """

    __pydantic_config__ = STRICT
    name: str
    counts: tuple[int, int, int]
    sha256: str
    held_out_sha256: str = ""


@dataclass(frozen=True, kw_only=True)
class CheckpointRecord:
    """The document next to the weights, which only count once it names them.

    Attributes:
        latest: Name of the checkpoint to continue from.
        best: Name of the weights of the best epoch.
        config: The training configuration as plain JSON values.
        optimizer: How the optimizer's state is laid out.
    """

    __pydantic_config__ = STRICT
    schema_version: int = SCHEMA_VERSION
    latest: str
    best: str | None
    config: dict[str, Any]
    data: DataIdentity
    state: LoopState
    optimizer: str = ""


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
        write_checkpoint(self._all, self._folder / latest)
        best = None if state.best is None else f"best-{state.best.epoch}"
        if best is not None and not (self._folder / f"{best}.index").exists():
            with self._trainer.averaged_weights():
                write_checkpoint(self._weights, self._folder / best)
        record = CheckpointRecord(
            latest=latest,
            best=best,
            config=self._trainer.config.as_json(),
            data=self._data,
            state=state,
            optimizer=OPTIMIZER,
        )
        files.write_text(self._path, encode(record))
        drop_all_but(self._path, [name for name in (latest, best) if name])

    def restore(self) -> LoopState:
        """Restores the latest checkpoint; without one, training starts from the beginning.

        Raises:
            SpecError: the training run was started with another configuration, or by an older version whose
                checkpoints cannot be continued.
            DataError: it was started on other data.
            TrainingError: the checkpoint is damaged.
        """
        if not self._path.exists():
            return LoopState()
        record = decode(CheckpointRecord, self._path.read_bytes(), str(self._path))
        _check_same(record, self._trainer.config, self._data)
        read_checkpoint(self._all, self._folder / record.latest)
        return record.state

    def restore_best(self) -> None:
        """Puts the best epoch's weights into the model.

        Raises:
            TrainingError: the checkpoint is damaged.
        """
        record = decode(CheckpointRecord, self._path.read_bytes(), str(self._path))
        if record.best is not None:
            read_checkpoint(self._weights, self._folder / record.best)


def check_configuration(folder: Path, config: TrainConfig) -> None:
    """Checks, before data are read, that a configuration is that of the run in a folder, if there is one.

    Raises:
        SpecError: the training run was started with another configuration.
    """
    if (folder / MILESTONE).exists():
        path = folder / MILESTONE
        _check_same_configuration(decode(CheckpointRecord, path.read_bytes(), str(path)), config)


def _check_same_configuration(record: CheckpointRecord, config: TrainConfig) -> None:
    now = config.as_json()
    # A key that an older version did not have was as it is by default.
    then = {**TrainConfig().as_json(), **record.config}
    different = [f"{key} = {then[key]} (now {value})" for key, value in now.items() if then[key] != value]
    if different:
        raise SpecError(
            f"the interrupted training run was started with {', '.join(different)}: resume it with the same "
            f"configuration, or pass --force to start over"
        )


def _check_same(record: CheckpointRecord, config: TrainConfig, data: DataIdentity) -> None:
    _check_same_configuration(record, config)
    known = data if record.data.held_out_sha256 else replace(data, held_out_sha256="")
    if record.data != known:
        is_trained = record.data == replace(known, held_out_sha256=record.data.held_out_sha256)
        which = "other items for validation or testing" if is_trained else "other data"
        raise DataError(
            f"the interrupted training run was started on {which} ({record.data.name}, {record.data.counts[0]} "
            f"items for training): resume it with the same data, or pass --force to start over"
        )
    if record.optimizer != OPTIMIZER:
        raise SpecError(
            "the interrupted training run is one of another version of pocketvae, whose optimizer keeps other values: "
            "resume it with that version, or pass --force to start over"
        )
