"""Checkpoints of a distillation: what an interrupted one needs to go on as if it had not been interrupted."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pocketvae.distil.config import DistilConfig
from pocketvae.distil.record import Candidate
from pocketvae.distil.training import Learner, Reached
from pocketvae.documents import decode, encode
from pocketvae.errors import DataError, SpecError
from pocketvae.keras.io import import_tensorflow
from pocketvae.spec import STRICT
from pocketvae.system import files
from pocketvae.train.checkpoint_files import drop_all_but, read_checkpoint, write_checkpoint

FOLDER_NAME = "checkpoints"
MILESTONE = f"{FOLDER_NAME}/distil.json"
SCHEMA_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class State:
    """The document beside the weights, which count once it names them.

    Attributes:
        config: Of the distillation.
        teacher_sha256: Of the teacher's decoder.
        data_sha256: Of the items that are learned from; empty for none.
        tried: What the search measured.
        finalists: What it found; once one is chosen, with losses and in their order.
        weights: Name of the checkpoint to go on from; empty before one is chosen.
        step: Steps taken.
        recent: Losses of the last of them.
        elapsed_s: Seconds of training.
    """

    __pydantic_config__ = STRICT
    schema_version: int = SCHEMA_VERSION
    config: DistilConfig
    teacher_sha256: str
    data_sha256: str = ""
    tried: tuple[Candidate, ...]
    finalists: tuple[Candidate, ...]
    weights: str = ""
    step: int = 0
    recent: tuple[float, ...] = ()
    elapsed_s: float = 0.0

    @property
    def reached(self) -> Reached:
        """How far the training is."""
        return Reached(step=self.step, recent=self.recent)


class Checkpoints:
    """Keeps the latest checkpoint of a distillation in a folder."""

    def __init__(self, folder: Path, config: DistilConfig, teacher_sha256: str, data_sha256: str = "") -> None:
        """Names the folder of the run."""
        self._folder, self._path = folder / FOLDER_NAME, folder / MILESTONE
        self._config, self._teacher_sha256, self._data_sha256 = config, teacher_sha256, data_sha256

    def read(self) -> State | None:
        """Returns the latest state; None where nothing was saved.

        Raises:
            SpecError: it was saved with another configuration.
            DataError: it was saved for another teacher, or with other data.
            ManifestError: the document is damaged.
        """
        if not self._path.exists():
            return None
        state = decode(State, self._path.read_bytes(), str(self._path))
        if state.config != self._config:
            raise SpecError(
                f"the interrupted distillation was started with {', '.join(_differences(state.config, self._config))}: "
                f"resume it with the same options, or pass --force to start over"
            )
        if state.teacher_sha256 != self._teacher_sha256:
            raise DataError(
                "the interrupted distillation was started with another teacher: resume it with the same one, or pass "
                "--force to start over"
            )
        if state.data_sha256 != self._data_sha256:
            raise DataError(
                "the interrupted distillation was started with other data: resume it with the same --data, or pass "
                "--force to start over"
            )
        return state

    def begin(self, tried: tuple[Candidate, ...], finalists: tuple[Candidate, ...]) -> State:
        """Saves what the search found, and returns it."""
        state = State(
            config=self._config,
            teacher_sha256=self._teacher_sha256,
            data_sha256=self._data_sha256,
            tried=tried,
            finalists=finalists,
        )
        self._folder.mkdir(exist_ok=True)
        files.write_text(self._path, encode(state))
        return state

    def save(self, state: State, learner: Learner, reached: Reached, elapsed_s: float) -> State:
        """Writes a checkpoint, then drops the one before it.

        Raises:
            TrainingError: the disk is full, or the folder cannot be written.
        """
        name = f"step-{reached.step}"
        write_checkpoint(_tracked(learner), self._folder / name)
        state = replace(state, weights=name, step=reached.step, recent=reached.recent, elapsed_s=elapsed_s)
        files.write_text(self._path, encode(state))
        drop_all_but(self._path, [name])
        return state

    def restore(self, state: State, learner: Learner) -> None:
        """Puts the weights and the optimizer of a state into a learner.

        Raises:
            TrainingError: the checkpoint is damaged.
        """
        read_checkpoint(_tracked(learner), self._folder / state.weights)


def _tracked(learner: Learner) -> Any:
    return import_tensorflow().train.Checkpoint(model=learner.model, optimizer=learner.optimizer)


def _differences(then: DistilConfig, now: DistilConfig) -> list[str]:
    """Returns what two configurations differ in, by the names of options: `--steps 100 (now 200)`."""
    pairs = zip(_flat(then).items(), _flat(now).values(), strict=True)
    return [
        f"--{'for' if key == 'chip' else key.replace('_', '-')} {_shown(old)} (now {_shown(new)})"
        for (key, old), new in pairs
        if old != new
    ]


def _shown(value: object) -> object:
    return "not given" if value in (None, "") else value


def _flat(config: DistilConfig) -> dict[str, Any]:
    return {**asdict(config.targets), **{key: value for key, value in asdict(config).items() if key != "targets"}}
