"""Output of latents as a table: `.npz`, CSV, or Parquet for data tools."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from pocketvae.apps.choice import Choice
from pocketvae.apps.sources import SourceImages
from pocketvae.errors import SpecError, TargetError
from pocketvae.installation import install_command
from pocketvae.models.components import Posterior
from pocketvae.models.model_bundle import ModelBundle
from pocketvae.numerics.latents import split_latents
from pocketvae.progress import Progress, ProgressCallback, ignore_progress
from pocketvae.system import files
from pocketvae.vae_spec import LOG_VAR_ENDING, MEAN_ENDING, Latent

_Arrays: TypeAlias = dict[str, npt.NDArray[Any]]

_CHUNK = 64


def encode_images(
    bundle: ModelBundle,
    source: SourceImages,
    choice: Choice,
    label: int | None = None,
    progress: ProgressCallback = ignore_progress,
) -> Posterior:
    """Returns the posteriors of all images.

    Raises:
        ManifestError: the bundle has no encoder of the precision.
        SpecError: the label does not fit the VAE.
        DataError: there are no items, or images that are no pixels.
    """
    source.check(bundle.vae)
    encoder = choice.encoder(bundle)
    labels = source.labels_for(bundle.vae, label)
    parts = []
    for first in range(0, len(source), _CHUNK):
        part = slice(first, first + _CHUNK)
        own = labels[part] if isinstance(labels, np.ndarray) else labels
        with source.named_from(first, bundle.vae):
            parts.append(encoder.encode(source.images[part], own))
        progress(Progress(stage="encoding", done=min(first + _CHUNK, len(source)), total=len(source)))
    return Posterior.joined(parts)


def check_latents_output(out: Path, *, force: bool) -> None:
    """Checks, before any work, that the output can be written.

    Raises:
        SpecError: the extension is not `.npz`, `.csv` or `.parquet`.
        TargetError: pyarrow, which writes Parquet, is not installed.
        OutputExistsError: it exists and `force` is off.
    """
    if out.suffix.lower() not in _WRITERS:
        raise SpecError(f"the output must end in .npz, .csv or .parquet, got {out.name!r}")
    if out.suffix.lower() == ".parquet":
        try:
            import pyarrow.parquet  # noqa: F401
        except ImportError as e:
            raise TargetError(f"Parquet needs pyarrow: run {install_command('parquet')}, or write .npz") from e
    files.check_output(out, force=force)


def write_latents(
    out: Path, posterior: Posterior, source: SourceImages, *, latents: Sequence[Latent] = (), force: bool
) -> None:
    """Writes names, labels if there are any, means and log-variances.

    An `.npz` holds `names`, `z_mean`, `z_log_var` and `labels`; a CSV or Parquet file a column `name`, `label`,
    `z_mean_0`, ..., `z_log_var_0`, .... An encoder without a posterior has no log-variances; one of integer codes has
    `z` alone; one of several latents has those of each under its name.

    Args:
        out: The file.
        posterior: Of all items.
        source: The items.
        latents: Of the VAE, if it has several.
        force: Replace the file if it exists.

    Raises:
        SpecError: the extension is not `.npz`, `.csv` or `.parquet`.
        TargetError: pyarrow, which writes Parquet, is not installed.
        OutputExistsError: the file exists and `force` is off.
    """
    check_latents_output(out, force=force)
    with files.staged_file(out, force=force) as temporary:
        _WRITERS[out.suffix.lower()](temporary, _latents(posterior, latents), source)


def _write_arrays(path: Path, latents: _Arrays, source: SourceImages) -> None:
    labels = {} if source.labels is None else {"labels": source.labels}
    arrays = {"names": np.array(source.names), **latents}
    with path.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays, **labels)


def _write_csv(path: Path, latents: _Arrays, source: SourceImages) -> None:
    columns = _columns(latents, source)
    # A float32 is written with as many digits as it takes to read the same one again.
    texts = [map(str, column) for column in columns.values()]
    with path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*texts, strict=True))


def _write_parquet(path: Path, latents: _Arrays, source: SourceImages) -> None:
    import pyarrow
    import pyarrow.parquet

    columns = _columns(latents, source)
    # Parquet holds UTF-8 alone, which a file name need not be.
    columns["name"] = [name.encode("utf-8", "replace").decode() for name in source.names]
    pyarrow.parquet.write_table(pyarrow.table(columns), path)


def _latents(posterior: Posterior, latents: Sequence[Latent]) -> _Arrays:
    """Returns the arrays `[N, D]` by name; one without a posterior has means alone, or the codes `z`."""
    if posterior.z_mean.dtype.kind == "i" and len(latents) <= 1:
        return {"z": posterior.z_mean}
    arrays: _Arrays = {}
    for values, ending in ((posterior.z_mean, MEAN_ENDING), (posterior.z_log_var, LOG_VAR_ENDING)):
        if values is not None:
            parts = split_latents(values, latents) if len(latents) > 1 else {"z": values}
            arrays |= {f"{name}{ending}": part.reshape(len(part), -1) for name, part in parts.items()}
    for latent in latents:
        if latent.codes:
            arrays[latent.name] = arrays.pop(f"{latent.name}{MEAN_ENDING}")
            arrays.pop(f"{latent.name}{LOG_VAR_ENDING}", None)
    return arrays


def _columns(latents: _Arrays, source: SourceImages) -> dict[str, Sequence[Any]]:
    columns: dict[str, Any] = {"name": list(source.names)}
    if source.labels is not None:
        columns["label"] = source.labels
    for name, values in latents.items():
        columns |= {f"{name}_{dimension}": values[:, dimension] for dimension in range(values.shape[1])}
    return columns


_WRITERS = {".npz": _write_arrays, ".csv": _write_csv, ".parquet": _write_parquet}
