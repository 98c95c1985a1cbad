"""JSON documents: frozen dataclasses to deterministic text, and back with full validation.

The dataclasses themselves stay plain; pydantic validates input. Every document has a `schema_version`; a document of a
newer version is refused rather than read in part. One of an older version is upgraded first, by the kind's `UPGRADES`,
which maps a version to the function that converts a document of it to the next version.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from pocketvae.errors import ManifestError, NotFiniteError, PocketVaeError
from pocketvae.parsing import parse_finite_json, shortened

_Document = TypeVar("_Document")


# Errors of a document's own checks quote its content and say more than that.
_LONGEST = 400
_ADAPTERS: dict[type[Any], TypeAdapter[Any]] = {}


def _adapter(kind: type[_Document]) -> TypeAdapter[_Document]:
    # Building an adapter takes milliseconds, so each kind of document gets only one.
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]


def encode(document: object) -> str:
    """Returns the document as JSON with sorted keys, two-space indents and a final newline.

    Raises:
        NotFiniteError: a number is NaN or infinite, which JSON cannot hold; the message says which.
    """
    data = _adapter(type(document)).dump_python(document, mode="json")
    for where, number in _not_finite(data):
        raise NotFiniteError(
            f"every number in a {type(document).__name__} must be JSON compliant, got {number} at {where}"
        )
    return json.dumps(data, sort_keys=True, indent=2, allow_nan=False) + "\n"


def _not_finite(data: Any, where: str = "") -> Iterator[tuple[str, float]]:
    """Yields the numbers that JSON cannot hold, each with its path."""
    if isinstance(data, float) and not math.isfinite(data):
        yield where or "the top level", data
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for name, value in items:
        yield from _not_finite(value, f"{where}.{name}".lstrip("."))


def decode(kind: type[_Document], text: str | bytes, name: str) -> _Document:
    """Parses and checks one document.

    Args:
        kind: A frozen dataclass with a `schema_version` field whose default is the newest known version, and
            `UPGRADES` if older documents have other fields.
        text: The JSON text.
        name: Name of the document in errors, usually its path.

    Raises:
        ManifestError: the text is not JSON, has an unknown schema version or has a wrong, missing or unknown field.
    """
    try:
        data = parse_finite_json(text)
    except ValueError as e:
        raise ManifestError(f"{name} is not valid JSON: {e}") from e
    version, newest = _check_schema_version(kind, data, name)
    try:
        for upgrade in (step for of, step in sorted(getattr(kind, "UPGRADES", {}).items()) if of >= version):
            data = upgrade(data)
            text = json.dumps({**data, "schema_version": newest})
        return _adapter(kind).validate_json(text, strict=True)
    except ValidationError as e:
        first = e.errors(include_url=False)[0]
        if first["type"] == "missing" and len(first["loc"]) == 1:
            raise ManifestError(f"{name} is damaged or another kind of document: {first['loc'][0]!r} is missing") from e
        where = ".".join(str(part) for part in first["loc"]) or "the top level"
        raise ManifestError(f"{name} is damaged at {shortened(where)}: {shortened(first['msg'])}") from e
    except PocketVaeError as e:
        raise ManifestError(f"{name} is damaged: {shortened(e, _LONGEST)}") from e
    except Exception as e:  # what a document's own checks and upgrades run into where its values make no sense
        raise ManifestError(f"{name} is damaged: {shortened(f'{type(e).__name__}: {e}')}") from e


def encode_line(message: object) -> str:
    """Returns a dataclass as one line of JSON, for a file that pocketvae processes share."""
    return json.dumps(to_data(message), sort_keys=True, allow_nan=True)


def decode_line(kind: type[_Document], line: str | bytes) -> _Document:
    """Parses a line written by `encode_line`."""
    return _adapter(kind).validate_json(line)


def to_data(message: object) -> Any:
    """Returns a dataclass, or a sequence or mapping of dataclasses, as plain JSON values; infinities stay."""
    # Without the types of the items, pydantic would write an infinite number as null.
    if isinstance(message, Mapping):
        return {str(name): to_data(value) for name, value in message.items()}
    if isinstance(message, (list, tuple)):
        return [to_data(item) for item in message]
    return _adapter(type(message)).dump_python(message, mode="json")


def from_data(kind: type[_Document], data: object) -> _Document:
    """Validates what `to_data` returned.

    Raises:
        ValueError: the data is not of this kind.
    """
    return _adapter(kind).validate_python(data)


def json_schema(kind: type[Any]) -> dict[str, Any]:
    """Returns the JSON schema of a document."""
    schema = _adapter(kind).json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _check_schema_version(kind: type[Any], data: object, name: str) -> tuple[int, int]:
    """Returns the version of a document and the newest one."""
    known = kind.schema_version
    version = data.get("schema_version") if isinstance(data, dict) else None
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ManifestError(
            f"{name} must be a JSON object with a schema_version of 1 to {known}, got {shortened(repr(version), 60)}"
        )
    if version > known:
        raise ManifestError(
            f"{name} has schema_version {shortened(version, 40)}, but this pocketvae reads up to {known}: "
            f"upgrade pocketvae"
        )
    return version, known
