"""JSON and TOML from outside: whatever a text holds, reading it ends with a value or a `ValueError`."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import shlex
import tomllib
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, TypeVar

_Value = TypeVar("_Value")

# A message quotes at most so many characters of a file's content.
QUOTED = 200
_SENTENCES = 400
_TOO_DEEP = "its values are nested too deeply"
_LONG_KEY = re.compile(r"(?:\.[^.=,{}\[\]\n]*){101}")


def parse_json(text: str | bytes) -> Any:
    """Parses JSON; Python's names of infinities and NaN are read as such.

    Raises:
        ValueError: the text is not JSON, not UTF-8, or nested too deeply.
    """
    return _parsed(json.loads, text)


def parse_finite_json(text: str | bytes) -> Any:
    """Parses JSON whose numbers must be finite, as the standard says: a limit of NaN would let everything pass.

    Raises:
        ValueError: see `parse_json`; or a number is NaN, infinite or too large for 64 bits.
    """
    return _parsed(partial(json.loads, parse_constant=_refuse_number, parse_float=_finite), text)


def parse_toml(text: str) -> dict[str, Any]:
    """Parses TOML; editors on Windows put a mark of byte order before it.

    Raises:
        ValueError: the text is not TOML, or nested too deeply.
    """
    # The memory that tomllib takes grows with the square of a key's parts.
    if _LONG_KEY.search(text):
        raise ValueError(_TOO_DEEP)
    return _parsed(tomllib.loads, text.removeprefix("\ufeff"))


def parse_names(text: str) -> tuple[str, ...]:
    """Parses names as a line of CSV holds them: `ax,ay`, or `"inlet, outlet",ay` where one has a comma.

    Raises:
        ValueError: the quotes do not match, a name is empty, or it is more than one line.
    """
    try:
        lines = list(csv.reader(io.StringIO(text), skipinitialspace=True, strict=True))
    except csv.Error as e:
        raise ValueError(str(e)) from e
    names = tuple(name.strip() for name in lines[0]) if len(lines) == 1 else ()
    if not names or "" in names:
        raise ValueError("a name is empty")
    return names


def names_as_word(names: Iterable[str]) -> str:
    """Returns names as a word of a shell that `parse_names` takes."""
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(names)
    return shlex.quote(text.getvalue())


def shortened(text: object, length: int = QUOTED) -> str:
    """Returns a text for a message: on one line, printable, cut after `length` characters."""
    # Only the beginning is looked at: what is quoted may be as large as a file.
    line = " ".join(str(text)[: 8 * length].split())
    shown = "".join(sign if sign.isprintable() else "?" for sign in line[: length + 1])
    return shown if len(shown) <= length else f"{shown[: length - 3]}..."


def sentences(text: object, length: int = _SENTENCES) -> str:
    """Returns a message of another program on one line: as many of its sentences as fit, the first cut at a word."""
    line = " ".join(str(text)[: 8 * length].split())
    if len(line) <= length:
        return shortened(line, length)
    end = max(line.rfind(sign, 0, length) for sign in (". ", "! ", "? "))
    if end > 0:
        return shortened(line[: end + 1], length)
    return f"{shortened(line[: line.rfind(' ', 0, length - 3)], length)}..."


def _refuse_number(text: str) -> float:
    raise ValueError(f"its numbers must be finite, got {shortened(text, 40)}")


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _refuse_number(text)


def quoted(value: object) -> str:
    """Returns a value as Python writes it, for a message."""
    return shortened(repr(value))


def _parsed(parse: Callable[[Any], _Value], text: str | bytes) -> _Value:
    try:
        return parse(text)
    except RecursionError as e:
        raise ValueError(_TOO_DEEP) from e
