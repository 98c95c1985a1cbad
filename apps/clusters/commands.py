"""The commands on a cluster: each yields what the same work on this machine returns, while the work folder is there."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from pocketvae.apps.anomaly.calibration import Calibration
from pocketvae.apps.anomaly.scores import ScoredItems, ScoreKind
from pocketvae.apps.choice import Choice
from pocketvae.apps.clusters import jobs
from pocketvae.apps.clusters.jobs import BEYOND, FAR, ITEM, LABEL, NAME, RECONSTRUCTION, Z_LOG_VAR, Z_MEAN
from pocketvae.apps.clusters.reading import Source, WholeReader, at_hand, fingerprint, open_reader
from pocketvae.apps.clusters.running import Run, check_apart, item_bytes, prepared_source
from pocketvae.apps.compression.codec import Decompressed, EncodedItems, decompress
from pocketvae.apps.compression.codec_tables import CodecTables
from pocketvae.apps.generation.generate import GenerateRequest, Items
from pocketvae.apps.generation.reconstruct import Reconstruction
from pocketvae.apps.sources import SourceImages
from pocketvae.blocks.columns import Texts
from pocketvae.blocks.plan import SKIPPED, Arrays
from pocketvae.errors import DataWarning
from pocketvae.models.components import Posterior
from pocketvae.progress import Progress, ProgressCallback
from pocketvae.runtimes.base import FloatArray
from pocketvae.system.files import sha256_bytes, write_pieces

# Refuses a number of items before any work.
Check: TypeAlias = Callable[[int], None]
# Refuses items that are like the first.
CheckItem: TypeAlias = Callable[[SourceImages], object]
_CHUNK = 64
# Items that are left out, in a message.
_NAMED = 5
_DOUBLE, _FLOAT = 8, 4
# Of an item, at least.
_NAME_BYTES = 64


@contextlib.contextmanager
def encoded_on_cluster(
    run: Run, source: Source, choice: Choice, label: int | None
) -> Iterator[tuple[Posterior, SourceImages]]:
    """Yields the posteriors of all items, and the items' names and labels; see `encode_images`."""
    choice.encoder(run.bundle)
    with _encoded(run, source, choice, label) as columns:
        yield Posterior(z_mean=columns[Z_MEAN], z_log_var=columns.get(Z_LOG_VAR)), _items(columns, columns[Z_MEAN])


@contextlib.contextmanager
def compressible_on_cluster(
    run: Run, source: Source, choice: Choice, label: int | None, check: Check
) -> Iterator[EncodedItems]:
    """Yields the items of a source as `compress_encoded` takes them."""
    vae = run.bundle.vae
    with _encoded(run, source, choice, label, check, lambda item: item.decoder_labels(vae, label)) as columns:
        z_mean = columns[Z_MEAN]
        yield EncodedItems(
            names=Texts(columns[NAME]),
            z_mean=z_mean,
            far=columns[FAR],
            labels=_items(columns, z_mean).decoder_labels(vae, label),
            are_same=lambda: bool((z_mean == z_mean[0]).all()),
        )


@contextlib.contextmanager
def _encoded(
    run: Run,
    source: Source,
    choice: Choice,
    label: int | None,
    check: Check = lambda count: None,
    check_item: CheckItem = lambda item: None,
) -> Iterator[Arrays]:
    bytes_per_item = _NAME_BYTES + 2 * _FLOAT * run.bundle.vae.latent_dim
    job = jobs.EncodeJob(bundle=run.models, source=source, choice=choice, label=label)
    with _item_columns(run, job, bytes_per_item, check, check_item) as (columns, _):
        yield columns


@contextlib.contextmanager
def scored_on_cluster(
    run: Run, source: Source, choice: Choice, label: int | None, calibration: Calibration
) -> Iterator[ScoredItems]:
    """Yields the scores of all items; see `scores`."""
    choice.encoder(run.bundle), choice.decoder(run.bundle)
    job = jobs.ScoreJob(bundle=run.models, source=source, choice=choice, label=label, calibration=calibration)
    bytes_per_item = _NAME_BYTES + _DOUBLE * len(calibration.thresholds)
    with (
        _item_columns(run, job, bytes_per_item) as (columns, prepared),
        at_hand(prepared, run.bundle.vae) as own,
    ):
        reader = open_reader(own, run.bundle.vae)
        items = _items(columns, columns[BEYOND])
        if isinstance(reader, WholeReader) and reader.items.timeline is not None:
            items = reader.items
        yield ScoredItems(
            items=items,
            values={kind: columns[kind] for kind in ScoreKind if kind in columns},
            beyond=columns[BEYOND],
        )


