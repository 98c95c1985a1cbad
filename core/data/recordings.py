"""Recordings: channels over time, from tables of time steps and from sound files, without gaps."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pocketvae.data.array_files import read_header, read_npy
from pocketvae.data.folders import data_files
from pocketvae.data.missing import NotFilledError, filled, has_missing
from pocketvae.data.recording_folders import anomalous_files, names_folders
from pocketvae.data.row_numbers import RowNumbers, joined
from pocketvae.data.rows import BLOCK_ROWS, Collector, FileRows, InMemory, OnDisk, Rows, blocks, part_of
from pocketvae.data.tables import at_row
from pocketvae.data.time_steps import FEWEST_TIMES, TimeSteps, is_other_rate
from pocketvae.data.time_tables import TimeTable, time_tables
from pocketvae.errors import DataError, DataWarning
from pocketvae.parsing import names_as_word, shortened

Flags = npt.NDArray[np.bool_]
TABLES, SOUNDS = (".csv", ".parquet"), (".flac", ".ogg", ".wav")
SUFFIXES = (*TABLES, *SOUNDS, ".npy")
# Files of more bytes than this together are not kept in memory.
LARGE_BYTES = 128 << 20


@dataclass(frozen=True, kw_only=True)
class Recording:
    """Values at a steady rate.

    Attributes:
        name: Of the file, relative to the folder that it was found in.
        values: `[T, C] float32`, finite; of large files they are read where they are looked at.
        channels: Their names; empty where the file has none.
        rate_hz: Time steps in a second; None where the file does not say.
        first: Number of the first time step in the file, from 0: behind a gap it is not 0.
        truth: `[T] bool`, which time steps are anomalies; None where that is not known.
        unused: Names of columns of its table that nobody asked for.
    """

    name: str
    values: Rows
    channels: tuple[str, ...] = ()
    rate_hz: float | None = None
    first: int = 0
    truth: npt.NDArray[np.bool_] | None = None
    unused: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.values)

    @property
    def lacks_clock(self) -> bool:
        """Whether it is a table without a column of times."""
        return self.rate_hz is None and Path(self.name).suffix.lower() in TABLES and len(self) >= FEWEST_TIMES

    @property
    def place(self) -> str:
        """Its name and, behind a gap, where it begins, for messages."""
        return f"{self.name} from time step {self.first} on" if self.first else self.name


def is_recording(path: Path) -> bool:
    """Whether a path is a folder, or a file that can hold a recording."""
    return path.is_dir() or path.suffix.lower() in SUFFIXES


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The channels that recordings have to have.

    Attributes:
        count: C, how many; None for as many as the first recording has.
        names: Which columns of tables they are; all but the time where none are named.
        usual: Names that a model knows them by: columns of tables are found by them where `names` says nothing.
        by: Who wants that many, for messages.
        truth: See `Windowing.truth`.
        fill_gaps: See `Windowing.fill_gaps`.
        usual_truth: See `Windowing.usual_truth`.
    """

    count: int | None = None
    names: tuple[str, ...] = ()
    usual: tuple[str, ...] = ()
    by: str = "the model takes"
    truth: str = ""
    fill_gaps: int = 0
    usual_truth: str = ""


class _OtherKindError(DataError):
    """A file is sound, but does not hold what is asked for."""


