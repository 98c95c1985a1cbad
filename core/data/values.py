"""Data that are not images, as real numbers: from `.npz` and `.npy` files, vectors of tables, windows of recordings."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.data.array_files import NpzReader, open_npz, read_header, read_npy
from pocketvae.data.columns import SUFFIXES as TABLE_SUFFIXES
from pocketvae.data.columns import encoded, read_columns
from pocketvae.data.embedded import MNIST, located
from pocketvae.data.folders import check_is_one_part, splits_of
from pocketvae.data.forms import Form, check_limits, checked, without_channel
from pocketvae.data.image_files import TEST_KEYS, TEST_LABEL_KEYS, TRAIN_KEYS, TRAIN_LABEL_KEYS, as_labels
from pocketvae.data.items import random_indices
from pocketvae.data.recording_folders import anomalous_files, classes_of, names_folders, numbers_of
from pocketvae.data.recordings import SUFFIXES, Recording, Wanted, is_recording, read_recordings
from pocketvae.data.tables import read_table
from pocketvae.data.timeline import Timeline
from pocketvae.data.window_values import Values, WindowValues, held, selected, value_blocks
from pocketvae.data.windows import (
    WHOLE,
    Windowing,
    Windows,
    check_rate,
    cut_windows,
    split_classes,
    timeline_of,
    unused_lines,
)
from pocketvae.errors import DataError, DataWarning
from pocketvae.fields import Channel
from pocketvae.numerics.normalization import normalized
from pocketvae.parsing import shortened
from pocketvae.vae_spec import DataKind, VaeSpec

MIN_ITEMS = 32
_SPLIT_SEED = 0
_HELD_OUT_FRACTION = 0.1
_FORMS = ".npz or .npy file"


@dataclass(frozen=True, kw_only=True)
class ValueSet:
    """Items of one shape, with their labels if there are any.

    Attributes:
        values: `[N, *data_shape] float32`, finite; many windows of recordings are read when they are looked at.
        labels: `[N] int32` class indices, or None; -1 of windows in folders of anomalies, which are no class.
        names: Of every item; empty where they have none.
        timeline: Where they lie, if they are windows of recordings.
        classes: Names of the folders that labels are numbers of; empty for labels from elsewhere.
        samples: `[N, T, 1]` of sounds, whose spectrograms `values` are; None where these are what encoders take.
    """

    values: Values
    labels: npt.NDArray[np.int32] | None = None
    names: tuple[str, ...] = ()
    timeline: Timeline | None = None
    classes: tuple[str, ...] = ()
    samples: Values | None = None

    def __len__(self) -> int:
        return len(self.values)

    @property
    def items(self) -> Values:
        """The values."""
        return self.values

    def whole(self) -> npt.NDArray[np.float32]:
        """Returns the values as one array.

        Raises:
            SpecError: they do not fit into memory.
        """
        return self.values.whole() if isinstance(self.values, WindowValues) else self.values

    @property
    def given(self) -> Values:
        """What an exported encoder takes: the samples of sounds, else the values."""
        return self.values if self.samples is None else self.samples

    def labels_or_zeros(self) -> npt.NDArray[np.int32]:
        """Returns `[N] int32`: the labels, or zeros if there are none."""
        return np.zeros(len(self), np.int32) if self.labels is None else self.labels

    def take(self, indices: slice | npt.NDArray[np.intp]) -> ValueSet:
        """Returns the selected items with their labels."""
        labels = None if self.labels is None else self.labels[indices]
        chosen = indices if isinstance(indices, slice) else indices.tolist()
        names = self.names[chosen] if isinstance(chosen, slice) else tuple(self.names[i] for i in chosen if self.names)
        timeline = None if self.timeline is None else self.timeline.take(indices)
        samples = None if self.samples is None else selected(self.samples, indices)
        values = selected(self.values, indices)
        return replace(self, values=values, labels=labels, names=names, timeline=timeline, samples=samples)

    def some(self, count: int, rng: np.random.Generator) -> ValueSet:
        """Returns at most `count` items, chosen at random, in their order."""
        return self.take(random_indices(len(self), count, rng))

    def spaced(self, count: int) -> ValueSet:
        """Returns at most `count` items, evenly spaced, in their order."""
        return self.take(np.linspace(0, len(self) - 1, min(len(self), count)).astype(np.intp))


@dataclass(frozen=True, kw_only=True)
class ValueSplits:
    """One source's items, each in one split.

    Attributes:
        name: Name of the source, for reports.
        train: Items to fit and to calibrate with.
        test: Items for figures, used for nothing else.
    """

    name: str
    train: ValueSet
    test: ValueSet

    def label_count(self) -> int:
        """Returns one more than the largest label; 0 without labels."""
        labels = [part.labels for part in (self.train, self.test) if part.labels is not None]
        return max((int(array.max()) + 1 for array in labels if len(array)), default=0)


def load_value_splits(source: str, vae: VaeSpec, windowing: Windowing = WHOLE) -> ValueSplits:
    """Loads a source and splits it: 90 / 10 percent by a fixed permutation, if it has no test items of its own.

    Windows of recordings are split by `split_windows`: those that are held out share no time step with the others.
    Those that hold known anomalies are in neither.

    Args:
        source: Path of an `.npz` or `.npy` file, of a table of vectors, or of recordings, see `read_recordings`. Values
            are in the unit of the user's data; those that are returned are in that of the model.
        vae: Says what one item is.
        windowing: How recordings are read and cut.

    Raises:
        DataError: the source is missing, damaged or too small, or its items are not what the model takes.
    """
    path = located(source)
    if _holds_recordings(path, vae):
        return _split_recordings(path, vae, windowing)
    items, test = _read(path, vae, windowing)
    if len(items) < MIN_ITEMS:
        raise DataError(f"{path.name}: at least {MIN_ITEMS} {vae.data}s are needed, got {len(items)}")
    if test is None:
        items = items.take(np.random.default_rng(_SPLIT_SEED).permutation(len(items)))
        held_out = max(1, round(_HELD_OUT_FRACTION * len(items)))
        test, items = items.take(slice(held_out)), items.take(slice(held_out, None))
    return ValueSplits(name=path.name, train=items, test=test)


def load_values(
    source: str, vae: VaeSpec, windowing: Windowing = WHOLE, skipped: dict[Path, str] | None = None
) -> ValueSet:
    """Loads all items of a source, in their order; of an `.npz` with a test split, the others.

    Warns of time steps of recordings that are in no window.

    Args:
        source: See `load_value_splits`.
        vae: Says what one item is.
        windowing: How recordings are read and cut.
        skipped: Takes files of recordings that are damaged, with the reason; None refuses them.

    Raises:
        DataError: the source is missing, damaged or empty, or its items are not what the model takes.
    """
    path = located(source)
    if _holds_recordings(path, vae):
        if path.is_dir():
            check_is_one_part(path, "recordings of one split")
        return _windows(path, vae, windowing, tells_unused=True, skipped=skipped)[0]
    return _read(path, vae, windowing)[0]


def windowing_as_trained(source: str, vae: VaeSpec, config: Mapping[str, Any]) -> Windowing:
    """Returns how a run read and cut its recordings, so that the same windows are held out; WHOLE for other sources.

    Another source need not say what is an anomaly; where it does as the run's did, these windows are left out too.

    Args:
        source: Of data.
        vae: The interface of the model.
        config: The run's training configuration, or nothing.
    """
    if vae.data is not DataKind.SEQUENCE or not is_recording(located(source)):
        return WHOLE
    return Windowing(
        stride=int(config.get("stride", 0)),
        fill_gaps=int(config.get("fill_gaps", 0)),
        usual_truth=str(config.get("truth", "")),
    )


def _holds_recordings(path: Path, vae: VaeSpec) -> bool:
    """Whether a source of sequences is one of recordings, which are longer, and not of items in the model's shape."""
    if vae.data is not DataKind.SEQUENCE or not path.exists() or not is_recording(path):
        return False
    if path.is_dir() or path.suffix.lower() != ".npy":
        return True
    try:
        with path.open("rb") as file:
            shape = read_header(file).shape
    except (ValueError, OSError):
        return False  # Reading it says what is wrong.
    return len(shape) in (1, 2) and shape[1:] != without_channel(vae.input_shape)