@contextlib.contextmanager
def reconstructed_on_cluster(
    run: Run, source: Source, choice: Choice, label: int | None, check: Check
) -> Iterator[Reconstruction]:
    """Yields items and their reconstructions; see `reconstruct`."""
    choice.encoder(run.bundle), choice.decoder(run.bundle)
    job = jobs.ReconstructJob(bundle=run.models, source=source, choice=choice, label=label)
    with _item_columns(run, job, _NAME_BYTES + 2 * item_bytes(run.bundle.vae), check) as (columns, _):
        yield Reconstruction(vae=run.bundle.vae, images=columns[ITEM], reconstructions=columns[RECONSTRUCTION])


@contextlib.contextmanager
def generated_on_cluster(run: Run, request: GenerateRequest, done: int) -> Iterator[Iterator[Items]]:
    """Yields the items of a request but for those that are done, up to 64 at a time; see `generate`.

    All of the request is computed, which what is done does not change: so results of an interrupted run fit the next.
    """
    job = jobs.GenerateJob(bundle=run.models, request=request)
    with run.work_folder(sha256_bytes(repr(request).encode())) as work:
        columns = run.columns(work, job, request.count, result_bytes=item_bytes(run.bundle.vae))
        yield _chunks(columns[ITEM][done:], run.progress)


def _chunks(items: npt.NDArray[Any], progress: ProgressCallback) -> Iterator[Items]:
    for first in range(0, len(items), _CHUNK):
        yield items[first : first + _CHUNK]
        progress(Progress(stage="writing", done=min(first + _CHUNK, len(items)), total=len(items)))


@contextlib.contextmanager
def decompressed_on_cluster(
    run: Run, tables: CodecTables, data: bytes, choice: Choice, name: str
) -> Iterator[Decompressed]:
    """Yields the items of a compressed file; see `decompress`."""
    run = replace(run, options={**run.options, "precision": str(choice.precision), "format": str(choice.format)})
    with run.work_folder(sha256_bytes(data)) as work:

        def decode(z: FloatArray, labels: npt.NDArray[np.int32] | None) -> npt.NDArray[Any]:
            given = {jobs.LATENTS: z} if labels is None else {jobs.LATENTS: z, jobs.CLASSES: labels}
            for file, values in given.items():
                content = io.BytesIO()
                np.save(content, values, allow_pickle=False)
                work.place.write(file, content.getvalue())
            job = jobs.DecodeJob(bundle=run.models, place=work.place, has_labels=labels is not None, choice=choice)
            return run.columns(work, job, len(z), result_bytes=item_bytes(run.bundle.vae))[ITEM]

        yield decompress(run.bundle, tables, data, choice, name=name, decode=decode)


@contextlib.contextmanager
def _item_columns(
    run: Run,
    job: jobs.ItemJob,
    result_bytes: int,
    check: Check = lambda count: None,
    check_item: CheckItem = lambda item: None,
) -> Iterator[tuple[Arrays, Source]]:
    """Yields the columns of a job's items, and its source as it was read."""
    run = replace(run, options={**run.options, **_options(job)})
    check_apart(run.out, job.source)
    with run.work_folder(fingerprint(job.source)) as work:
        source, count, one = prepared_source(job.source, work, run.bundle.vae)
        check(count)
        if len(one):
            # What does not fit the model, a label for instance, is said before Ray starts.
            check_item(one)
            job.of_items(run.bundle, one)
        columns = run.columns(work, replace(job, source=source), count, result_bytes=result_bytes)
        lost = list(Texts(columns[SKIPPED])) if SKIPPED in columns else []
        if lost:
            warnings.warn(_left_out(lost, run.skipped.name), DataWarning, stacklevel=4)
        yield columns, source
        if lost:
            write_pieces(run.skipped, (f"{text}\n" for text in lost))
        else:
            run.skipped.unlink(missing_ok=True)


def _left_out(lost: list[str], name: str) -> str:
    more = f"; {len(lost) - _NAMED} more" if len(lost) > _NAMED else ""
    return f"left out, because it cannot be read: {'; '.join(lost[:_NAMED])}{more}; {name} names all"


def _options(job: jobs.ItemJob) -> dict[str, str]:
    source = job.source
    told = {
        "precision": job.choice.precision,
        "format": job.choice.format,
        "label": job.label,
        "resize": source.resize,
        "count": source.count,
        "windowing": source.windowing,
        "skip_corrupt": source.skip_corrupt,
    }
    return {name: str(value) for name, value in told.items()}


def _items(columns: Arrays, values: npt.NDArray[Any]) -> SourceImages:
    """Returns names and labels as items of a source, whose values nobody looks at any more."""
    return SourceImages(images=values, names=Texts(columns[NAME]), labels=columns.get(LABEL))
