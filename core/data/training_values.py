"""Signals and tables for training: a source in, normalized items in three splits and what is known of them out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pocketvae.data.array_files import read_header
from pocketvae.data.columns import SUFFIXES as TABLE_SUFFIXES
from pocketvae.data.columns import encoded, found_channels, read_columns
from pocketvae.data.embedded import located
from pocketvae.data.recording_folders import classes_of
from pocketvae.data.recordings import SOUNDS, Recording, Wanted, is_recording, read_recordings
from pocketvae.data.rows import Rows, blocks
from pocketvae.data.values import MIN_ITEMS, ValueSet, parts_of, read_arrays
from pocketvae.data.window_values import Values, WindowValues, held, selected, value_blocks
from pocketvae.data.windows import (
    WHOLE,
    Windowing,
    Windows,
    cut_windows,
    lines_of,
    short_lines,
    split_classes,
    timeline_of,
)
from pocketvae.errors import DataError
from pocketvae.fields import Channel, ChannelKind, LogMel
from pocketvae.numerics.moments import moments
from pocketvae.numerics.normalization import in_own_unit, normalized
from pocketvae.numerics.spectrogram import spectrogram
from pocketvae.parsing import names_as_word, shortened
from pocketvae.vae_spec import DataKind

_SPLIT_SEED = 0
_HELD_OUT_FRACTION = 0.1
# More than this part of a sound at its largest or smallest value is more than a loud sine of 16 bits has there.
_CLIPPED = 0.01
_SILENT, _LOUD = 1e-4, 0.5
_ARRAYS = (".npz", ".npy")


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How a source is read.

    Attributes:
        data: VECTOR or SEQUENCE.
        window: T, time steps of a window of recordings.
        windowing: How recordings are cut, and which columns of tables are used.
        categories: Names of columns that are categories although they hold numbers.
        real_alone: Whether all columns are real numbers, for likelihoods that know nothing else.
        labelled: Whether each recording lies in a folder that is its class.
        front_end: Returns what makes spectrograms of samples, of the samples in a second; None where windows are used
            as they are.
    """

    data: DataKind
    window: int = 0
    windowing: Windowing
    categories: tuple[str, ...] = ()
    real_alone: bool = True
    labelled: bool = False
    front_end: Callable[[float], LogMel] | None = None


@dataclass(frozen=True, kw_only=True)
class TrainingValues:
    """One source's items in units of the model, each in exactly one split; no two splits share a time step.

    Attributes:
        name: Name of the source, for reports.
        train: The items that the weights are fitted to.
        validation: The items for choosing between models.
        test: The items for the final figures, used for nothing else.
        channels: What the values of the last dimension are, with mean and scale of the training items.
        rate_hz: Time steps in a second; None where unknown.
        log_mel: What made the items, spectrograms, of samples; None for all others.
        warnings: What is wrong with the data, as text.
    """

    name: str
    train: ValueSet
    validation: ValueSet
    test: ValueSet
    channels: tuple[Channel, ...]
    rate_hz: float | None = None
    log_mel: LogMel | None = None
    warnings: tuple[str, ...] = ()

    def label_count(self) -> int:
        """Returns one more than the largest label; 0 without labels."""
        labels = [part.labels for part in (self.train, self.validation, self.test) if part.labels is not None]
        return max((int(array.max()) + 1 for array in labels if len(array)), default=0)

    def in_units_of(self, channels: tuple[Channel, ...]) -> TrainingValues:
        """Returns the same items in units of another model, of the same channels.

        Raises:
            DataError: the channels have other names, kinds or categories.
        """
        for own, other in zip(self.channels, channels, strict=True):
            if (own.name, own.kind, own.categories) != (other.name, other.kind, other.categories):
                raise DataError(
                    f"{self.name} must have the channels that the model was trained on, {other.name!r} ({other.kind}), "
                    f"got {own.name!r} ({own.kind})"
                )
        parts = (self.train, self.validation, self.test)
        train, validation, test = (
            replace(part, values=_in_units(part.values, self.channels, channels)) for part in parts
        )
        return replace(self, train=train, validation=validation, test=test, channels=channels)