def _windows(
    path: Path,
    vae: VaeSpec,
    windowing: Windowing,
    *,
    tells_unused: bool = False,
    skipped: dict[Path, str] | None = None,
) -> tuple[ValueSet, Windows]:
    length, channels = vae.input_shape
    usual = tuple(channel.name for channel in vae.input_channels if channel.name)
    usual = usual if len(usual) == channels else windowing.usual
    wanted = Wanted(
        count=channels,
        names=windowing.channels,
        usual=usual,
        truth=windowing.truth,
        fill_gaps=windowing.fill_gaps,
        usual_truth=windowing.usual_truth,
    )
    recordings = read_recordings(path, wanted, skipped)
    check_rate(recordings, vae.input_rate_hz, windowing)
    found = cut_windows(recordings, length, windowing.stride, to_end=windowing.to_end)
    if tells_unused:
        for line in unused_lines(recordings, found, length):
            warnings.warn(f"{path.name}: {line}", DataWarning, stacklevel=4)
    form = Form.of(vae)
    if form.limits is not None:
        for first, block in value_blocks(found.values):
            check_limits(block, form, str(path), found.names[first:])
    values = held(found.values.in_units_of(vae.input_channels))
    timeline = timeline_of(found, recordings, length)
    classes: tuple[str, ...] = ()
    labels = None
    if vae.label_count:
        classes, labels = _labels(path, recordings, timeline, windowing.truth or windowing.usual_truth, skipped or ())
    return ValueSet(values=values, labels=labels, names=found.names, timeline=timeline, classes=classes), found


