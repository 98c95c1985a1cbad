"""Our int8 decoders beside those of LiteRT's converter, litert-quantizer and onnxruntime, from the same weights.

    python studies/int8_contenders.py NAME=RUN... --folder FOLDER --quantizer-python PATH --json FILE

The decoders are those of runs, which are exported, and two that Keras trained (int8_models.py). Every contender
quantizes the same graph with the same calibration samples with several settings. The one with the smallest share of the
budget *on the goldens* is taken, which favours the contenders: ours is chosen without them. `--quantizer-python` is the
Python of an environment with `litert-quantizer==0.11.0`.

A file is held to the limits of our int8 decoder of its format. Times are medians of rounds in which a model's files
take turns in random order; a ratio is the median over rounds of the time divided by that of our file of the format.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from four_bits import tflite_in_4_bits
from int8_files import FOUR_BITS, LITERT, ONNXRUNTIME, QUANTIZER
from int8_models import DECODERS
from int8_rows import FLOAT, OURS, THREADS, File, Row, best_rows, measured, timed
from records import check_record, make_record, run_study, tell, warn_if_busy, without_paths, write_record

from pocketvae.bundle.bundle import Bundle, open_bundle
from pocketvae.errors import ExportError, PocketVaeError, SpecError
from pocketvae.spec import Component, Format
from pocketvae.system.environment import current_environment

_FOLDER = Path(__file__).parent
_LIMIT_S = 1800.0


def main(words: Sequence[str] | None = None) -> int:
    """Runs the study; returns its exit code."""
    return run_study("int8_contenders", words, _parse, _run)


def _parse(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare int8 decoders with those of other quantizers.")
    parser.add_argument("runs", nargs="*", metavar="NAME=RUN")
    parser.add_argument("--folder", type=Path, required=True, help="where the files go, and stay for the next run")
    parser.add_argument("--foreign", default=",".join(DECODERS), help="which of int8_models.py (default %(default)s)")
    parser.add_argument("--quantizer-python", metavar="PATH", help="the Python that has litert-quantizer")
    parser.add_argument("--rounds", type=int, default=15, help="default %(default)s")
    parser.add_argument("--seconds", type=float, default=0.1, help="of one value (default %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--force", action="store_true")
    arguments = parser.parse_args(words)
    if arguments.rounds < 1 or arguments.seconds <= 0:
        raise SpecError("rounds must be at least 1 and seconds above 0")
    return arguments


def _run(arguments: argparse.Namespace) -> int:
    check_record(arguments.json, force=arguments.force)
    environment, rows, not_run = current_environment(), list[Row](), dict[str, str]()
    warn_if_busy(environment)
    for name, bundle, run in _models(arguments):
        home = arguments.folder / name
        _write_files(home, bundle, run, arguments.quantizer_python)
        found, failed = _measured(name, home, open_bundle(bundle))
        timed_rows = _with_times(found, open_bundle(bundle), arguments)
        _print(timed_rows)
        rows += timed_rows
        not_run.update(failed)
    if arguments.json:
        results = {"rows": [asdict(row) for row in rows]}
        config = {"rounds": arguments.rounds, "seconds": arguments.seconds, "threads": list(THREADS)}
        record = make_record(
            "int8_contenders", sys.argv[1:], config=config, environment=environment, results=results, not_run=not_run
        )
        write_record(arguments.json, record)
    return 0


def _models(arguments: argparse.Namespace) -> list[tuple[str, Path, Path | None]]:
    """Returns name, bundle and run, if there is one, of every model; bundles that are not there are made."""
    runs = {name: Path(run) for name, _, run in (word.partition("=") for word in arguments.runs)}
    found: list[tuple[str, Path, Path | None]] = []
    for name in (*runs, *filter(None, arguments.foreign.split(","))):
        bundle = arguments.folder / name / "bundle"
        bundle.parent.mkdir(parents=True, exist_ok=True)
        if not bundle.is_dir():
            tell(f"making the bundle of {name}")
            _call([sys.executable, str(_FOLDER / "int8_models.py"), str(bundle.parent), str(runs.get(name, name))])
        found.append((name, bundle, runs.get(name)))
    return found


def _write_files(home: Path, bundle: Path, run: Path | None, quantizer_python: str | None) -> None:
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "calibration.npz").is_file():
        tell(f"quantizing {home.name} by {LITERT} and {ONNXRUNTIME}")
        _call([sys.executable, str(_FOLDER / "int8_files.py"), str(home), str(bundle), *([str(run)] if run else [])])
    if quantizer_python and not any(home.glob(f"{QUANTIZER}.*")):
        tell(f"quantizing {home.name} by {QUANTIZER}")
        _call([quantizer_python, str(_FOLDER / "int8_quantizer.py"), str(home)])


def _call(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT_S, check=False)
    if done.returncode:
        raise ExportError(f"{Path(command[1]).name} failed: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")


def _measured(model: str, home: Path, bundle: Bundle) -> tuple[dict[Path, Row], dict[str, str]]:
    """Returns a row for each file, and why others do not exist or do not run."""
    rows, failed = {}, {}
    for path in sorted(home.glob("*.failed")):
        failed[f"{model}: {path.stem}"] = without_paths(path.read_text())
    for file in _files(model, home, bundle):
        try:
            rows[file.path] = measured(file, bundle)
        except PocketVaeError as e:
            failed[f"{model}: {file.path.name}"] = without_paths(str(e))
    return rows, failed


def _files(model: str, home: Path, bundle: Bundle) -> Iterator[File]:
    for format in Format:
        yield File(model=model, contender=FLOAT, setting="", path=bundle.path / f"decoder.float32.{format}")
        yield File(model=model, contender=OURS, setting="--tune fast", path=bundle.path / f"decoder.int8.{format}")
        for path in sorted(home.glob(f"*.*.{format}")):
            contender, setting = path.stem.split(".", 1)
            yield File(model=model, contender=contender, setting=setting, path=path)
    for kinds in (("FULLY_CONNECTED",), ("CONV_2D",), ("FULLY_CONNECTED", "CONV_2D")):
        words = " and ".join(kinds)
        path = home / f"{words}.tflite"
        path.write_bytes(tflite_in_4_bits((bundle.path / "decoder.int8.tflite").read_bytes(), kinds))
        yield File(model=model, contender=OURS, setting=f"--tune fast, then {words} in {FOUR_BITS}", path=path)


def _with_times(rows: Mapping[Path, Row], bundle: Bundle, arguments: argparse.Namespace) -> list[Row]:
    """Returns all rows, with times where they are the best of their contender."""
    chosen = best_rows(list(rows.values()))
    feed = {name: values[:1] for name, values in bundle.goldens(Component.DECODER).inputs.items()}
    best = {path: row for path, row in rows.items() if row in chosen}
    timed_rows = timed(best, feed, rounds=arguments.rounds, seconds=arguments.seconds)
    return [*timed_rows, *(row for row in rows.values() if row not in chosen)]


def _print(rows: Iterable[Row]) -> None:
    for row in sorted(rows, key=lambda row: (row.format, row.four_bits, row.budget_share)):
        times = "  ".join(f"{1e3 * float(np.median(values)):.3f} ms" for values in row.times_s.values())
        ratios = " ".join(f"{ratio:.2f}" for ratio in row.ratios.values())
        print(
            f"{row.model:12} {row.format:6} {row.contender:20} {row.size_bytes / 1000:8.0f} kB"
            f"  p99 {row.p99_steps:6.2f}  budget {row.budget_share:8.2f}  integers {row.multiply_adds_in_integers:4.0%}"
            f" ({row.operators_in_integers:.0%} of operators)  {times} {ratios}  {row.setting}",
            flush=True,
        )


if __name__ == "__main__":
    sys.exit(main())