def read_recordings(source: Path, wanted: Wanted, skipped: dict[Path, str] | None = None) -> tuple[Recording, ...]:
    """Reads a file or all recordings of a folder, in the order of their names; a file with gaps is several recordings.

    Warns of columns that are no channels of a model which knows its channels by their names.

    Args:
        source: A `.csv` or `.parquet` table of time steps, a sound file, a `.npy` array `[T, C]`, or a folder of such
            files, also in subfolders.
        wanted: The channels.
        skipped: Takes the files of a folder that are damaged, with the reason; None refuses them.

    Raises:
        DataError: a file is damaged, has other channels or another rate than the others, or there is none.
        NoSpaceError: what is larger than memory cannot be unpacked.
        TargetError: a package that reads this format is not installed.
    """
    files = _files(source) if source.is_dir() else [source]
    truth, wanted = (wanted.truth, replace(wanted, truth="")) if names_folders(wanted.truth) else ("", wanted)
    is_usual = not truth and not wanted.truth and source.is_dir() and names_folders(wanted.usual_truth)
    parts = _parts(source, files, wanted, skipped)
    _check_one_rate(parts)
    _check_same_channels(parts)
    _warn_of_unused(source, parts)
    if truth or is_usual:
        names = [part.name for part in parts]
        flags = anomalous_files(source, names, truth or wanted.usual_truth, may_lack=is_usual)
        if truth or any(flags):
            parts = [replace(part, truth=np.full(len(part), flag)) for part, flag in zip(parts, flags, strict=True)]
    elif any(part.truth is not None for part in parts):
        # Tables need not all have the usual column: those without it hold no anomaly that is known.
        parts = [part if part.truth is not None else replace(part, truth=np.zeros(len(part), bool)) for part in parts]
    return tuple(parts)


def _parts(source: Path, files: Sequence[Path], wanted: Wanted, skipped: dict[Path, str] | None) -> list[Recording]:
    is_large = sum(file.stat().st_size for file in files if file.exists()) > LARGE_BYTES
    parts: list[Recording] = []
    for file in files:
        name = file.relative_to(source).as_posix() if source.is_dir() else file.name
        try:
            parts += [replace(part, name=name) for part in _read(file, wanted, is_large=is_large)]
        except DataError as e:
            if skipped is None or isinstance(e, _OtherKindError) or not source.is_dir():
                raise
            skipped[file] = str(e)
        if wanted.count is None and parts:
            wanted = replace(wanted, count=parts[0].values.shape[1], by=f"{name} has")
    if not parts and skipped:
        raise DataError(f"none of the {len(files)} recordings can be read; {next(iter(skipped.values()))}")
    return parts


def _files(folder: Path) -> list[Path]:
    found = data_files(folder, SUFFIXES)
    if not found:
        raise DataError(f"{folder} must hold recordings ({', '.join(SUFFIXES)}), got none")
    kinds = {".npy": "arrays", **dict.fromkeys(TABLES, "tables"), **dict.fromkeys(SOUNDS, "sound files")}
    of_kind: dict[str, list[Path]] = {}
    for path in found:
        of_kind.setdefault(kinds[path.suffix.lower()], []).append(path)
    if len(of_kind) > 1:
        stray = min(of_kind, key=lambda kind: len(of_kind[kind]))
        raise DataError(
            f"{folder} must hold recordings of one kind, got {' and '.join(sorted(of_kind))}: move the {stray} "
            f"elsewhere, such as {of_kind[stray][0].relative_to(folder)}"
        )
    return found


def _read(path: Path, wanted: Wanted, *, is_large: bool) -> list[Recording]:
    suffix = path.suffix.lower()
    collector: Collector = OnDisk(path) if is_large and suffix != ".npy" else InMemory()
    if suffix in TABLES:
        return _of_table(path, wanted, collector, BLOCK_ROWS if is_large else 0)
    if wanted.truth:
        raise _OtherKindError(
            f"--truth {wanted.truth} names a column of tables, but {path} is not one: leave it out, or name a "
            f"folder of anomalies, such as {wanted.truth}/"
        )
    if wanted.names:
        raise _OtherKindError(f"--channels names columns of tables, but {path} is not one: leave it out")
    if suffix in SOUNDS:
        from pocketvae.data.sound import read_sound

        rate_hz: float | None = read_sound(path, collector)
        values = collector.rows()
    else:
        values, rate_hz = _large_array(path) if is_large else _array(path), None
        if 0 in values.shape:
            raise DataError(f"{path} must hold {'channels' if len(values) else 'time steps'}, got none")
        if values.shape[1] != wanted.count == len(values):
            raise _OtherKindError(f"{path} must be [time steps, channels], got {list(values.shape)}: transpose it")
    _check_channels(path, values.shape[1], wanted)
    _check_finite(values, path, may_miss=wanted.fill_gaps > 0)
    return [Recording(name=path.name, values=_without_missing(values, path, wanted), rate_hz=rate_hz)]