def load_training_values(source: str, reading: Reading, skipped: dict[Path, str] | None = None) -> TrainingValues:
    """Loads a source, splits it 80 / 10 / 10 percent unless it has splits of its own, and normalizes it.

    Args:
        source: Sequences: recordings, see `read_recordings`, or an `.npz` or `.npy` of `[N, T, C]`. Vectors: a `.csv`
            or `.parquet` table with one row an example, or an `.npz` or `.npy` of `[N, F]`.
        reading: How it is read.
        skipped: Takes files of recordings that are damaged, with the reason; None refuses them.

    Raises:
        DataError: the source is missing, damaged, too small or not of this kind, or a channel is constant.
        TargetError: a package that reads this format is not installed.
    """
    path = located(source)
    if not path.exists():
        raise DataError(f"the data {source} do not exist")
    if reading.data is DataKind.SEQUENCE and _is_recorded(path):
        return _of_recordings(path, reading, skipped)
    if reading.data is DataKind.VECTOR and path.suffix.lower() in TABLE_SUFFIXES:
        return _of_table(path, reading)
    if path.suffix.lower() not in _ARRAYS:
        forms = "recordings (.csv, .parquet, .wav, .flac, .npy or a folder of them)"
        forms = forms if reading.data is DataKind.SEQUENCE else "a .csv or .parquet table with one row an example"
        raise DataError(f"{reading.data}s must be {forms}, or an .npz or .npy file, got {path}")
    return _of_arrays(path, reading)


def holds_items(source: str, data: DataKind) -> bool:
    """Returns whether a source is arrays of rows or windows, which have no names and are not cut."""
    path = located(source)
    if path.suffix.lower() not in _ARRAYS or not path.exists():
        return False
    return not (data is DataKind.SEQUENCE and _is_recorded(path))


def _is_recorded(path: Path) -> bool:
    if path.is_dir() or path.suffix.lower() != ".npy":
        return is_recording(path)
    try:
        with path.open("rb") as file:
            return len(read_header(file).shape) <= 2
    except (ValueError, OSError):
        return False  # Reading it says what is wrong.


def _of_recordings(path: Path, reading: Reading, skipped: dict[Path, str] | None) -> TrainingValues:
    if reading.window < 1:
        raise DataError(f"recordings need windows: pass --window STEPS for {path}")
    how = reading.windowing
    wanted = Wanted(names=how.channels, truth=how.truth, fill_gaps=how.fill_gaps)
    if reading.front_end:
        wanted = replace(wanted, count=1, by="a spectrogram is made of")
    recordings = read_recordings(path, wanted, skipped)
    front = _front_end(path, recordings, reading)
    windows = cut_windows(recordings, reading.window, reading.windowing.stride, whose="the window of")
    timeline = timeline_of(windows, recordings, reading.window)
    normal = np.flatnonzero(~timeline.anomalous())
    windows, timeline = windows.take(normal), timeline.take(normal)
    if len(windows) < MIN_ITEMS:
        raise DataError(
            f"{path.name}: at least {MIN_ITEMS} windows of {reading.window} time steps are needed, got {len(windows)}: "
            f"give more recordings, a shorter --window or a smaller --stride"
        )
    labels = _labels(path, recordings, windows) if reading.labelled else None
    parts = _recorded_parts(path, windows, reading.window, labels)
    if len(parts[0]) < MIN_ITEMS // 2:
        raise DataError(
            f"{path.name} is too short: of {len(windows)} windows, only {len(parts[0])} share no time step with those "
            f"that are held out: give longer or more recordings, or a shorter --window"
        )
    names = recordings[0].channels or ("",) * windows.values.shape[-1]
    sets = [
        ValueSet(
            values=selected(windows.values, part),
            labels=None if labels is None else labels[part],
            names=_named(windows, part),
            timeline=timeline.take(part),
        )
        for part in parts
    ]
    channels = tuple(Channel(name=name) for name in names)
    loaded = _of_sounds(path, sets, front) if front else _normalized(path, sets, channels)
    rate_hz = front.rate_hz / front.hop if front else _rate_hz(recordings)
    lost = tuple(f"skipped: {reason}" for reason in (skipped or {}).values())
    return replace(loaded, rate_hz=rate_hz, warnings=(*lost, *_recording_warnings(recordings, reading.window)))


def _rate_hz(recordings: Sequence[Recording]) -> float | None:
    return next((recording.rate_hz for recording in recordings if recording.rate_hz is not None), None)


