"""The subjects of timing: artifacts and originals, each with the worker that runs it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path

from pocketvae.benchmarks.latency.config import BenchConfig
from pocketvae.benchmarks.latency.measure.worker_client import WORKER_COMMAND, BenchClient, start_worker
from pocketvae.benchmarks.latency.messages import Load, Loaded, OnnxCall, OriginalCall
from pocketvae.bundle.bundle import Bundle
from pocketvae.bundle.manifest import ArtifactRecord
from pocketvae.keras.model_form import Flavour
from pocketvae.spec import Component

# Of the worker that imports TensorFlow.
ORIGINALS_COMMAND: Sequence[str] = WORKER_COMMAND


@dataclass(kw_only=True)
class Subject:
    """Something to time, with its process and the results so far."""

    artifact: str
    target: str
    size_bytes: int
    load: Load
    worker: BenchClient
    record: ArtifactRecord | None = None
    loaded: Loaded | None = None
    values_s: list[float] = field(default_factory=list)
    cpu_s: float = 0.0
    elapsed_s: float = 0.0
    paced_s: dict[float, tuple[float, ...]] = field(default_factory=dict)
    unpaced: dict[float, str] = field(default_factory=dict)
    peak_rss_bytes: int = 0
    problem: str = ""

    def unpaced_reasons(self) -> list[str]:
        """Returns the reasons for rates at which it could not be timed."""
        return [f"at {rate:g}/s: {reason}" for rate, reason in self.unpaced.items()]


def subjects(
    bundle: Bundle, records: tuple[ArtifactRecord, ...], config: BenchConfig, stack: ExitStack
) -> Iterator[Subject]:
    """Yields everything to time; a subject that must not or cannot run has a problem."""
    for threads in config.threads:
        for record in records:
            for batch in config.batches or record.batches:
                yield _artifact(bundle, record, threads, batch, stack)
        if config.include_original:
            yield from _originals(bundle, records, threads, config, stack)


def artifact_load(bundle: Bundle, record: ArtifactRecord, threads: int, batch: int) -> Load:
    """Returns the request that opens an artifact."""
    path = bundle.artifact_path(record)
    load = _load(bundle, record.component, threads, batch, path)
    # A scorer's window is there in two units, of which each of its files takes one.
    samples = {spec.name: load.samples[spec.name] for spec in record.inputs if spec.name in load.samples}
    return replace(load, format=record.format, samples=samples)


def _artifact(bundle: Bundle, record: ArtifactRecord, threads: int, batch: int, stack: ExitStack) -> Subject:
    return Subject(
        artifact=record.name,
        target="host",
        size_bytes=record.file.size_bytes,
        load=artifact_load(bundle, record, threads, batch),
        worker=start_worker(stack),
        record=record,
        problem="" if batch in record.batches else _no_batch(record, batch),
    )


def _originals(
    bundle: Bundle, records: tuple[ArtifactRecord, ...], threads: int, config: BenchConfig, stack: ExitStack
) -> Iterator[Subject]:
    # One worker for all ways of calling: TensorFlow takes seconds to start and its threads are per process.
    worker = start_worker(stack, command=ORIGINALS_COMMAND)
    batches = config.batches or sorted({batch for record in records for batch in record.batches})
    components = dict.fromkeys(record.component for record in records)
    forms = bundle.manifest.forms
    onnx = {component for component, form in forms.items() if form.flavour is Flavour.ONNX}
    calls: list[tuple[Component, int, OriginalCall | OnnxCall]] = [
        (component, batch, how)
        for component, batch in product(components, batches)
        for how in (OnnxCall if component in onnx else OriginalCall)
    ]
    for handle, (component, batch, how) in enumerate(calls):
        named = config.original_paths.get(component)
        subject = _original(bundle, component, how, threads, batch, worker, named)
        if subject is not None:
            yield replace(subject, load=replace(subject.load, handle=handle))


def _original(
    bundle: Bundle,
    component: Component,
    how: OriginalCall | OnnxCall,
    threads: int,
    batch: int,
    worker: BenchClient,
    named: Path | None,
) -> Subject | None:
    """Returns the original to time, with a problem if it must not be loaded; None if the bundle has none."""
    file, form = bundle.manifest.original.get(component), bundle.manifest.forms.get(component)
    problem = ""
    if form is not None and form.flavour is Flavour.SAVED_MODEL and named is None:
        problem = f"a bundle does not contain SavedModels, which can run code: name yours with --original-{component}"
    elif form is not None and form.flavour is Flavour.SAVED_MODEL and how is OriginalCall.KERAS_PREDICT:
        problem = "a SavedModel does not have a predict method"
    elif form is not None and form.custom_code:
        problem = "the original contains custom code, which bench does not run"
    elif file is None and named is None:
        return None
    path = named or (bundle.path / file.path if file else bundle.path)
    return Subject(
        artifact=f"original {component}",
        target=how,
        size_bytes=size_of(path) if named else file.size_bytes if file else 0,
        load=replace(_load(bundle, component, threads, batch, path), original=how, form=form),
        worker=worker,
        problem=problem,
    )


def size_of(path: Path) -> int:
    """Returns the size in bytes of a file, or of all files in a folder; 0 if it does not exist."""
    if path.is_dir():
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return path.stat().st_size if path.is_file() else 0


def _no_batch(record: ArtifactRecord, batch: int) -> str:
    sizes = ", ".join(str(size) for size in record.batches)
    return f"the file supports batch sizes {sizes}, not {batch}: pocketvae export --batch adds sizes"


def _load(bundle: Bundle, component: Component, threads: int, batch: int, path: Path) -> Load:
    golden = bundle.manifest.golden(component)
    return Load(
        path=str(path),
        samples={name: str(bundle.path / file.path) for name, file in golden.inputs.items()},
        threads=threads,
        batch=batch,
        component=component,
        vae=bundle.manifest.vae,
    )