def _large_array(path: Path) -> Rows:
    try:
        file = path.open("rb", buffering=0)
        header = read_header(file)
        held = path.stat().st_size - header.offset
        if header.size_bytes > held:
            raise ValueError(f"its header claims {header.size_bytes} bytes of values, but it holds {held}")
    except (ValueError, OSError) as e:
        raise DataError(f"{path} cannot be read as numpy data: {e}") from e
    if len(header.shape) not in (1, 2):
        raise _OtherKindError(f"{path} must be a recording [time steps, channels], got {list(header.shape)}")
    count, width = (*header.shape, 1)[:2]
    if header.by_columns and width > 1:
        raise _OtherKindError(
            f"{path} is too large to be read at once, so that its rows must lie one behind another: write it with "
            f"numpy.save(path, numpy.ascontiguousarray(array))"
        )
    return FileRows(file, header.dtype, header.offset, (count, width))


def _array(path: Path) -> npt.NDArray[np.float32]:
    try:
        array = read_npy(path)
    except (ValueError, OSError) as e:
        raise DataError(f"{path} cannot be read as numpy data: {e}") from e
    if array.ndim not in (1, 2):
        raise _OtherKindError(f"{path} must be a recording [time steps, channels], got {list(array.shape)}")
    with np.errstate(over="ignore"):
        return array.astype(np.float32).reshape(len(array), math.prod(array.shape[1:]))


def _of_table(path: Path, wanted: Wanted, collector: Collector, most_rows: int) -> list[Recording]:
    """Reads a table of time steps.

    Args:
        path: Of the file.
        wanted: The channels.
        collector: Takes their values.
        most_rows: How many are read at a time; 0 for all.
    """
    names: tuple[str, ...] = ()
    is_truth: list[Flags] = []
    unused: tuple[str, ...] = ()
    steps = TimeSteps(path, OnDisk(path) if most_rows else InMemory())
    for table in time_tables(path, most_rows, wanted.names or wanted.usual):
        chosen, flags, unused = _chosen(table, path, wanted)
        collector.add(chosen.checked(path, may_miss=wanted.fill_gaps > 0))
        steps.add(joined([chosen.rows]), chosen.times_s, chosen.clock)
        is_truth += [flags] if flags is not None else []
        names = chosen.names
    values, numbers = collector.rows(), steps.numbers
    truth = np.concatenate(is_truth) if is_truth else None
    if not steps.have_rate:
        values = _without_missing(values, path, wanted, names, numbers)
        return [Recording(name=path.name, values=values, channels=names, truth=truth, unused=unused)]
    parts = steps.parts()
    return [
        Recording(
            name=path.name,
            values=_without_missing(part_of(values, first, last), path, wanted, names, numbers[first:]),
            channels=names,
            rate_hz=rate_hz,
            first=first,
            truth=None if truth is None else truth[first:last],
            unused=unused,
        )
        for (first, last), rate_hz in zip(parts, steps.rates_hz(parts), strict=True)
    ]


def _chosen(table: TimeTable, path: Path, wanted: Wanted) -> tuple[TimeTable, Flags | None, tuple[str, ...]]:
    """Returns the wanted channels of a table, which time steps are anomalies, and columns that nobody asked for."""
    truth = wanted.truth or (wanted.usual_truth if wanted.usual_truth in table.names else "")
    flags = _columns(table, (truth,), path).flags(truth, path) if truth else None
    if truth and not wanted.names:
        table = table.without(truth)
        if not table.names:
            raise _OtherKindError(
                f"{path} must have columns beside {truth}, which --truth names, and the time, got none"
            )
    chosen = wanted.names or (wanted.usual if set(wanted.usual) <= set(table.names) else ())
    # Who names channels knows the others.
    unused = tuple(name for name in table.names if chosen and not wanted.names and name not in chosen)
    if chosen:
        table = _columns(table, chosen, path)
    if len(table.names) == 1 < (wanted.count or 1) and table.times_s is None and path.suffix.lower() == ".csv":
        raise _OtherKindError(
            f"{path} has one column ({shortened(table.names[0])}), but {wanted.by} {wanted.count} channels: "
            f"separate columns by commas, semicolons or tabs"
        )
    _check_channels(path, len(table.names), wanted, table.names)
    return table, flags, unused


