"""Sharing a batch among workers with `tf.distribute`: one process, several devices, or several machines.

Every worker holds the same weights, takes its part of every batch and adds its gradients to the others'. The noise of
a step is drawn for the whole batch and split like the batch, so that the number of workers only changes the order
of sums; but the scales of Student's t are the mean of those that fit the workers' parts.
"""

from __future__ import annotations

import contextlib
import enum
import functools
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.errors import SpecError
from pocketvae.keras.io import import_tensorflow
from pocketvae.parsing import parse_json


class Strategy(enum.StrEnum):
    """Who trains.

    NONE: this process on its default device. MIRRORED: this process on all of its devices
    (`tf.distribute.MirroredStrategy`). MULTI_WORKER: this and other processes that TF_CONFIG names
    (`tf.distribute.MultiWorkerMirroredStrategy`).
    """

    NONE = "none"
    MIRRORED = "mirrored"
    MULTI_WORKER = "multi_worker"


class Workers:
    """The replicas that train one model together."""

    def __init__(self, strategy: Any | None) -> None:
        """Wraps a `tf.distribute` strategy; None is a single replica without one."""
        self._strategy = strategy
        self.count: int = 1 if strategy is None else strategy.num_replicas_in_sync

    @classmethod
    def start(cls, strategy: Strategy, batch_size: int) -> Workers:
        """Starts a strategy; with several processes this waits for all of them.

        Args:
            strategy: The strategy to start.
            batch_size: Size of the whole batch.

        Raises:
            SpecError: TF_CONFIG is missing or damaged, or the replicas cannot share the batch evenly.
        """
        if strategy is Strategy.NONE:
            return cls(None)
        tf = import_tensorflow()
        if strategy is Strategy.MULTI_WORKER:
            _check_tf_config()
            workers = cls(tf.distribute.MultiWorkerMirroredStrategy())
        else:
            workers = cls(_mirrored(tuple(device.name for device in _fastest_devices(tf))))
        if batch_size % workers.count:
            raise SpecError(f"batch_size must be a multiple of the {workers.count} replicas, got {batch_size}")
        return workers

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the run."""
        if self._strategy is None:
            return True
        resolver = self._strategy.cluster_resolver
        if resolver is None or not resolver.task_type:
            return True
        return bool(resolver.task_type == "chief" or (resolver.task_type == "worker" and resolver.task_id == 0))

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """Returns the context in which shared variables are created."""
        return contextlib.nullcontext() if self._strategy is None else self._strategy.scope()

    def scatter(self, items: npt.NDArray[Any], labels: npt.NDArray[np.int32]) -> tuple[Any, Any, Any]:
        """Splits a batch: returns items, labels and the position of the first item, per replica of this process."""
        tf = import_tensorflow()
        if self._strategy is None:
            return items, labels, np.int32(0)
        size = len(items) // self.count

        def distribute(values: npt.NDArray[Any]) -> Any:
            def part(context: Any) -> Any:
                first = context.replica_id_in_sync_group * size
                return tf.convert_to_tensor(values[first : first + size])

            return self._strategy.experimental_distribute_values_from_function(part)  # type: ignore[union-attr]

        def start(context: Any) -> Any:
            return tf.constant(context.replica_id_in_sync_group * size, tf.int32)

        first = self._strategy.experimental_distribute_values_from_function(start)
        return distribute(items), distribute(labels), first

    def run(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        """Runs a function in every replica and returns the sum of the results."""
        if self._strategy is None:
            return function(*arguments)
        tf = import_tensorflow()
        parts = self._strategy.run(function, args=arguments)
        return self._strategy.reduce(tf.distribute.ReduceOp.SUM, parts, axis=None)

    def mean(self, value: Any) -> Any:
        """Returns the mean of a value over all replicas; called inside a replica."""
        if self._strategy is None:
            return value
        tf = import_tensorflow()
        return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, value)


@functools.cache
def _mirrored(devices: tuple[str, ...]) -> Any:
    """Returns one strategy for all trainings of a process: sums of a second one would have the shapes of the first."""
    return import_tensorflow().distribute.MirroredStrategy(list(devices))


def _fastest_devices(tf: Any) -> list[Any]:
    return list(tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU"))


def _check_tf_config() -> None:
    text = os.environ.get("TF_CONFIG", "")
    try:
        config = parse_json(text)
        workers, index = config["cluster"]["worker"], config["task"]["index"]
    except (ValueError, KeyError, TypeError) as e:
        raise SpecError(
            'strategy multi_worker needs TF_CONFIG, for example {"cluster": {"worker": ["host:port", "host:port"]}, '
            f'"task": {{"type": "worker", "index": 0}}}}, got {text[:60]!r}'
        ) from e
    if not isinstance(workers, list) or not isinstance(index, int) or not 0 <= index < len(workers):
        raise SpecError(f"TF_CONFIG's task index must be one of its {len(workers)} workers, got {index}")
