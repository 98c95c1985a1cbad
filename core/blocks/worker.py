"""A worker: opens a job once and computes one block after another into the work folder."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from importlib import metadata

from pocketvae.blocks.plan import Block, Compute, Job
from pocketvae.blocks.work_folder import Place, write_result
from pocketvae.errors import PocketVaeError
from pocketvae.system.environment import current_environment

# Other versions of these may compute other values, or not understand the job.
_COMPARED = ("pocketvae", "ai-edge-litert", "numpy", "onnxruntime", "ray")


@dataclass(frozen=True, kw_only=True)
class Greeting:
    """What a worker says of its machine.

    Attributes:
        versions: Of the packages that results depend on, by name.
        cpu: Model and instruction sets, which runtimes choose their kernels by.
        sees_work: Whether the work folder is there.
    """

    versions: dict[str, str]
    cpu: str
    sees_work: bool


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a block.

    Attributes:
        block: The block, whose result is in the work folder if there is no error.
        error: What is wrong with the data, the bundle or the disk, for the user.
    """

    block: Block
    error: str = ""


class BlockWorker:
    """One worker, which lives in a process of its own and is an actor of Ray."""

    def __init__(self, job: Job, place: Place) -> None:
        """Keeps the job; a process that took the place of a killed one begins here."""
        self._job, self._place = job, place
        self._open = contextlib.ExitStack()
        self._compute: Compute | None = None

    def greet(self) -> Greeting:
        """Says what the driver compares."""
        return greeting(self._place)

    def compute(self, block: Block) -> Outcome:
        """Computes a block and writes its result."""
        try:
            if self._compute is None:
                self._compute = self._open.enter_context(self._job.open())
            write_result(self._place, block, self._compute(block))
        except PocketVaeError as e:
            return Outcome(block=block, error=str(e))
        except OSError as e:
            place = f"{e.filename}: " if e.filename else ""
            return Outcome(block=block, error=f"{place}{e.strerror or e}")
        return Outcome(block=block)


def greeting(place: Place) -> Greeting:
    """Returns what a worker in this process would say."""
    versions = {}
    for package in _COMPARED:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    environment = current_environment()
    cpu = f"{environment.cpu} ({' '.join(environment.cpu_features)})"
    return Greeting(versions=versions, cpu=cpu, sees_work=place.is_there())
