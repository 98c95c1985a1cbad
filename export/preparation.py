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
from pocketvae.export.messages import CouplingJob, LoadJob, Prepared, PrepareJob, Spread, SpreadJob
from pocketvae.export.worker_process import WorkerProcess
from pocketvae.numerics.ceilings import FLOAT_CEILING
from pocketvae.spec import Component

_ONEDNN = "TF_ENABLE_ONEDNN_OPTS"


def other_way() -> dict[str, str]:
    """Returns the environment of a process that runs the original in another way: one thread, oneDNN on, not off.

    Without the variable, pocketvae's workers have oneDNN off.
    """
    flipped = "0" if os.environ.get(_ONEDNN) == "1" else "1"
    return {_ONEDNN: flipped, "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}


def prepare(
    worker: WorkerProcess,
    other: WorkerProcess,
    components: tuple[Component, ...],
    time_limit_s: float,
    *,
    allow_batch_dependence: bool = False,
) -> dict[Component, Prepared]:
    """Has goldens, calibration samples and noise floors made.

    Args:
        worker: Makes them.
        other: Started in `other_way`, and ended when the work is done.
        components: All that is exported, and what it is made of.
        time_limit_s: For each job.
        allow_batch_dependence: Whether an original may depend on what else is in the batch; then the workers run it
            one sample at a time.

    Raises:
        ExportError: the original cannot be loaded or run, or it deviates from itself by more than rounding can explain.
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
    found = _with_shared_floors([_widened(item, by_component[item.component]) for item in prepared])
    suspects = [item for item in found if allow_batch_dependence or item.floor.excess()]
    if suspects:
        found = _with_couplings(worker, found, suspects, time_limit_s)
    return {item.component: item for item in found}


def _with_shared_floors(prepared: list[Prepared]) -> list[Prepared]:
    floors = {item.component: item.floor for item in prepared}
    return [
        replace(item, floor=replace(floors[item.floor_of], ranges=item.floor.ranges, elbo_spread_nats=0.0))
        if item.floor_of
        else item
        for item in prepared
    ]


def _with_couplings(
    worker: WorkerProcess, prepared: list[Prepared], suspects: list[Prepared], time_limit_s: float
) -> list[Prepared]:
    """Returns the components with the layers that make their samples depend on one another.

    Raises:
        ExportError: one deviates from itself by more than rounding can explain.
    """
    # A generator deviates because of its decoder, whose layers say more.
    parts = [item for item in suspects if not item.component.is_composed] or suspects
    try:
        couplings = worker.coupling(CouplingJob(components=tuple(item.component for item in parts)), time_limit_s)
    except PocketVaeError as e:
        raise ExportError(f"the layers of the original model cannot be compared: {e}") from e
    layers = {item.component: item.layer for item in couplings}
    for item in parts:
        if item.floor.excess():
            raise ExportError(_refusal(item, layers.get(item.component, "")))
    return [replace(item, coupling=layers.get(item.component, "")) for item in prepared]


def _refusal(prepared: Prepared, layer: str) -> str:
    output, share = max(prepared.floor.excess().items(), key=lambda item: item[1])
    way = prepared.floor.cause.get(output, "in another way")
    found = (
        f"the original {prepared.component} must return the same {output!r} however it is run, but {way} it differs by "
        f"{share:.2g} of the range (rounding explains at most {FLOAT_CEILING:g})"
    )
    if layer.endswith("random"):
        return f"{found}: see {layer}; save the model without it, or for inference (training=False)"
    where = f": what else is in the batch changes {layer}" if layer else ""
    return (
        f"{found}{where}; save the model for inference (training=False), or export what it returns for one sample at a "
        f"time with --allow-batch-dependence"
    )


def _way() -> str:
    return f"1 thread, oneDNN {'on' if other_way()[_ONEDNN] == '1' else 'off'}"


def _widened(prepared: Prepared, spread: Spread) -> Prepared:
    floor = prepared.floor
    for cause, values in spread.ways.items():
        floor = floor.widened(values, cause)
    return replace(prepared, floor=floor)
