"""Makings: what several artifacts are made from, kept in the working folder so that another worker can go on with it.

A generator takes over its decoder's file, and what runs alike takes over a decision about rewrites. Those decisions are
measurements: made a second time, they could come out differently, and the bundle would contradict itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pocketvae.bundle.quantization import SearchRecord
from pocketvae.documents import decode_line, encode_line
from pocketvae.export.precisions.base import Made
from pocketvae.export.quantize.recipe import Recipe
from pocketvae.export.quantize.searched import Searched
from pocketvae.export.quantize.source import Source
from pocketvae.export.rewrite_choice import Decision
from pocketvae.numerics.scoring import Scoring
from pocketvae.spec import Component, Format
from pocketvae.system.files import plain_name, sha256_bytes, write_bytes

FOLDER = "makings"
_RECORD = ".json"


@dataclass(frozen=True, kw_only=True)
class _File:
    """A file before its metadata, whose content lies beside this document."""

    notes: tuple[str, ...]
    search: SearchRecord | None
    recipe: Recipe | None
    scoring: Scoring | None = None


@dataclass(frozen=True, kw_only=True)
class _Making:
    """One entry of a source's cache: a decision, or a file."""

    component: Component
    key: str
    decision: Decision | None = None
    file: _File | None = None


@dataclass
class Makings:
    """The makings in one working folder, as one worker sees them.

    Attributes:
        work: The working folder.
    """

    work: Path
    # What was read or written, so that nothing is written twice: the object in the cache, and its files' hashes.
    _known: dict[str, tuple[Made | Decision, dict[str, str]]] = field(default_factory=dict)

    def load(self, component: Component) -> dict[str, Made | Decision]:
        """Returns what was kept of a component, by its key in the source's cache."""
        found: dict[str, Made | Decision] = {}
        for path in sorted((self.work / FOLDER).glob(f"*{_RECORD}")):
            making = decode_line(_Making, path.read_bytes())
            if making.component is component and (value := _value(making, path)) is not None:
                found[making.key] = value
        return found

    def save(self, source: Source, format: Format) -> dict[str, str]:
        """Writes what is new, and returns the SHA-256 of all makings of a component and its parts by relative path."""
        hashes: dict[str, str] = {}
        for component, key, value in _entries(source):
            if key.endswith(f".{format}"):
                known = self._known.get(key)
                if known is None or known[0] is not value:
                    self._known[key] = known = (value, self._write(component, key, value))
                hashes |= known[1]
        return hashes

    def _write(self, component: Component, key: str, value: Made | Decision) -> dict[str, str]:
        folder = self.work / FOLDER
        folder.mkdir(exist_ok=True)
        name, contents = plain_name(key), {}
        if isinstance(value, Decision):
            making = _Making(component=component, key=key, decision=value)
        else:
            search, recipe = (value.searched.record, value.searched.recipe) if value.searched else (None, None)
            file = _File(notes=value.notes, search=search, recipe=recipe, scoring=value.scoring)
            making = _Making(component=component, key=key, file=file)
            contents[name] = value.content
        # The document comes last: without it, the content does not count.
        contents[f"{name}{_RECORD}"] = encode_line(making).encode()
        for path, content in contents.items():
            write_bytes(folder / path, content)
        return {f"{FOLDER}/{path}": sha256_bytes(content) for path, content in contents.items()}


def _entries(source: Source) -> Iterator[tuple[Component, str, Made | Decision]]:
    for key, value in source.cache.items():
        if isinstance(value, Made | Decision):
            yield source.component, key, value
    for part in source.parts.values():
        yield from _entries(part)


def _value(making: _Making, path: Path) -> Made | Decision | None:
    if making.file is None:
        return making.decision
    content, file = path.with_suffix("").read_bytes(), making.file
    searched = None
    if file.search is not None and file.recipe is not None:
        searched = Searched(content=content, notes=(), record=file.search, recipe=file.recipe)
    return Made(content=content, notes=file.notes, searched=searched, scoring=file.scoring)
