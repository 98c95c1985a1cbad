"""Which old runtimes run a bundle's files, and run them right? Each in its own environment, on the bundle's goldens.

    python studies/old_runtimes.py BUNDLE --pythons FOLDER --json benchmarks/history/DATE-old-runtimes.json

FOLDER has a Python for each version that the old wheels need, as pyenv lays them out: `3.8.18/bin/python`. Environments
are made below `--environments` and kept, so that a second run only runs the files. A release that cannot be installed
is listed with the reason. Exit code 1 where a file's `requires` is not so: a release from there on refuses the file, or
returns something else than the newest one.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from records import check_record, make_record, tell, write_record

from pocketvae.bundle.bundle import Bundle, open_bundle
from pocketvae.bundle.manifest import ArtifactRecord
from pocketvae.errors import PocketVaeError, SpecError
from pocketvae.numerics.metrics import ELBO_CHANGE, measure
from pocketvae.numerics.tolerance import largest_error_ratio
from pocketvae.runtimes.base import Runner
from pocketvae.runtimes.litert import LiteRtRunner
from pocketvae.runtimes.opening import open_runner
from pocketvae.system.environment import current_environment

_RUNNER = Path(__file__).with_name("old_runtimes_runner.py")
_SAMPLES = 32
_TIME_LIMIT_S = 900.0
# Kernels of another release round differently: a little more than the limit is no other image.
_ALLOWED = 1.5


@dataclass(frozen=True, kw_only=True)
class Release:
    """One release of a runtime, and the Python that its wheel is for.

    Attributes:
        runtime: As `requires` in the manifest names it.
        package: What is installed.
        version: Of the package.
        python: Major and minor version.
        pins: What else must be old.
        module: What has the interpreter.
    """

    runtime: str
    package: str
    version: str
    python: str
    pins: tuple[str, ...]
    module: str

    @property
    def name(self) -> str:
        """Package and version."""
        return f"{self.package} {self.version}"


def _tensorflow(version: str, python: str) -> Release:
    # Protocol buffers changed under the releases that are older than 2.10.
    pins = ("numpy<1.24", "protobuf<3.21")
    return Release(
        runtime="TensorFlow Lite",
        package="tensorflow-cpu",
        version=version,
        python=python,
        pins=pins,
        module="tensorflow.lite",
    )


def _tflite(version: str, python: str) -> Release:
    return Release(
        runtime="TensorFlow Lite",
        package="tflite-runtime",
        version=version,
        python=python,
        pins=("numpy<1.25",),
        module="tflite_runtime.interpreter",
    )


def _litert(version: str) -> Release:
    return Release(
        runtime="TensorFlow Lite",
        package="ai-edge-litert",
        version=version,
        python="3.11",
        pins=("numpy<2",) if version.startswith("1.") else ("numpy<2.3",),
        module="ai_edge_litert.interpreter",
    )


def _onnxruntime(version: str, python: str) -> Release:
    pins = ("numpy<2",) if python in ("3.7", "3.8") or version < "1.19" else ()
    return Release(
        runtime="onnxruntime", package="onnxruntime", version=version, python=python, pins=pins, module="onnxruntime"
    )


# LiteRT goes on where TensorFlow Lite ended: its 1.0 is newer than every TensorFlow here.
RELEASES = (
    _tensorflow("1.15.0", "3.7"),
    _tensorflow("2.1.4", "3.7"),
    _tensorflow("2.3.4", "3.8"),
    _tensorflow("2.5.3", "3.8"),
    _tensorflow("2.6.5", "3.8"),
    *(
        _tflite(version, "3.8")
        for version in ("2.7.0", "2.8.0", "2.9.1", "2.10.0", "2.11.0", "2.12.0", "2.13.0", "2.14.0")
    ),
    *(_litert(version) for version in ("1.0.1", "1.4.0", "2.0.3", "2.3.0")),
    *(_onnxruntime(version, "3.8") for version in ("1.6.0", "1.8.1", "1.10.0", "1.12.1", "1.14.1", "1.15.1", "1.17.3")),
    *(_onnxruntime(version, "3.11") for version in ("1.18.1", "1.20.1", "1.22.1", "1.23.2", "1.26.0", "1.32.0")),
)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one release makes of one file.

    Attributes:
        release: Package and version.
        error: Why it does not run the file; empty if it does.
        error_ratio: Largest ratio of an error on the goldens to its limit; None if it does not run.
    """

    release: str
    error: str
    error_ratio: float | None


