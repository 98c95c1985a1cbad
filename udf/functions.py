"""Functions of batches that can be sent to other machines: they hold a path, and open the bundle where they run."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from pocketvae.apps import Calibration, Choice, ScoreKind, SourceImages
from pocketvae.apps.anomaly.features import image_features
from pocketvae.apps.anomaly.scores import check_score, default_score, scores
from pocketvae.apps.compression.codec import decoded_items
from pocketvae.apps.generation.reconstruct import reconstruct as reconstruct_items
from pocketvae.apps.latents_file import encode_images
from pocketvae.documents import decode as read_document
from pocketvae.errors import DataError, DataWarning, SpecError
from pocketvae.models.model_bundle import ModelBundle
from pocketvae.numerics.normalization import for_user
from pocketvae.spec import Format, Precision, parse_choice
from pocketvae.udf.cells import Results, check_columns, items_of, labels_of, latents_of, spark_schema
from pocketvae.udf.opened import opened
from pocketvae.vae_spec import DataKind

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

Tabular = TypeVar("Tabular", "pa.RecordBatch", "pa.Table")


@dataclass(frozen=True, kw_only=True)
class BatchFunction(ABC):
    """Something that a bundle computes of the rows of a table; picklable.

    Attributes:
        bundle: Path of the bundle's folder, the same on every machine.
        column: The column that is read.
        keep: Columns that the result has too.
        label_column: Column with the class of each item, for a class-conditional VAE.
        choice: Which artifacts to use.
    """

    bundle: str
    column: str
    keep: tuple[str, ...] = ()
    label_column: str | None = None
    choice: Choice = field(default_factory=Choice)

    def pandas(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Returns the results of a pandas frame, with its index: for Dask's map_partitions and alone.

        Raises:
            PocketVaeError: it is something else, a column is missing, or an item is not what the model takes.
        """
        import pandas

        if not isinstance(frame, pandas.DataFrame):
            raise DataError(f"pandas takes a DataFrame, got {type(frame).__name__}")
        self._check_columns(frame.columns)
        labels = None if self.label_column is None else frame[self.label_column].tolist()
        results = self.rows(frame[self.column].tolist(), labels)
        columns = {name: values if _is_flat(values) else list(values) for name, values in results.items()}
        kept = {name: frame[name] for name in self.keep}
        made = {name: pandas.Series(values, index=frame.index) for name, values in columns.items()}
        return pandas.DataFrame({**kept, **made}, index=frame.index)

    def pandas_batches(self, frames: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        """Yields the results of pandas frames: for Spark's mapInPandas.

        Raises:
            PocketVaeError: it is something else, or what `pandas` raises, when it is that frame's turn.
        """
        return map(self.pandas, _several(frames, "pandas_batches", "DataFrames", "pandas"))

    def arrow(self, batch: Tabular) -> Tabular:
        """Returns the results of an Arrow batch or table as one of the same.

        Raises:
            PocketVaeError: it is something else, a column is missing, or an item is not what the model takes.
        """
        import pyarrow

        if not isinstance(batch, pyarrow.RecordBatch | pyarrow.Table):
            raise DataError(f"arrow takes a RecordBatch or a Table, got {type(batch).__name__}")
        self._check_columns(batch.schema.names)
        labels = None if self.label_column is None else batch.column(self.label_column).to_pylist()
        results = self.rows(_arrow_cells(batch.column(self.column)), labels)
        made = {name: _arrow_column(values) for name, values in results.items()}
        columns = {**{name: batch.column(name) for name in self.keep}, **made}
        return type(batch).from_arrays(list(columns.values()), names=list(columns))

    def arrow_batches(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yields the results of Arrow batches: for Spark's mapInArrow.

        Raises:
            PocketVaeError: it is something else, or what `arrow` raises, when it is that batch's turn.
        """
        return map(self.arrow, _several(batches, "arrow_batches", "RecordBatches", "arrow"))

    def elements(self, batch: Iterable[Any]) -> list[dict[str, Any]]:
        """Returns the results of items, a dict for each: for Beam, behind BatchElements.

        Args:
            batch: A dict for each row of a table, with all columns that are read or kept; or, where nothing but an item
                is, the items alone, as a cell of the column would hold them.

        Raises:
            PocketVaeError: an element has another form, or an item is not what the model takes.
        """
        rows = list(_several(batch, "elements", "items or of dicts"))
        are_alone = self._are_alone(rows)
        labels = None if self.label_column is None else [element[self.label_column] for element in rows]
        results = self.rows(rows if are_alone else [element[self.column] for element in rows], labels)
        return [
            {**{name: element[name] for name in self.keep}, **{name: values[row] for name, values in results.items()}}
            for row, element in enumerate(rows)
        ]

    def _are_alone(self, rows: list[Any]) -> bool:
        """Tells whether elements are items, and not dicts, which have all columns that are read."""
        are_dicts = [isinstance(row, Mapping) for row in rows]
        if any(are_dicts) and not all(are_dicts):
            one, other = are_dicts.index(True), are_dicts.index(False)
            raise DataError(f"do not mix dicts and items: element {one} is a dict, element {other} is not")
        if rows and not any(are_dicts) and (self.keep or self.label_column):
            raise DataError(f"element 0 must be a dict with {', '.join(map(repr, self._read))}")
        for row in rows if all(are_dicts) else ():
            self._check_columns(row)
        return not all(are_dicts)

    @property
    def schema(self) -> str:
        """The columns of results with Spark's types, without those that are kept."""
        return spark_schema(self.rows([], None))

    def rows(self, cells: Sequence[Any], labels: Sequence[int] | None) -> Results:
        """Returns the results by column, a row for each cell."""
        bundle = opened(self.bundle)
        if self.label_column is not None and not bundle.vae.label_count:
            raise SpecError(f"this VAE is not class-conditional: leave out label_column={self.label_column!r}")
        if len(cells):
            known = None if labels is None else labels_of(labels, bundle.vae, str(self.label_column))
            return self._without_kept(self._results(bundle, cells, known))
        label = np.zeros(1, np.int32) if bundle.vae.label_count else None
        example = self._without_kept(self._results(bundle, [self._example(bundle)], label))
        return {name: values[:0] for name, values in example.items()}

    @property
    def _read(self) -> tuple[str, ...]:
        """The columns that a table must have."""
        return (self.column, *self.keep, *(() if self.label_column is None else (self.label_column,)))

    def _check_columns(self, known: Iterable[Any]) -> None:
        check_columns(self._read, known)

    def _without_kept(self, results: Results) -> Results:
        """Returns results, none of which may be called like a column that is kept."""
        if shared := sorted(results.keys() & set(self.keep)):
            raise SpecError(f"keep has {shared[0]!r}, but a result is called so: rename the column, or leave it out")
        return results

    def _example(self, bundle: ModelBundle) -> Any:
        """Returns a cell, by which the columns of an empty batch are known."""
        if bundle.vae.data is DataKind.IMAGE:
            return np.zeros(bundle.vae.input_shape, np.uint8)
        return np.full(bundle.vae.input_shape, np.clip(0, *bundle.vae.input_range), np.float32)

    @abstractmethod
    def _results(self, bundle: ModelBundle, cells: Sequence[Any], labels: Any) -> Results:
        """Returns the results of at least one cell."""

    def _items(self, bundle: ModelBundle, cells: Sequence[Any], labels: Any) -> SourceImages:
        names = tuple(f"row {row}" for row in range(len(cells)))
        return SourceImages(images=items_of(cells, bundle.vae, self.column), names=names, labels=labels)


class _Encode(BatchFunction):
    def _results(self, bundle: ModelBundle, cells: Sequence[Any], labels: Any) -> Results:
        posterior = encode_images(bundle, self._items(bundle, cells, labels), self.choice)
        if posterior.z_log_var is None:
            return {"z" if bundle.vae.is_discrete else "z_mean": posterior.z_mean}
        return {"z_mean": posterior.z_mean, "z_log_var": posterior.z_log_var}


class _Reconstruct(BatchFunction):
    def _results(self, bundle: ModelBundle, cells: Sequence[Any], labels: Any) -> Results:
        found = reconstruct_items(bundle, self._items(bundle, cells, labels), self.choice)
        return {"reconstruction": _data(bundle, found.reconstructions)}


class _Decode(BatchFunction):
    def _example(self, bundle: ModelBundle) -> Any:
        return np.zeros(bundle.vae.latent_dim, np.float32)

    def _results(self, bundle: ModelBundle, cells: Sequence[Any], labels: Any) -> Results:
        z = latents_of(cells, bundle.vae, self.column)
        return {"item": _data(bundle, decoded_items(bundle, z, labels, self.choice))}


@dataclass(frozen=True, kw_only=True)
class _Score(BatchFunction):
    calibration: Calibration
    chosen: ScoreKind

    def _results(self, bundle: ModelBundle, cells: Sequence[Any], labels: Any) -> Results:
        fitted = self.calibration
        fitted.check_bundle(bundle, self.chosen)  # It may be another than where this was made, or exported again since.
        features = image_features(bundle, self._items(bundle, cells, labels), self.choice, fitted.sampling)
        found = scores(features, bundle.vae, fitted.noise_scale, fitted.density, fitted.offset)
        results: Results = {str(kind): values for kind, values in found.items()}
        return {**results, "anomalous": found[self.chosen] > fitted.thresholds[self.chosen]}


def encode(
    bundle: str | Path,
    column: str = "item",
    *,
    keep: Sequence[str] = (),
    label_column: str | None = None,
    precision: str = "float32",
    format: str | None = None,
) -> BatchFunction:
    """Returns a function to the columns `z_mean` and `z_log_var`; only `z_mean` without a posterior, `z` of codes.

    Args:
        bundle: The bundle's folder, which every machine must have under this path.
        column: Holds the items: their values in the unit of the user's data, flat or in the model's shape (a channel of
            1 may be left out); pixels also as bytes.
        keep: Columns that the result has too.
        label_column: Column with the class of each item, for a class-conditional VAE.
        precision: One of `Precision`.
        format: One of `Format`; by default the first that the bundle has and the machine can run.

    Raises:
        SpecError: a name is unknown.
    """
    return _Encode(**_common(bundle, column, keep, label_column, _choice(precision, format)))


def reconstruct(
    bundle: str | Path,
    column: str = "item",
    *,
    keep: Sequence[str] = (),
    label_column: str | None = None,
    precision: str = "float32",
    format: str | None = None,
) -> BatchFunction:
    """Returns a function to the column `reconstruction`: pixels as bytes, other data as numbers; see `encode`."""
    return _Reconstruct(**_common(bundle, column, keep, label_column, _choice(precision, format)))


def decode(
    bundle: str | Path,
    column: str = "z",
    *,
    keep: Sequence[str] = (),
    label_column: str | None = None,
    precision: str = "float32",
    format: str | None = None,
) -> BatchFunction:
    """Returns a function of latents to the column `item`: pixels as bytes, other data as numbers; see `encode`."""
    return _Decode(**_common(bundle, column, keep, label_column, _choice(precision, format)))


def score(
    bundle: str | Path,
    calibration: str | Path,
    column: str = "item",
    *,
    score: str | None = None,
    keep: Sequence[str] = (),
    label_column: str | None = None,
    precision: str = "float32",
    format: str | None = None,
) -> BatchFunction:
    """Returns a function to a column for each score, and `anomalous`; see `encode`.

    Args:
        bundle: See `encode`.
        calibration: File made by `pocketvae score --calibrate`; it is read here and sent along.
        column: See `encode`.
        score: The score that decides; by default the one of `pocketvae score`.
        keep: See `encode`.
        label_column: See `encode`.
        precision: See `encode`.
        format: See `encode`.

    Raises:
        ManifestError: the calibration is of another bundle; where the function runs, that bundle is another.
        SpecError: a name is unknown.
        DataError: there is no such calibration.
    """
    path = Path(calibration)
    if not path.is_file():
        raise DataError(f"the calibration {path} does not exist: make it with pocketvae score --calibrate")
    fitted, models = read_document(Calibration, path.read_bytes(), str(path)), opened(_path(bundle))
    chosen = parse_choice(ScoreKind, score or default_score(models.vae), "score")
    check_score(chosen, models.vae, has_scorer=models.scoring is not None)
    fitted.check_bundle(models, chosen)
    common = _common(bundle, column, keep, label_column, _choice(precision, format))
    for difference in fitted.differences(models.vae, common["choice"].precision):
        warnings.warn(difference, DataWarning, stacklevel=2)
    return _Score(**common, calibration=fitted, chosen=chosen)


def _common(
    bundle: str | Path, column: str, keep: Sequence[str], label_column: str | None, choice: Choice
) -> dict[str, Any]:
    """Returns what all functions hold."""
    if isinstance(keep, str) or not isinstance(keep, Iterable):
        hint = f": write keep=[{keep!r}]" if isinstance(keep, str) else ""
        raise SpecError(f"keep must be a list of names of columns, got {keep!r}{hint}")
    kept = tuple(keep)
    if repeated := [name for name in kept if kept.count(name) > 1]:
        raise SpecError(f"keep has {repeated[0]!r} more than once")
    for name in (column, *kept, *(() if label_column is None else (label_column,))):
        if not isinstance(name, str):
            raise SpecError(f"the name of a column must be a text, got {name!r}")
    return {
        "bundle": _path(bundle),
        "column": column,
        "keep": kept,
        "label_column": label_column,
        "choice": choice,
    }


def _path(bundle: str | Path) -> str:
    from pocketvae.bundle.demo import located

    return str(located(bundle).absolute())


def _choice(precision: str, format: str | None) -> Choice:
    return Choice(
        precision=parse_choice(Precision, precision, "precision"),
        format=None if format is None else parse_choice(Format, format, "format"),
    )


def _data(bundle: ModelBundle, items: Any) -> Any:
    """Returns pixels as bytes, other data as numbers `[N, values]` in the user's unit."""
    if bundle.vae.data is DataKind.IMAGE:
        return [item.tobytes() for item in items]
    return for_user(items, bundle.vae).reshape(len(items), -1)


def _several(given: Iterable[Any], method: str, what: str, single: str | None = None) -> Iterator[Any]:
    """Returns what a method takes one by one: no table, whose parts are columns, and no single value."""
    is_table = hasattr(given, "columns")
    try:
        if not is_table and not isinstance(given, str | bytes | bytearray | memoryview | Mapping):
            return iter(given)
    except TypeError:
        pass
    hint = f"; {single} takes a single one" if single and is_table else ""
    raise DataError(f"{method} takes an iterable of {what}, got {type(given).__name__}{hint}")


def _is_flat(values: Any) -> bool:
    return isinstance(values, np.ndarray) and values.ndim == 1


def _arrow_cells(column: pa.Array | pa.ChunkedArray) -> list[Any]:
    """Returns the cells of a column of Arrow; tensors with their shape, also those of Ray Data."""
    import pyarrow

    # Types of others, as Ray's tensors, have their own `to_numpy`, by which a chunked column does not go.
    chunks = column.chunks if isinstance(column, pyarrow.ChunkedArray) else [column]
    return [cell for chunk in chunks for cell in _chunk_cells(chunk)]


def _chunk_cells(chunk: pa.Array) -> Iterable[Any]:
    import pyarrow

    if not isinstance(chunk.type, pyarrow.FixedShapeTensorType):
        return list(chunk.to_numpy(zero_copy_only=False))
    # Its `to_numpy` gives cells flat, as they are stored; where that is another order, single cells have wrong values:
    # findings/pyarrow_permuted_tensor_scalar.sh.
    tensors = iter(chunk.drop_null().to_numpy_ndarray())
    return [next(tensors) if is_there else None for is_there in chunk.is_valid().to_pylist()]


def _arrow_column(values: Any) -> pa.Array:
    import pyarrow

    if isinstance(values, list):
        return pyarrow.array(values, pyarrow.binary())
    if values.ndim == 1:
        return pyarrow.array(values)
    offsets = np.arange(len(values) + 1, dtype=np.int64) * values.shape[1]
    is_large = values.size > np.iinfo(np.int32).max
    kind, dtype = (pyarrow.LargeListArray, np.int64) if is_large else (pyarrow.ListArray, np.int32)
    return kind.from_arrays(pyarrow.array(offsets.astype(dtype)), pyarrow.array(values.reshape(-1)))
