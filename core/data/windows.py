"""Windows: equally long pieces of recordings, as a model of sequences takes them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from pocketvae.data.recordings import Recording
from pocketvae.data.time_steps import is_other_rate
from pocketvae.data.timeline import Timeline
from pocketvae.data.window_values import WindowValues
from pocketvae.errors import DataError, DataWarning, SpecError

_SPLIT_SEED = 0
_HELD_OUT_FRACTION = 0.1
# Fewer windows say too little of how a model does on what it was not fitted with.
_FEWEST_HELD_OUT = 4
# Of recordings, in a message.
_MOST_NAMED = 5


@dataclass(frozen=True, kw_only=True)
class Windowing:
    """How recordings are read and cut.

    Attributes:
        stride: Time steps from the beginning of a window to that of the next; 0 for the window's own length, so that
            no two overlap.
        channels: Which columns of tables are the channels; empty for all but the time.
        truth: Which column of tables says what is an anomaly, 0 or 1, and is no channel; or, with a slash behind each,
            which folders hold anomalies. Empty for none.
        fill_gaps: Time steps of the longest run of missing values that is filled in; 0 refuses them.
        to_end: Whether a last window ends with each recording, so that all of its time steps are looked at: it begins
            closer to the one before than others do.
        usual: Names of columns that items had before, in their order: tables are read by them where neither `channels`
            nor the model names any.
        usual_truth: What said so of those items: it is used where a source has such a column or folder, and `truth`
            says nothing.
        usual_rate_hz: Time steps in a second of those items; others are refused where the model has no rate.

    Raises:
        SpecError: the stride or the longest run is negative.
    """

    stride: int = 0
    channels: tuple[str, ...] = ()
    truth: str = ""
    fill_gaps: int = 0
    # Of no other sources than recordings, which say so of the values above.
    to_end: bool = field(default=False, compare=False)
    usual: tuple[str, ...] = field(default=(), compare=False)
    usual_truth: str = field(default="", compare=False)
    usual_rate_hz: float | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if self.stride < 0:
            raise SpecError(f"a stride must be at least 1 time step, got {self.stride}")
        if self.fill_gaps < 0:
            raise SpecError(f"--fill-gaps must be at least 0 time steps, got {self.fill_gaps}")


WHOLE = Windowing()


@dataclass(frozen=True, kw_only=True)
class Windows:
    """Windows of one length, in the order of their recordings.

    Attributes:
        values: `[N, T, C] float32`, in their recordings until they are looked at.
        names: The recording and the first time step of each: `pump.csv:128`.
        recordings: `[N] int32`, the number of each one's recording.
        starts: `[N] int64`, the first time step in that recording.
    """

    values: WindowValues
    names: tuple[str, ...]
    recordings: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.values)

    def take(self, indices: npt.NDArray[np.intp]) -> Windows:
        """Returns the selected windows."""
        return Windows(
            values=self.values.select(indices),
            names=tuple(self.names[index] for index in indices.tolist()),
            recordings=self.recordings[indices],
            starts=self.starts[indices],
        )


def cut_windows(
    recordings: Sequence[Recording],
    length: int,
    stride: int = 0,
    *,
    to_end: bool = False,
    whose: str = "the model's",
) -> Windows:
    """Cuts recordings into windows; the rest behind the last whole window of each is left out, unless `to_end` is on.

    Args:
        recordings: At least one.
        length: T, in time steps.
        stride: See `Windowing`.
        to_end: See `Windowing`.
        whose: Who says how long a window is, for messages.

    Raises:
        DataError: no recording is as long as a window.
    """
    step = stride or length
    starts = [_starts(len(recording), length, step, to_end=to_end) for recording in recordings]
    if not any(map(len, starts)):
        longest = max(recordings, key=len)
        width = longest.values.shape[1]
        turned = f", with {width} channels: transpose it if those are its time steps" if width > len(longest) else ""
        raise DataError(
            f"recordings must have at least {whose} {length} time steps, but the longest, {longest.name}, has "
            f"{len(longest)}{turned}"
        )
    numbers = np.repeat(np.arange(len(recordings), dtype=np.int32), [len(begin) for begin in starts])
    begins = np.concatenate(starts)
    return Windows(
        values=WindowValues([recording.values for recording in recordings], numbers, begins, length),
        names=tuple(
            f"{recording.name}:{recording.first + first}"
            for recording, begin in zip(recordings, starts, strict=True)
            for first in begin.tolist()
        ),
        recordings=numbers,
        starts=begins,
    )


def _starts(steps: int, length: int, stride: int, *, to_end: bool) -> npt.NDArray[np.int64]:
    begins = np.arange(0, steps - length + 1, stride)
    if to_end and len(begins) and begins[-1] + length < steps:
        begins = np.append(begins, steps - length)
    return begins


def unused_lines(recordings: Sequence[Recording], windows: Windows, length: int) -> Iterator[str]:
    """Yields a sentence on recordings that have no window, and one on what lies behind the last window of others.

    Args:
        recordings: As for `cut_windows`.
        windows: All of them.
        length: T, in time steps.
    """
    yield from short_lines(recordings, length)
    ends = np.zeros(len(recordings), np.int64)
    np.maximum.at(ends, windows.recordings, windows.starts + length)
    rest = sum(len(part) - int(end) for part, end in zip(recordings, ends, strict=True) if end)
    if rest:
        total = sum(map(len, recordings))
        yield (
            f"{rest} of {total} time steps lie behind the last whole window of their recording, so are not used "
            f"({100 * rest / total:.2g} %)"
        )


def short_lines(recordings: Sequence[Recording], length: int) -> Iterator[str]:
    """Yields a sentence on recordings that are shorter than a window of `length` time steps, if any are."""
    short = [f"{part.name} ({len(part)})" for part in recordings if len(part) < length]
    yield from lines_of(short, len(recordings), f"shorter than a window of {length} time steps, so not used")


def lines_of(names: Sequence[str], count: int, what: str) -> Iterator[str]:
    """Yields a sentence on those of `count` recordings that are `what`, if any are; it names the first of them."""
    if names:
        more = ", ..." if len(names) > _MOST_NAMED else ""
        verb = "is" if len(names) == 1 else "are"
        yield f"{len(names)} of {count} recordings {verb} {what}: {', '.join(names[:_MOST_NAMED])}{more}"


def check_rate(recordings: Sequence[Recording], rate_hz: float | None, windowing: Windowing) -> None:
    """Checks that recordings have the rate of those that a model was trained on, or of those that it had before.

    Warns of tables that do not say theirs.

    Args:
        recordings: At least one.
        rate_hz: Of the training data; None where that is not known.
        windowing: Says that of those before.

    Raises:
        DataError: they have another.
    """
    expected_hz, whose = rate_hz, "of the training data"
    if not expected_hz:
        expected_hz, whose = windowing.usual_rate_hz, "of those that were calibrated with"
    if not expected_hz:
        return
    for recording in recordings:
        if recording.rate_hz and is_other_rate(recording.rate_hz, expected_hz):
            raise DataError(
                f"recordings must have the rate {whose}, {expected_hz:.6g} Hz, but {recording.place} has "
                f"{recording.rate_hz:.6g} Hz: resample it"
            )
    silent = [recording.name for recording in recordings if recording.lacks_clock]
    what = f"without a column of times, so that neither gaps nor the rate {whose} were checked"
    for line in lines_of(silent, len(recordings), what):
        # Of one place, so that it is said once by commands that read their source twice.
        warnings.warn(line, DataWarning, stacklevel=2)


def timeline_of(windows: Windows, recordings: Sequence[Recording], length: int) -> Timeline:
    """Returns where windows lie in the recordings that they were cut from.

    Args:
        windows: All of them.
        recordings: As for `cut_windows`.
        length: T, in time steps.
    """
    truths = [recording.truth for recording in recordings if recording.truth is not None]
    return Timeline(
        names=tuple(recording.name for recording in recordings),
        recordings=windows.recordings,
        starts=windows.starts,
        length=length,
        rate_hz=next((recording.rate_hz for recording in recordings if recording.rate_hz is not None), None),
        truth=None if any(recording.truth is None for recording in recordings) else tuple(truths),
        channels=recordings[0].channels,
    )


def split_classes(
    windows: Windows, length: int, labels: npt.NDArray[np.int32] | None, *, fewest_recordings: int = 1
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Returns the same as `split_windows`, of each class about a tenth.

    Args:
        windows: To split.
        length: T, in time steps.
        labels: `[N]`, their classes, which no recording has two of; None for one class.
        fewest_recordings: See `split_windows`.
    """
    if labels is None:
        return split_windows(windows, length, fewest_recordings=fewest_recordings)
    parts = []
    for label in np.unique(labels).tolist():
        own = np.flatnonzero(labels == label)
        fitted, held = split_windows(windows.take(own), length, fewest_recordings=fewest_recordings)
        parts.append((own[fitted], own[held]))
    fitted, held = (np.sort(np.concatenate(indices)) for indices in zip(*parts, strict=True))
    return fitted, held