def make_environment(release: Release, pythons: Path, folder: Path) -> Path:
    """Returns the Python of an environment with the release, made if it is not there.

    Raises:
        SpecError: there is no such Python, or pip refuses; the message says why.
    """
    home = folder / f"{release.package}-{release.version}"
    program = home / "bin" / "python"
    ready = home / "ready"
    if ready.is_file():
        return program
    found = sorted(pythons.glob(f"{release.python}.*/bin/python"))
    if not found:
        raise SpecError(f"there is no Python {release.python} in {pythons}")
    _run([str(found[-1]), "-m", "venv", "--clear", str(home)])
    pip = [str(program), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    _run([*pip, f"{release.package}=={release.version}", *release.pins])
    ready.touch()
    return program


def _run(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=_TIME_LIMIT_S, check=False)
    if done.returncode:
        raise SpecError((done.stderr.strip().splitlines() or ["no message"])[-1][:300])
    return done.stdout


def run_release(
    release: Release, program: Path, bundle: Bundle, records: Sequence[ArtifactRecord]
) -> dict[str, Finding]:
    """Runs the files of the release's format and returns what it makes of each, by artifact."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        jobs = [_job(bundle, record, folder) for record in records]
        (folder / "jobs.json").write_text(json.dumps({"module": release.module, "artifacts": jobs}))
        done = subprocess.run(
            [str(program), str(_RUNNER), str(folder / "jobs.json"), scratch],
            capture_output=True,
            text=True,
            timeout=_TIME_LIMIT_S,
            check=False,
        )
        told = {line["name"]: line["error"] for line in map(json.loads, done.stdout.splitlines())}
        end = f"the process ended with code {done.returncode} there"
        return {
            record.name: _finding(release, told.get(record.name, end), bundle, record, job, folder)
            for record, job in zip(records, jobs, strict=True)
        }


def _job(bundle: Bundle, record: ArtifactRecord, folder: Path) -> dict[str, object]:
    goldens = bundle.goldens(record.component)
    rows = _rows(goldens.count)
    with open_runner(bundle.artifact_path(record), record.format) as runner:
        inputs, outputs = _in_file_order(runner)
    paths = []
    for name in inputs:
        path = folder / f"{record.component}.{name}.npy"
        np.save(path, goldens.inputs[name][rows])
        paths.append(str(path))
    return {"name": record.name, "path": str(bundle.artifact_path(record)), "inputs": paths, "outputs": outputs}


def _in_file_order(runner: Runner) -> tuple[list[str], list[str]]:
    if isinstance(runner, LiteRtRunner):
        return runner.order()
    return list(runner.inputs), list(runner.outputs)


def _rows(count: int) -> np.ndarray:
    return np.linspace(0, count - 1, min(count, _SAMPLES)).round().astype(int)


def _finding(
    release: Release, error: str, bundle: Bundle, record: ArtifactRecord, job: Mapping[str, object], folder: Path
) -> Finding:
    if error:
        return Finding(release=release.name, error=error, error_ratio=None)
    goldens = bundle.goldens(record.component)
    rows = _rows(goldens.count)
    names = job["outputs"]
    outputs = {name: np.load(folder / f"{record.name}.{index}.npy") for index, name in enumerate(names)}
    expected = {name: goldens.outputs[name][rows] for name in names}
    span = bundle.manifest.vae.range_span
    errors = [
        (measure(limit, expected, outputs, image_span=span), limit.limit)
        for limit in record.tolerances
        if limit.metric != ELBO_CHANGE
    ]
    return Finding(release=release.name, error="", error_ratio=float(largest_error_ratio(errors)))


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:3])


def is_covered(release: Release, record: ArtifactRecord) -> bool:
    """Returns whether a file claims to run on a release."""
    if not record.requires.version:
        return False
    newer = release.package == "ai-edge-litert"
    return newer or _version(release.version) >= _version(record.requires.version)


def is_right(finding: Finding, newest: Finding) -> bool:
    """Returns whether a release returns what the newest one does, within a little more than the limit."""
    if finding.error_ratio is None or newest.error_ratio is None:
        return False
    return finding.error_ratio <= _ALLOWED * max(1.0, newest.error_ratio)


def table(records: Sequence[ArtifactRecord], found: Mapping[str, Mapping[str, Finding]]) -> list[str]:
    """Returns a Markdown table: what every file requires, and the releases by what they make of it."""
    lines = [
        "| file | requires | right | something else, with the error over the limit | refused |",
        "|---|---|---|---|---|",
    ]
    for record in records:
        mine = list(found.get(record.name, {}).values())
        if not mine:
            continue
        right = [item.release for item in mine if is_right(item, mine[-1])]
        wrong = [
            f"{item.release} ({item.error_ratio:.3g})"
            for item in mine
            if item.error_ratio is not None and not is_right(item, mine[-1])
        ]
        refused = [item.release for item in mine if item.error_ratio is None]
        cells = [
            f"`{record.name}`",
            f"{record.requires.version or 'unknown'}",
            _span(right),
            ", ".join(wrong),
            _span(refused),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _span(names: Sequence[str]) -> str:
    packages: dict[str, list[str]] = {}
    for name in names:
        package, _, version = name.partition(" ")
        packages.setdefault(package, []).append(version)
    return "; ".join(f"{package} {', '.join(versions)}" for package, versions in packages.items())


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the study.

    Returns:
        0 if every claim holds on every release that was tried, 1 if one does not, 2 for bad input.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--pythons", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--environments", type=Path, default=Path("old-runtimes"), metavar="FOLDER")
    parser.add_argument("--only", default="", metavar="TEXT", help="releases whose name contains it")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--force", action="store_true", help="replace FILE")
    arguments = parser.parse_args(argv)
    try:
        check_record(arguments.json, force=arguments.force)
        bundle = open_bundle(arguments.bundle)
    except PocketVaeError as e:
        tell(str(e))
        return 2
    records = bundle.manifest.artifacts
    found: dict[str, dict[str, Finding]] = {record.name: {} for record in records}
    not_run: dict[str, str] = {}
    for release in (release for release in RELEASES if arguments.only in release.name):
        mine = [record for record in records if record.requires.runtime == release.runtime]
        try:
            program = make_environment(release, arguments.pythons, arguments.environments.absolute())
        except (SpecError, subprocess.TimeoutExpired) as e:
            not_run[release.name] = str(e)
            tell(f"{release.name}: not installed: {e}")
            continue
        for name, finding in run_release(release, program, bundle, mine).items():
            found[name][release.name] = finding
        ran = sum(not found[item.name][release.name].error for item in mine)
        tell(f"{release.name}: {ran} of {len(mine)} ran")
    print("\n".join(table(records, found)))
    false = false_claims(records, found)
    for line in false:
        print(line)
    if arguments.json is not None:
        results = {"findings": {name: [asdict(item) for item in items.values()] for name, items in found.items()}}
        environment = current_environment()
        record = make_record(
            "old_runtimes",
            sys.argv[1:],
            config={"samples": _SAMPLES},
            environment=environment,
            results=results,
            not_run=not_run,
        )
        write_record(arguments.json, record)
    return 1 if false else 0


def false_claims(records: Sequence[ArtifactRecord], found: Mapping[str, Mapping[str, Finding]]) -> list[str]:
    """Returns a line for each release that a file claims to run on and that refuses it or returns something else."""
    lines = []
    by_name = {release.name: release for release in RELEASES}
    for record in records:
        mine = list(found.get(record.name, {}).values())
        for finding in mine:
            if is_covered(by_name[finding.release], record) and not is_right(finding, mine[-1]):
                what = finding.error or f"error {finding.error_ratio:.3g} times the limit"
                lines.append(f"{record.name} requires {record.requires.version}, but {finding.release}: {what}")
    return lines


if __name__ == "__main__":
    sys.exit(main())
