"""The column of a table that says when its rows were: how it is called, and what its cells mean in seconds."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Sequence
from typing import Any

# Names of a column that is the time, without a unit in brackets or behind an underscore.
_TIME_NAMES = frozenset({"time", "timestamp", "date", "datetime", "t", "ts"})
_UNITS_S = {"s": 1.0, "sec": 1.0, "seconds": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
_UNIT = re.compile(r"^(.*?)[ _]*[\[(]?(s|sec|seconds|ms|us|ns)?[\])]?$")
# Names that are the time where no column has one of the above and no channel is called so: their words without those
# that say whose time it is, and without a unit.
_OTHER_NAMES = _TIME_NAMES | {"epoch", "unixepoch", "utc", "zeit", "zeitstempel", "horodatage", "tiempo", "tijd"}
_RELATIVE_NAMES = frozenset({"elapsed", "elapsedtime", "timeelapsed", "relativetime", "timesincestart"})
_NAMES_OF_DAY = frozenset({"timeofday", "uhrzeit"})
_WHOSE = frozenset({"utc", "gmt", "local", "iso", "8601", "unix", "posix", "epoch"})
_OTHER_UNITS_S = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1.0),
    **dict.fromkeys(("ms", "msec", "msecs", "millis", "millisecond", "milliseconds"), 1e-3),
    **dict.fromkeys(("us", "usec", "usecs", "micros", "microsecond", "microseconds"), 1e-6),
    **dict.fromkeys(("ns", "nsec", "nsecs", "nanos", "nanosecond", "nanoseconds"), 1e-9),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86400.0),
}
_WORD = re.compile(r"[^\W\d_]+|\d+")
_INNER_CAPITAL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_TIME_OF_DAY = re.compile(r"(\d{1,2}):(\d\d):(\d\d(?:[.,]\d+)?)")
# From here on numbers are no seconds since 1970 (the year 5138), but milliseconds since then, or nanoseconds of a boot.
_NO_SECONDS = 1e11


class UnknownUnitError(ValueError):
    """Numbers of a clock may be of any unit."""


class Clock:
    """The column of a table that says when its rows were.

    Attributes:
        name: Of the column.
        unit_s: How many seconds 1 of it is; None where its name does not say.
    """

    def __init__(self, name: str, base: str, unit_s: float | None) -> None:
        """Takes what a name says.

        Args:
            name: Of the column.
            base: Its words without the unit.
            unit_s: See above.
        """
        self.name, self._base, self.unit_s = name, base, unit_s

    def seconds(self, cell: Any) -> float:
        """Returns when a row was, in seconds.

        Raises:
            UnknownUnitError: it is a number of a column whose name does not tell the unit, and need not be seconds.
            TypeError, ValueError: it is no time.
        """
        try:
            value = float(cell)
        except (TypeError, ValueError):
            return self._moment_s(str(cell).strip())
        if self.unit_s is None:
            self._check_seconds(value)
            self.unit_s = 1.0
        seconds = value * self.unit_s
        if not math.isfinite(seconds):
            raise ValueError("not finite")
        return seconds

    def _moment_s(self, text: str) -> float:
        of_day = _TIME_OF_DAY.fullmatch(text)
        if of_day and self._base in _NAMES_OF_DAY:
            return int(of_day[1]) * 3600 + int(of_day[2]) * 60 + float(of_day[3].replace(",", "."))
        moment = datetime.datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)).timestamp()

    def _check_seconds(self, value: float) -> None:
        if self._base in _RELATIVE_NAMES | _NAMES_OF_DAY:
            raise UnknownUnitError(
                f"the column {self.name!r} must be called after the unit of its numbers, such as {self.name}_s"
            )
        if abs(value) >= _NO_SECONDS:
            raise UnknownUnitError(
                f"the column {self.name!r} must hold seconds, got {value:.4g}: call it after their unit, such as "
                f"{self.name}_ms"
            )


def clock_of(names: Sequence[str], channels: Sequence[str] = ()) -> Clock | None:
    """Returns the column of a table that is the time; None if none is.

    It is the first that is called `time`, `timestamp`, `date`, `datetime`, `t` or `ts`, also with a unit such as
    `time_ms`, and else the first with another name of a time, such as `elapsed_s`, that is no channel.

    Args:
        names: Of all columns.
        channels: Of columns that are channels.
    """
    usual = map(_usual_clock, names)
    others = (_other_clock(name) for name in names if name not in channels)
    return next((clock for clock in (*usual, *others) if clock is not None), None)


def is_time(name: str) -> bool:
    """Whether a column of this name is the time in any table."""
    return _usual_clock(name) is not None


def _usual_clock(name: str) -> Clock | None:
    lower = name.strip().lower()
    if lower in _TIME_NAMES and name.strip() != "T":
        # A T is the symbol of a temperature; that of time is small.
        return Clock(name, lower, None)
    match = _UNIT.match(lower)
    if match is None or match[1] not in _TIME_NAMES or name.strip() == "T":
        return None
    return Clock(name, match[1], _UNITS_S.get(match[2] or ""))


def _other_clock(name: str) -> Clock | None:
    words = _WORD.findall(_INNER_CAPITAL.sub(" ", name.replace("µ", "u").replace("μ", "u")).lower())
    unit_s = None
    if len(words) > 1 and "".join(words) not in _NAMES_OF_DAY:
        # Whose time it is may stand behind the unit too.
        while len(words) > 1 and words[-1] in _WHOSE:
            words = words[:-1]
        unit_s = _OTHER_UNITS_S.get(words[-1])
        words = words if unit_s is None else words[:-1]
    base = "".join([word for word in words if word not in _WHOSE] or words)
    if base not in _OTHER_NAMES | _RELATIVE_NAMES | _NAMES_OF_DAY:
        return None
    # t_min is the lowest temperature, and T_local one of a place.
    return None if base == "t" and not any(sign in name for sign in "[(/") else Clock(name, base, unit_s)