def _labels(
    path: Path, recordings: Sequence[Recording], timeline: Timeline, truth: str, skipped: Collection[Path]
) -> tuple[tuple[str, ...], npt.NDArray[np.int32] | None]:
    """Returns the classes that subfolders are, and the label of each window; none if they are no classes.

    As in training, folders of known anomalies are no classes: the label of their windows is -1. A folder of files that
    were skipped still is one, so that the others keep their numbers.
    """
    names, lost = [recording.name for recording in recordings], [file.relative_to(path).as_posix() for file in skipped]
    is_odd = [False] * (len(names) + len(lost))
    if names_folders(truth):
        odd = [recording.truth is not None and bool(recording.truth.all()) for recording in recordings]
        is_odd = [*odd, *(anomalous_files(path, lost, truth, may_lack=True) if lost else ())]
    try:
        classes, _ = classes_of(path, [name for name, odd in zip([*names, *lost], is_odd, strict=True) if not odd])
    except DataError:
        return (), None  # One label may be given for all; commands that need one of each say so.
    return classes, np.array(numbers_of(names, classes), np.int32)[timeline.recordings]


def _split_recordings(path: Path, vae: VaeSpec, windowing: Windowing) -> ValueSplits:
    items, windows = _windows(path, vae, windowing)
    if items.timeline is not None and items.timeline.truth is not None:
        # As training does, so that the same windows are held out.
        normal = np.flatnonzero(~items.timeline.anomalous())
        items, windows = items.take(normal), windows.take(normal)
    own = parts_of(path, windows)
    tested = next((own[part] for part in ("test", "validation", "val") if part in own), None)
    parts = None if tested is None else (own["train"], tested)
    count = len(parts[0]) if parts else len(items)
    if count < MIN_ITEMS:
        raise DataError(
            f"{path.name}: at least {MIN_ITEMS} windows of {vae.input_shape[0]} time steps are needed, got "
            f"{count}{' in train' if parts else ''}: give more recordings, or a smaller --stride"
        )
    fitted, held_out = parts or split_classes(windows, vae.input_shape[0], items.labels)
    if len(fitted) < MIN_ITEMS // 2:
        raise DataError(
            f"{path.name} is too short: of {len(items)} windows, only {len(fitted)} share no time step with the "
            f"{len(held_out)} that are held out: give longer or more recordings"
        )
    return ValueSplits(name=path.name, train=items.take(fitted), test=items.take(held_out))


def parts_of(path: Path, windows: Windows) -> dict[str, npt.NDArray[np.intp]]:
    """Returns which windows are of each of a folder's splits; none where it has no such subfolders.

    Raises:
        DataError: it has none for training, or a split has no windows.
    """
    part_of = np.array([name.split("/")[0] for name in windows.names], np.str_)
    own = {part: np.flatnonzero(part_of == part) for part in splits_of(path, windows.names)}
    for part, found in own.items():
        if not len(found):
            raise DataError(f"{path / part} must hold recordings as long as a window, got none")
    return own


