"""JSON and TOML from outside: whatever a text holds, reading it ends with a value or a `ValueError`."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from typing import Any, TypeVar

_Value = TypeVar("_Value")

# A message quotes at most so many characters of a file's content.
QUOTED = 200


def parse_json(text: str | bytes) -> Any:
    """Parses JSON.

    Raises:
        ValueError: the text is not JSON, not UTF-8, or nested too deeply.
    """
    return _parsed(json.loads, text)


def parse_toml(text: str) -> dict[str, Any]:
    """Parses TOML.

    Raises:
        ValueError: the text is not TOML, or nested too deeply.
    """
    return _parsed(tomllib.loads, text)


def shortened(text: object, length: int = QUOTED) -> str:
    """Returns a text for a message: on one line, printable, cut after `length` characters."""
    # Only the beginning is looked at: what is quoted may be as large as a file.
    line = " ".join(str(text)[: 8 * length].split())
    shown = "".join(sign if sign.isprintable() else "?" for sign in line[: length + 1])
    return shown if len(shown) <= length else f"{shown[: length - 3]}..."


def _parsed(parse: Callable[[Any], _Value], text: str | bytes) -> _Value:
    try:
        return parse(text)
    except RecursionError as e:
        raise ValueError("its values are nested too deeply") from e
