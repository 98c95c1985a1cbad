"""The work of `pocketvae compare`: reads two results or two bundles and reports what changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from pocketvae.benchmarks.compare.comparison import (
    Change,
    Comparison,
    Difference,
    Key,
    Measurement,
    compare_figures,
    latency_figures,
    parity_figures,
    size_figures,
)
from pocketvae.benchmarks.compare.fleets import by_model, device_notes, paired, told_by_models, without_lost
from pocketvae.benchmarks.devices import Fleet
from pocketvae.benchmarks.latency.results import BenchResult
from pocketvae.benchmarks.not_run import NotRun
from pocketvae.benchmarks.parity.results import VerifyResult
from pocketvae.benchmarks.parity.verify import verify_bundle
from pocketvae.bundle.bundle import open_with_damage
from pocketvae.documents import decode
from pocketvae.errors import ManifestError
from pocketvae.parsing import parse_json
from pocketvae.progress import ProgressCallback, ignore_progress
from pocketvae.reporting.text import Row
from pocketvae.system.environment import Environment

_Result = TypeVar("_Result", VerifyResult, BenchResult)

_SHOWN = {
    Change.REGRESSED: "REGRESSED",
    Change.REMOVED: "REMOVED",
    Change.FIXED: "fixed",
    Change.WORSE: "worse",
    Change.BETTER: "better",
    Change.ADDED: "added",
}
_RESULTS = "a file that verify --json or bench --json wrote"
# What people mistake for a result, by a field that only it has.
_OTHERS = {
    "differences": "what compare --json wrote",
    "series": "what history show --json wrote",
    "cells": "what matrix --json wrote",
    "artifacts": "the manifest of a bundle",
}


def compare_paths(before: Path, after: Path, *, progress: ProgressCallback = ignore_progress) -> Comparison:
    """Compares two bundles, which are verified on this machine, or two results of the same kind.

    Args:
        before: A bundle, or a file written by `verify --json` or `bench --json`.
        after: The same.
        progress: Called for every artifact that is verified.

    Raises:
        ManifestError: one of the two is neither, its manifest is damaged, or they are of different kinds.
    """
    for path in (before, after):
        if not path.exists():
            raise ManifestError(f"{path} does not exist: compare needs two bundles or two results")
    if before.is_dir() != after.is_dir():
        folder, file = (before, after) if before.is_dir() else (after, before)
        raise ManifestError(f"{folder} is a folder but {file} is a file: compare two bundles or two results")
    sides = [_read(path, progress) for path in (before, after)]
    if sides[0].kind != sides[1].kind:
        raise ManifestError(f"{before} is {sides[0].kind} but {after} is {sides[1].kind}: compare two of the same kind")
    notes = _notes(sides[0].environment, sides[1].environment)
    old, new = sides[0].figures, sides[1].figures
    fleets = [side.fleet for side in sides]
    if fleets[0] is not None and fleets[1] is not None:
        unheard = sides[0].unheard | sides[1].unheard
        figures = compare_figures(*paired(old, fleets[0], new, fleets[1]))
        differences = without_lost(figures, (fleets[0], fleets[1]), unheard)
        notes = (*device_notes(fleets[0], fleets[1], unheard), *notes)
        return Comparison(before=str(before), after=str(after), differences=differences, notes=notes)
    if fleets != [None, None]:
        alone, other = (before, after) if fleets[0] is None else (after, before)
        raise ManifestError(f"{other} is of a fleet but {alone} is not: compare two of the same kind")
    return Comparison(before=str(before), after=str(after), differences=compare_figures(old, new), notes=notes)


def comparison_table(comparison: Comparison) -> tuple[Row, list[Row]]:
    """Returns headers and one row for each figure that changed, the worst first."""
    order = list(_SHOWN)
    changed = sorted(
        (item for item in comparison.differences if item.change in _SHOWN), key=lambda item: order.index(item.change)
    )
    headers = ["artifact", "target", "figure", "before", "after", "change"]
    return headers, [_row(item) for item in changed]


def comparison_line(comparison: Comparison) -> str:
    """Returns a line with the number of figures that changed in each way."""
    found = [item.change for item in comparison.differences]
    counts = {change: found.count(change) for change in (*_SHOWN, Change.SAME, Change.NOT_COMPARED)}
    return ", ".join(f"{count} {change}" for change, count in counts.items() if count) or "nothing to compare"


@dataclass(frozen=True, kw_only=True)
class Side:
    """The figures of one result or bundle.

    Attributes:
        kind: What it is, with its article.
        bundle: Its name.
        figures: By artifact, target and what is measured.
        environment: Of the machine that measured.
        fleet: The devices that are its targets; None where it ran on none.
        unheard: Artifacts by model of device that were not run because devices were lost.
    """

    kind: str
    bundle: str
    figures: dict[Key, Measurement]
    environment: Environment
    fleet: Fleet | None = None
    unheard: frozenset[tuple[str, str]] = frozenset()

    def levels(self) -> dict[Key, Measurement]:
        """Returns the figures; those of a fleet by model of device."""
        return self.figures if self.fleet is None else by_model(self.figures, self.fleet)


def _read(path: Path, progress: ProgressCallback) -> Side:
    if path.is_dir():
        # A file that is missing or changed is a difference, and costs itself alone.
        bundle = open_with_damage(path)
        result = verify_bundle(bundle, progress=progress)
        figures = {**parity_figures(result), **size_figures(bundle.intact().manifest)}
        return Side(kind="a bundle", bundle=result.bundle, figures=figures, environment=result.environment)
    return read_result(path.read_bytes(), str(path), instead=f"{_RESULTS}, or the folder of a bundle")


def read_result(content: bytes, name: str, *, instead: str = _RESULTS) -> Side:
    """Returns the figures of a result.

    Args:
        content: What `verify --json` or `bench --json` wrote.
        name: Of the file, for errors.
        instead: What is taken, for errors.

    Raises:
        ManifestError: it is another kind of file, or damaged.
    """
    other = next((what for field, what in _OTHERS.items() if _has(content, field)), "")
    for field, read in (("checks", _verification), ("results", _benchmark)):
        if not other and _has(content, field):
            return read(content, name)
    raise ManifestError(f"{name} is {other or 'not a result'}: name {instead}")


def _verification(content: bytes, name: str) -> Side:
    result = decode(VerifyResult, content, name)
    ran = [(check.artifact, check.target) for check in result.checks]
    return _side("a verification", result, ran, parity_figures)


def _benchmark(content: bytes, name: str) -> Side:
    result = decode(BenchResult, content, name)
    ran = [(row.artifact, row.target) for row in result.elsewhere]
    return _side("a benchmark", result, ran, latency_figures)


def _side(
    kind: str, result: _Result, ran: Sequence[tuple[str, str]], figures_of: Callable[[_Result], dict[Key, Measurement]]
) -> Side:
    not_run, unheard = _not_run(result.not_run, ran, result.fleet)
    return Side(
        kind=kind,
        bundle=result.bundle,
        figures=figures_of(replace(result, not_run=not_run)),
        environment=result.environment,
        fleet=result.fleet,
        unheard=unheard,
    )


def _not_run(
    not_run: tuple[NotRun, ...], ran: Sequence[tuple[str, str]], fleet: Fleet | None
) -> tuple[tuple[NotRun, ...], frozenset[tuple[str, str]]]:
    """Returns what counts as not running, and of a fleet what says nothing because a device was lost."""
    if fleet is None:
        return not_run, frozenset()
    told = told_by_models(not_run, ran, fleet)
    # A device that answers and does not run an artifact says something of it.
    counting = tuple(item for item in told if not fleet.is_lost(item.target))
    pairs = [{(item.artifact, fleet.model_of(item.target)) for item in items} for items in (told, counting)]
    return counting, frozenset(pairs[0] - pairs[1])


def _has(content: bytes, field: str) -> bool:
    try:
        document = parse_json(content)
    except ValueError:
        return False
    return isinstance(document, dict) and field in document


def _notes(before: Environment, after: Environment) -> tuple[str, ...]:
    """Returns notes on differences between the machines and their runtimes."""
    notes = []
    for what, old, new in (("CPU", before.cpu, after.cpu), ("machine", before.machine, after.machine)):
        if old != new:
            notes.append(f"different {what}: {old}, then {new}")
    for name in sorted({*before.versions, *after.versions}):
        if before.versions.get(name) != after.versions.get(name):
            old, new = (versions.get(name, "none") for versions in (before.versions, after.versions))
            notes.append(f"different {name}: {old}, then {new}")
    return tuple(notes)


def _row(item: Difference) -> Row:
    ratio = ""
    if item.before and item.after is not None:
        ratio = f" {item.after / item.before - 1:+.1%}"
    values = (_value(value, item.what) for value in (item.before, item.after))
    return [item.artifact, item.target, item.what, *values, f"{_SHOWN[item.change]}{ratio}"]


def _value(value: float | None, what: str) -> str:
    if value is None:
        return "-"
    if what == "size_bytes":
        return f"{value / 1000:.1f} kB"
    return f"{value * 1e6:.1f} µs" if what == "median_s" else f"{value:.3g}"
