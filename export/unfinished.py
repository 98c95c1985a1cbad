"""What an unfinished export has made: kept beside its bundle, and reused where it would be made the same again.

Everything that is kept has a record: what it was made from, as hashes, and the hashes of its files. It is reused if
both are still the same.
"""

from __future__ import annotations

import contextlib
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from pocketvae.documents import decode_line, encode_line
from pocketvae.export.config import ExportConfig
from pocketvae.export.ingredients import Ingredients, changed
from pocketvae.export.messages import Converted, Prepared
from pocketvae.export.worker import SETUP_NAME
from pocketvae.spec import ArtifactSpec, Component
from pocketvae.system import files, folders

_MARKER = ".pocketvae-export"
_RECORDS, _WORK, _TEMPORARY = "records", "work", "temporary"
_PREPARATION = "preparation.json"
_ARTIFACT = ".artifact.json"
_DAMAGED = "it is damaged"
_NOT_ASKED_FOR = "not asked for now"

_Record = TypeVar("_Record", "KeptPreparation", "KeptArtifact")


@dataclass(frozen=True, kw_only=True)
class KeptPreparation:
    """Goldens, calibration samples and noise floors.

    Attributes:
        ingredients: What they were made from.
        prepared: What is known of the components.
        files: SHA-256 by path relative to the working folder.
    """

    ingredients: Ingredients
    prepared: tuple[Prepared, ...]
    files: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class KeptArtifact:
    """An artifact.

    Attributes:
        ingredients: What it was made from.
        number: Greater than that of what was made before.
        converted: What is known of it.
    """

    ingredients: Ingredients
    number: int
    converted: Converted

    @property
    def name(self) -> str:
        """Its file name."""
        return self.converted.record.name


@contextlib.contextmanager
def unfinished_export(out: Path, config: ExportConfig, *, force: bool, resume: bool) -> Iterator[Unfinished]:
    """Yields the unfinished export beside a bundle, which is kept until the bundle is there.

    Args:
        out: The bundle that the block makes.
        config: What is asked for.
        force: Whether the block may replace `out`.
        resume: Whether to go on with what is there; else it is dropped.

    Raises:
        OutputExistsError: `out` exists and `force` is off, or another process is making it.
        DataError: the parent folder does not exist.
    """

    def kept(home: Path) -> str:
        shutil.rmtree(home / _TEMPORARY, ignore_errors=True)
        count = len(list((home / _RECORDS).glob(f"*{_ARTIFACT}")))
        size = sum(file.stat().st_size for file in home.rglob("*") if file.is_file()) / 1e6
        whole = f"{home.name} keeps {count} of {len(config.artifacts)} artifacts ({size:.1f} MB)"
        how = "an export without --whole takes them" if config.whole else "the same command goes on with them"
        if not count and config.is_long and (home / _RECORDS / _PREPARATION).is_file():
            # Of a large model these take minutes; of others a second, which a folder left behind is not worth.
            return f"{home.name} keeps the goldens ({size:.1f} MB): the same command goes on with them"
        return f"{whole}: {how}" if count else ""

    with folders.workplace(out, force=force, marker=_MARKER, kept=kept) as home:
        yield Unfinished.open(home, resume=resume)