def _front_end(path: Path, recordings: Sequence[Recording], reading: Reading) -> LogMel | None:
    if reading.front_end is None:
        return None
    rate_hz = _rate_hz(recordings)
    if rate_hz is None:
        raise DataError(
            f"spectrograms need the samples in a second, which {path} does not say: give .wav or .flac files, or a "
            f"table with a column of times"
        )
    return reading.front_end(rate_hz)


def _of_sounds(path: Path, sets: Sequence[ValueSet], front: LogMel) -> TrainingValues:
    """Returns the spectrograms of windows of samples, in units of the model."""
    made = [replace(part, values=spectrogram(part.values, front), samples=part.values) for part in sets]
    silent = np.flatnonzero(np.ptp(made[0].values, axis=(0, 1)) == 0)
    if len(silent) == len(front.names):
        raise DataError(f"{path}: all training windows are silent, the first in {made[0].names[0]}: record them again")
    if len(silent):
        raise DataError(
            f"{path}: there is no sound at {front.names[silent[0]]} in any training window, so that there is nothing "
            f"to learn of that band: pass --set low_hz=... or high_hz=... of what was recorded"
        )
    loaded = _normalized(path, made, tuple(Channel(name=name) for name in front.names))
    return replace(loaded, log_mel=front)


def _named(windows: Windows, part: npt.NDArray[np.intp]) -> tuple[str, ...]:
    return tuple(windows.names[index] for index in part.tolist())


def _labels(path: Path, recordings: Sequence[Recording], windows: Windows) -> npt.NDArray[np.int32]:
    """Returns the class of each window; folders that have none, such as those of known anomalies, are no classes."""
    used = np.unique(windows.recordings).tolist()
    _, owners = classes_of(path, [recordings[number].name for number in used])
    return np.array(owners, np.int32)[np.searchsorted(used, windows.recordings)]


def _recorded_parts(
    path: Path, windows: Windows, length: int, labels: npt.NDArray[np.int32] | None
) -> tuple[npt.NDArray[np.intp], ...]:
    """Returns which windows are for training, validation and testing; folders of these names are splits."""
    own = parts_of(path, windows)
    if "test" in own:
        rest, test = own["train"], own["test"]
    else:
        rest = own.get("train", np.arange(len(windows)))
        kept, held_out = split_classes(windows.take(rest), length, None if labels is None else labels[rest])
        rest, test = rest[kept], rest[held_out]
    validation = own.get("validation", own.get("val"))
    if validation is not None:
        return rest, validation, test
    if not len(rest):
        return rest, rest, test
    # A whole recording would be much where there are few, and is not needed to choose between epochs.
    of_rest = None if labels is None else labels[rest]
    train, held_out = split_classes(windows.take(rest), length, of_rest, fewest_recordings=0)
    return rest[train], rest[held_out], test


def _of_arrays(path: Path, reading: Reading) -> TrainingValues:
    if reading.front_end is not None:
        raise DataError(f"spectrograms are made of recordings (.wav, .flac or a folder of them), got the array {path}")
    if reading.windowing != WHOLE:
        raise DataError(
            f"--stride, --channels, --truth and --fill-gaps are for recordings and tables, but {path} is not one: "
            f"leave them out"
        )
    if reading.categories:
        raise DataError(f"categories names columns of tables, but {path} is an array: set categories = []")
    items, test = read_arrays(path, reading.data)
    if reading.data is DataKind.SEQUENCE and items.values.shape[1] != reading.window:
        steps = items.values.shape[1]
        raise DataError(
            f"{path} holds sequences of {steps} time steps, but the window is {reading.window}: pass --window {steps}"
        )
    width = items.values.shape[-1]
    columns = items.whole().reshape(-1, width)
    is_binary = [not reading.real_alone and bool(np.isin(column, (0, 1)).all()) for column in columns.T]
    channels = tuple(Channel(kind=ChannelKind.BINARY if binary else ChannelKind.REAL) for binary in is_binary)
    return _normalized(path, _cut(path, items, test), channels)