def _columns(table: TimeTable, names: Sequence[str], path: Path) -> TimeTable:
    try:
        return table.chosen(names, path)
    except DataError as e:
        raise _OtherKindError(str(e)) from e


def _check_channels(path: Path, found: int, wanted: Wanted, names: Sequence[str] = ()) -> None:
    """Checks how many channels there are, and that a table names those that the model knows.

    Raises:
        DataError: there are more or fewer, or others.
    """
    count = found if wanted.count is None else wanted.count
    listed = f" ({shortened(', '.join(names))})" if any(names) else ""
    if found != count:
        hint = f": name {count} of them with --channels" if found > count and any(names) else ""
        raise _OtherKindError(
            f"{path} has {found} channel{'s' if found != 1 else ''}{listed}, but {wanted.by} {wanted.count}{hint}"
        )
    has_header = tuple(names) != tuple(map(str, range(found)))
    missing = [name for name in wanted.usual if name not in names]
    if names and has_header and missing and not wanted.names:
        raise _OtherKindError(
            f"{path} has no column {missing[0]!r}, a channel of the model, got {shortened(', '.join(names))}: name the "
            f"columns in the model's order with --channels"
        )


def _without_missing(
    values: Rows,
    path: Path,
    wanted: Wanted,
    names: Sequence[str] = (),
    rows: RowNumbers | None = None,
) -> Rows:
    """Returns values with short runs of missing ones filled in.

    Raises:
        DataError: a run is too long, or at an end.
    """
    if not wanted.fill_gaps or not has_missing(values):
        return values
    try:
        return filled(values, wanted.fill_gaps, OnDisk(path) if isinstance(values, FileRows) else InMemory())
    except NotFilledError as e:
        column = f"column {names[e.channel]}" if names else f"channel {e.channel} (both from 0)"
        raise DataError(
            f"{f'{path}, time step {e.step}' if rows is None else at_row(path, rows[e.step])}, {column}: missing "
            f"values are filled in between known ones, at most {wanted.fill_gaps} (--fill-gaps), got {e.reason} here"
        ) from e


def _check_finite(values: Rows, path: Path, *, may_miss: bool) -> None:
    first = 0
    for block in blocks(values):
        bad = np.argwhere(np.isinf(block) if may_miss else ~np.isfinite(block))
        if len(bad):
            step, channel = bad[0].tolist()
            value = block[step, channel]
            raise DataError(
                f"{path}, time step {first + step}, channel {channel} (both from 0): must be a finite number, got "
                f"{value}{': fill it in, or pass --fill-gaps' if np.isnan(value) else ''}"
            )
        first += len(block)


def _warn_of_unused(source: Path, parts: Sequence[Recording]) -> None:
    """Warns of columns that are left out: one of them may be the time, under a name that no time has."""
    names = list(dict.fromkeys(name for part in parts for name in part.unused))
    if names:
        are = "s that are no channels of the model are" if len(names) > 1 else " that is no channel of the model is"
        warnings.warn(
            f"{source.name}: {len(names)} column{are} not used: {shortened(', '.join(names))}",
            DataWarning,
            stacklevel=3,
        )


def _check_one_rate(parts: Sequence[Recording]) -> None:
    known = [part for part in parts if part.rate_hz is not None]
    for part in known[1:]:
        first = known[0]
        if part.rate_hz and first.rate_hz and is_other_rate(part.rate_hz, first.rate_hz):
            raise DataError(
                f"recordings must have one rate: {first.place} has {first.rate_hz:.6g} Hz and {part.place} "
                f"{part.rate_hz:.6g} Hz: resample one"
            )


def _check_same_channels(parts: Sequence[Recording]) -> None:
    for part in parts[1:]:
        if part.channels != parts[0].channels:
            raise DataError(
                f"recordings must have the same channels in one order, got {shortened(', '.join(parts[0].channels))} "
                f"in {parts[0].name} and {shortened(', '.join(part.channels))} in {part.name}: name them with "
                f"--channels {shortened(names_as_word(parts[0].channels))}"
            )