@dataclass
class Unfinished:
    """The folder of an export that is under way, and what earlier ones left in it.

    Attributes:
        work: The workers' folder: arrays of the preparation, artifacts, makings.
        temporary: For temporary files of workers, which one that is killed leaves behind.
    """

    work: Path
    temporary: Path
    _records: Path
    _dropped: dict[str, str] = field(default_factory=dict)
    _reused: int = 0
    _number: int = 0

    @classmethod
    def open(cls, home: Path, *, resume: bool) -> Unfinished:
        """Opens a folder; `resume` off drops what is in it."""
        made = cls(work=home / _WORK, temporary=home / _TEMPORARY, _records=home / _RECORDS)
        shutil.rmtree(made.temporary, ignore_errors=True)
        if not resume:
            made._dropped = dict.fromkeys(made._names(), "--no-resume was given")
            # Records first: files without one are not looked at.
            for folder in (made._records, made.work):
                shutil.rmtree(folder, ignore_errors=True)
        for folder in (made.work, made.temporary, made._records):
            folder.mkdir(exist_ok=True)
        return made

    def preparation(self, ingredients: Ingredients, components: Sequence[Component]) -> dict[Component, Prepared]:
        """Returns what was prepared of these components; empty if it has to be prepared anew.

        Artifacts that were made from something else are dropped now, so that they take no space.
        """
        for path, artifact in self._artifacts().items():
            if reason := changed(artifact.ingredients, ingredients):
                self._drop(path, artifact.name, reason)
        record = _read(KeptPreparation, self._records / _PREPARATION)
        if record is None or changed(record.ingredients, ingredients) or not self._holds(record.files):
            return self._unprepared()
        found = {item.component: item for item in record.prepared}
        if not set(components) <= set(found):
            return self._unprepared()
        return {item: found[item] for item in components}

    def keep_preparation(self, ingredients: Ingredients, prepared: Mapping[Component, Prepared]) -> None:
        """Records what was prepared."""
        record = KeptPreparation(
            ingredients=ingredients, prepared=tuple(prepared.values()), files=self.prepared_hashes()
        )
        files.write_text(self._records / _PREPARATION, encode_line(record))

    def prepared_hashes(self) -> dict[str, str]:
        """Returns the SHA-256 of what was prepared, by file name."""
        return {path.name: files.sha256_file(path) for path in self._arrays()}

    def artifacts(self, wanted: Mapping[ArtifactSpec, Ingredients]) -> dict[ArtifactSpec, Converted]:
        """Returns the artifacts that were made before, checked, and drops all others.

        Args:
            wanted: What is asked for, each with what it would be made from now.
        """
        specs = {spec.filename: spec for spec in wanted}
        kept = self._artifacts()
        # A later one may have changed a decision that an earlier one wrote down.
        makings = {
            name: sha256
            for artifact in sorted(kept.values(), key=lambda item: item.number)
            for name, sha256 in artifact.converted.makings.items()
        }
        found: dict[ArtifactSpec, Converted] = {}
        for path, artifact in kept.items():
            spec = specs.get(artifact.name)
            own = {artifact.name: artifact.converted.record.file.sha256}
            own |= {name: makings[name] for name in artifact.converted.makings}
            reason = changed(artifact.ingredients, wanted[spec]) if spec else _NOT_ASKED_FOR
            reason = reason or ("" if self._holds(own) else _DAMAGED)
            if spec is None or reason:
                self._drop(path, artifact.name, reason)
            else:
                found[spec] = artifact.converted
                self._number = max(self._number, artifact.number)
        self._reused = len(found)
        self._sweep(found.values())
        return found

    def keep(self, ingredients: Ingredients, converted: Converted) -> None:
        """Records an artifact that was made."""
        self._number += 1
        record = KeptArtifact(ingredients=ingredients, number=self._number, converted=converted)
        files.write_text(self._records / f"{converted.record.name}{_ARTIFACT}", encode_line(record))

    def summary(self, total: int) -> str:
        """Returns what is reused, what is not, and why, as one line; empty if nothing was there."""
        if not self._reused and not self._dropped:
            return ""
        parts = [f"{self._reused} of {total} artifacts are reused from an unfinished export"]
        for reason, count in Counter(self._dropped.values()).items():
            parts.append(f"{count} {'is' if count == 1 else 'are'} not reused: {reason}")
        return "; ".join(parts)

    def _names(self) -> list[str]:
        return [path.name.removesuffix(_ARTIFACT) for path in self._records.glob(f"*{_ARTIFACT}")]

    def _artifacts(self) -> dict[Path, KeptArtifact]:
        """Returns the records of artifacts by path, and drops those that cannot be read."""
        found = {}
        for path in sorted(self._records.glob(f"*{_ARTIFACT}")):
            if (record := _read(KeptArtifact, path)) is None:
                self._drop(path, path.name.removesuffix(_ARTIFACT), _DAMAGED)
            else:
                found[path] = record
        return found

    def _drop(self, record: Path, name: str, reason: str) -> None:
        record.unlink()
        (self.work / name).unlink(missing_ok=True)
        self._dropped[name] = reason

    def _holds(self, hashes: Mapping[str, str]) -> bool:
        """Whether the working folder holds these files as they were."""
        paths = {self.work / name: sha256 for name, sha256 in hashes.items() if files.is_inside(name)}
        return len(paths) == len(hashes) and all(
            path.is_file() and files.sha256_file(path) == sha256 for path, sha256 in paths.items()
        )

    def _arrays(self) -> list[Path]:
        found = [path for path in sorted(self.work.iterdir()) if path.suffix in (".npy", ".json")]
        return [path for path in found if path.name.partition(".")[0] in tuple(Component)]

    def _unprepared(self) -> dict[Component, Prepared]:
        """Removes what was prepared: workers look which files there are."""
        (self._records / _PREPARATION).unlink(missing_ok=True)
        for path in self._arrays():
            path.unlink()
        return {}

    def _sweep(self, reused: Iterable[Converted]) -> None:
        """Removes what does not belong to these artifacts or to the preparation."""
        used = {SETUP_NAME, *(path.name for path in self._arrays())}
        for converted in reused:
            used |= {converted.record.name, *converted.makings}
        for path in sorted(self.work.rglob("*")):
            if path.is_file() and path.relative_to(self.work).as_posix() not in used:
                path.unlink()


def _read(kind: type[_Record], path: Path) -> _Record | None:
    """Returns a record; None if there is none, or if it is damaged or another version's."""
    try:
        return decode_line(kind, path.read_bytes())
    except (OSError, ValueError):
        return None