def _of_table(path: Path, reading: Reading) -> TrainingValues:
    if replace(reading.windowing, channels=()) != WHOLE:
        raise DataError(
            f"--stride and --fill-gaps are for recordings of time steps, but the preset takes rows of {path}: "
            f"leave them out"
        )
    table = read_columns(path, reading.windowing.channels)
    channels = found_channels(table, reading.categories, real_alone=reading.real_alone)
    other = next((channel for channel in channels if channel.kind is not ChannelKind.REAL), None)
    if other is not None and reading.real_alone:
        raise DataError(
            f"{path}, column {other.name!r} is no real number ({other.kind}): pass --set likelihood=mixed, or leave it "
            f"out with --channels"
        )
    values = ValueSet(values=encoded(table, channels), names=tuple(f"row {row}" for row in table.rows))
    return _normalized(path, _cut(path, values, None), channels)


def _cut(path: Path, items: ValueSet, test: ValueSet | None) -> list[ValueSet]:
    if len(items) < MIN_ITEMS:
        raise DataError(f"{path.name}: at least {MIN_ITEMS} items are needed, got {len(items)}")
    items = items.take(np.random.default_rng(_SPLIT_SEED).permutation(len(items)))
    held_out = max(1, round(_HELD_OUT_FRACTION * len(items)))
    if test is None:
        test, items = items.take(slice(held_out)), items.take(slice(held_out, None))
    return [items.take(slice(held_out, None)), items.take(slice(held_out)), test]


def _normalized(path: Path, sets: Sequence[ValueSet], channels: tuple[Channel, ...]) -> TrainingValues:
    """Returns the splits in units of the model, with mean and scale of the first."""
    fitted = _fitted(path, sets[0].values, channels)
    train, validation, test = (replace(part, values=_in_units(part.values, (), fitted)) for part in sets)
    return TrainingValues(name=path.name, train=train, validation=validation, test=test, channels=fitted)


def _in_units(values: Values, now: tuple[Channel, ...], channels: tuple[Channel, ...]) -> Values:
    """Returns values in units of other channels than `now`."""
    if isinstance(values, WindowValues):
        return held(values.in_units_of(channels))
    return normalized(in_own_unit(values, now) if now else values, channels)


def _fitted(path: Path, values: Values, channels: Sequence[Channel]) -> tuple[Channel, ...]:
    """Returns the channels with the mean and standard deviation of `[..., C]` values.

    Raises:
        DataError: a channel is constant, so that there is no unit to count its changes in.
    """
    found = moments(block for _, block in value_blocks(values))
    fitted, first, constant = [], 0, []
    for index, channel in enumerate(channels):
        place, first = first, first + channel.width
        name = channel.name or str(index)
        if channel.kind is not ChannelKind.CATEGORY and found.low[place] == found.high[place]:
            constant.append((name, found.low[place]))
        elif channel.kind is ChannelKind.CATEGORY and channel.width == 1:
            constant.append((name, channel.categories[0]))
        elif channel.kind is ChannelKind.REAL:
            channel = replace(channel, mean=float(found.mean[place]), scale=float(found.deviation[place]))
        fitted.append(channel)
    if constant:
        names = [channel.name for channel in channels if channel.name not in dict(constant)]
        others = f": leave it out with --channels {shortened(names_as_word(names))}" if any(names) else ": leave it out"
        raise DataError(
            f"{path}: channel {constant[0][0]!r} has the same value in all training items ({constant[0][1]}), so that "
            f"there is nothing to learn{others}"
        )
    return tuple(fitted)


def _recording_warnings(recordings: Sequence[Recording], window: int) -> tuple[str, ...]:
    silent, clipped = [], []
    for part in recordings:
        if not part.name.lower().endswith(SOUNDS):
            continue
        loudest = max(float(np.abs(block).max()) for block in blocks(part.values))
        share = _clipped_share(part.values) if loudest > _LOUD else 0.0
        if loudest < _SILENT:
            silent.append(part.name)
        elif share > _CLIPPED:
            clipped.append(f"{part.name} ({100 * share:.0f} %)")
    return (
        *short_lines(recordings, window),
        *lines_of(silent, len(recordings), "silent"),
        *lines_of(clipped, len(recordings), "clipped (of its samples at the limit)"),
    )


def _clipped_share(values: Rows) -> float:
    """Returns the part of a recording's values that are its largest or smallest, of the worst channel."""
    high = np.max([block.max(axis=0) for block in blocks(values)], axis=0)
    low = np.min([block.min(axis=0) for block in blocks(values)], axis=0)
    count = sum(((block == high) | (block == low)).sum(axis=0) for block in blocks(values))
    return float(np.max(count) / len(values))