def _read(path: Path, vae: VaeSpec, windowing: Windowing) -> tuple[ValueSet, ValueSet | None]:
    is_table = vae.data is DataKind.VECTOR and path.suffix.lower() in TABLE_SUFFIXES
    if windowing.stride or windowing.truth or windowing.fill_gaps or (windowing.channels and not is_table):
        raise DataError(
            f"--stride, --channels, --truth and --fill-gaps are for recordings of time steps, but {path} is not one: "
            f"leave them out"
        )
    forms = f"a .csv, .parquet, {_FORMS}" if vae.data is DataKind.VECTOR else f"an {_FORMS}"
    if vae.data is DataKind.SEQUENCE:
        forms = f"an {_FORMS}, or recordings ({', '.join(SUFFIXES)} or a folder of them)"
    if not path.is_file() or path.suffix.lower() not in (".npz", ".npy", *TABLE_SUFFIXES):
        missing = "" if path.exists() else ", which does not exist"
        if path.is_dir():
            missing = ", which is a folder: name the file"
        elif str(path) == MNIST and not path.exists():
            missing = ", which is a set of images"
        raise DataError(f"data of {vae.data}s {list(vae.input_shape)} must be {forms}, got {path}{missing}")
    if path.suffix.lower() in TABLE_SUFFIXES:
        return _rows(path, vae, windowing.channels), None
    items, test = _arrays(path, Form.of(vae))
    parts = [part and replace(part, values=normalized(part.whole(), vae.input_channels)) for part in (items, test)]
    return parts[0] or items, parts[1]


def _rows(path: Path, vae: VaeSpec, columns: tuple[str, ...]) -> ValueSet:
    """Returns the rows of a table."""
    if vae.data is not DataKind.VECTOR:
        raise DataError(f"a {path.suffix} file holds rows, but the model takes {vae.data}s: write {path} as .npy")
    names = tuple(channel.name for channel in vae.channels if channel.name)
    if not names and not columns and path.suffix.lower() == ".csv":
        return ValueSet(values=normalized(checked(read_table(path), Form.of(vae), str(path)), vae.channels))
    table = read_columns(path, columns or names)
    channels = vae.channels or (Channel(),) * len(table.names)
    if len(channels) != len(table.names):
        raise DataError(
            f"{path}: the model takes {len(channels)} columns, got {len(table.names)}: name them with --channels"
        )
    values = checked(encoded(table, channels), Form.of(vae), str(path))
    return ValueSet(values=normalized(values, channels), names=tuple(f"row {row}" for row in table.rows))


def read_arrays(path: Path, data: DataKind) -> tuple[ValueSet, ValueSet | None]:
    """Reads the items of an `.npz` or `.npy` file in their own unit, and those for testing if it has any.

    Raises:
        DataError: the file is damaged, empty or holds items of another kind.
    """
    return _arrays(path, Form(data=data))


def _arrays(path: Path, form: Form) -> tuple[ValueSet, ValueSet | None]:
    try:
        if path.suffix.lower() == ".npy":
            return ValueSet(values=checked(read_npy(path), form, str(path))), None
        with open_npz(path) as archive:
            items = _pick(archive, TRAIN_KEYS, TRAIN_LABEL_KEYS, form, path)
            if items is not None:
                form = replace(form, shape=items.values.shape[1:])
            test = _pick(archive, TEST_KEYS, TEST_LABEL_KEYS, form, path)
            names = shortened(", ".join(sorted(archive.names))) or "none"
    except (ValueError, OSError) as e:
        raise DataError(f"{path} cannot be read as numpy data: {e}") from e
    if items is None:
        raise DataError(f"{path} must hold an array named {' or '.join(TRAIN_KEYS)}, got {names}")
    return items, test


def _pick(
    archive: NpzReader, keys: tuple[str, ...], label_keys: tuple[str, ...], form: Form, path: Path
) -> ValueSet | None:
    key = next((key for key in keys if key in archive.names), None)
    if key is None:
        return None
    values = checked(archive.read(key), form, f"{path}:{key}")
    label_key = next((key for key in label_keys if key in archive.names), None)
    if label_key is None:
        return ValueSet(values=values)
    labels = as_labels(archive.read(label_key), f"{path}:{label_key}")
    if len(labels) != len(values):
        raise DataError(f"{path}:{label_key} must hold one label for each of {len(values)}, got {len(labels)}")
    return ValueSet(values=values, labels=labels)