def split_windows(
    windows: Windows, length: int, *, fewest_recordings: int = 1
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Returns which windows are for fitting and which are held out: about a tenth, which share no time step with them.

    Whole recordings are held out where there are at least two. If those give few windows, because all others are much
    longer, or there is only one, the end of the longest is held out too.

    Args:
        windows: To split.
        length: T, in time steps.
        fewest_recordings: How many are held out even if they are more than a fifth of all windows, 1 or 0.
    """
    counts = np.bincount(windows.recordings)
    wanted = max(1, round(_HELD_OUT_FRACTION * len(windows)))
    is_held = np.isin(windows.recordings, _held_recordings(counts, wanted, fewest_recordings))
    lacking = wanted - int(is_held.sum())
    if lacking <= max(0, wanted - _FEWEST_HELD_OUT):
        return np.flatnonzero(~is_held), np.flatnonzero(is_held)
    is_longest = windows.recordings == np.argmax(counts)
    first_held = windows.starts[np.flatnonzero(is_longest)[-lacking]]
    is_held |= is_longest & (windows.starts >= first_held)
    is_cut = is_longest & (windows.starts + length > first_held)
    return np.flatnonzero(~is_held & ~is_cut), np.flatnonzero(is_held)


def _held_recordings(counts: npt.NDArray[np.intp], wanted: int, fewest: int) -> list[int]:
    """Returns recordings that together have about as many windows as wanted: at most twice as many, if some do.

    Args:
        counts: Windows of each recording.
        wanted: How many windows.
        fewest: How many recordings at least, 1 or 0.
    """
    order = np.random.default_rng(_SPLIT_SEED).permutation(len(counts))
    present = [int(index) for index in order if counts[index]]
    if len(present) == 1:
        return []
    held: list[int] = []
    for index in present:
        total = int(counts[held].sum())
        if total < wanted and total + counts[index] <= 2 * wanted:
            held.append(index)
    return held or [min(present, key=lambda index: int(counts[index]))][:fewest]
