"""Preparation of an export: goldens and noise floors of all components, from two ways of running the original.

TensorFlow reads its number of threads and its choice of oneDNN when it is imported, so the other way needs a separate
process. It starts at the same time as the first one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from pocketvae.errors import ExportError, PocketVaeError
from pocketvae.export.messages import LoadJob, Prepared, PrepareJob, Spread, SpreadJob
from pocketvae.export.worker_process import WorkerProcess
from pocketvae.spec import Component

_ONEDNN = "TF_ENABLE_ONEDNN_OPTS"


def other_way() -> dict[str, str]:
    """Returns the environment of a process that runs the original in another way: one thread, oneDNN on, not off.

    Without the variable, pocketvae's workers have oneDNN off.
    """
    flipped = "0" if os.environ.get(_ONEDNN) == "1" else "1"
    return {_ONEDNN: flipped, "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}


def prepare(
    worker: WorkerProcess, other: WorkerProcess, components: tuple[Component, ...], time_limit_s: float
) -> dict[Component, Prepared]:
    """Has goldens, calibration samples and noise floors made.

    Args:
        worker: Makes them.
        other: Started in `other_way`, and ended when the work is done.
        components: All that is exported, and what it is made of.
        time_limit_s: For each job.

    Raises:
        ExportError: the original cannot be loaded or run.
    """
    with ThreadPoolExecutor(1) as pool, other:  # other ends first, so that an error need not wait for its loading
        loading = pool.submit(other.load, LoadJob(components=components), time_limit_s)
        try:
            prepared = worker.prepare(PrepareJob(components=components), time_limit_s)
        except PocketVaeError as e:
            raise ExportError(f"the original model cannot be prepared: {e}") from e
        try:
            loading.result()
            spreads = other.spread(SpreadJob(components=components, way=_way()), time_limit_s)
        except PocketVaeError as e:
            raise ExportError(f"the original model cannot be run a second time in another way: {e}") from e
    by_component: Mapping[Component, Spread] = {spread.component: spread for spread in spreads}
    return {item.component: _widened(item, by_component[item.component]) for item in prepared}


def _way() -> str:
    return f"1 thread, oneDNN {'on' if other_way()[_ONEDNN] == '1' else 'off'}"


def _widened(prepared: Prepared, spread: Spread) -> Prepared:
    floor = prepared.floor
    for cause, values in spread.ways.items():
        floor = floor.widened(values, cause)
    return replace(prepared, floor=floor)
