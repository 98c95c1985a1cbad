"""Whether every layer of encoders and decoders is in integers and within its budget, in both formats.

    python studies/int8_whole.py NAME=RUN... --folder FOLDER --json FILE [--tune full] [--formats tflite,onnx]

Runs are exported, and two VAEs that Keras alone trained (int8_models.py), with three sets of calibration samples. A
row says for each int8 file which share of its budget it takes with each set, how many layers compute in floats, and its
bytes beside those of float32, without metadata and goldens. The time of an export is processor time of all its
processes, which a busy machine lengthens less than time on the wall; both are in the record.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from int8_models import DECODERS
from int8_rows import metadata_bytes
from records import check_record, make_record, run_study, tell, warn_if_busy, without_paths, write_record

from pocketvae.bundle.bundle import Bundle, open_bundle
from pocketvae.bundle.manifest import ArtifactRecord
from pocketvae.errors import ExportError, PocketVaeError
from pocketvae.export.tuning.ladder import Tune
from pocketvae.spec import Precision
from pocketvae.system.environment import current_environment

_FOLDER = Path(__file__).parent
_LIMIT_S = 3600.0
_SEEDS = 3


@dataclass(frozen=True, kw_only=True)
class Row:
    """One int8 file.

    Attributes:
        model: What it is part of.
        artifact: Its name.
        budget_shares: Largest ratio of an error to its limit, for each set of calibration samples, its own first.
        float_layers: Convolutions, dense layers and matrix products that compute in floats.
        multiply_adds_in_integers: Share of all multiply-adds.
        operators_in_integers: Share of all operators.
        size_bytes: Without metadata and goldens.
        share_of_float32: Of the bytes of the float32 file.
        notes: What is said of the file.
    """

    model: str
    artifact: str
    budget_shares: tuple[float, ...]
    float_layers: int
    multiply_adds_in_integers: float
    operators_in_integers: float
    size_bytes: int
    share_of_float32: float
    notes: tuple[str, ...]

    @property
    def is_whole(self) -> bool:
        """Whether all layers are in integers, and all sets of calibration samples within the budget."""
        return not self.float_layers and max(self.budget_shares) <= 1


@dataclass(frozen=True, kw_only=True)
class Export:
    """What one export took.

    Attributes:
        model: Of what.
        processor_s: Of all its processes.
        wall_s: Time on the wall.
        load_average: Of the machine at the end; other programs' work included.
    """

    model: str
    processor_s: float
    wall_s: float
    load_average: float


def main(words: Sequence[str] | None = None) -> int:
    """Runs the study; returns its exit code, 1 where a file is not whole."""
    return run_study("int8_whole", words, _parse, _run)


def _parse(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Export int8 files and say how much of them is in integers.")
    parser.add_argument("runs", nargs="*", metavar="NAME=RUN")
    parser.add_argument("--folder", type=Path, required=True, help="where bundles go, and stay for the next run")
    parser.add_argument("--foreign", default=",".join(DECODERS), help="which of int8_models.py (default %(default)s)")
    parser.add_argument("--tune", type=Tune, default=Tune.FAST, choices=list(Tune))
    parser.add_argument("--formats", default="tflite,onnx")
    parser.add_argument("--components", default="encoder,decoder")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--force", action="store_true")
    return parser.parse_args(words)


def _run(arguments: argparse.Namespace) -> int:
    check_record(arguments.json, force=arguments.force)
    environment, rows, exports, not_run = current_environment(), list[Row](), list[Export](), dict[str, str]()
    warn_if_busy(environment)
    for name, originals in _models(arguments):
        bundle = arguments.folder / name / f"whole-{arguments.tune}"
        try:
            exports.append(_exported(name, originals, bundle, arguments))
            found = list(_rows(name, open_bundle(bundle)))
        except PocketVaeError as e:
            not_run[name] = without_paths(str(e))
            continue
        _print(found, exports[-1])
        rows += found
    if arguments.json:
        config = {"tune": arguments.tune, "calibration_seeds": _SEEDS}
        results = {"rows": [asdict(row) for row in rows], "exports": [asdict(export) for export in exports]}
        record = make_record(
            "int8_whole", sys.argv[1:], config=config, environment=environment, results=results, not_run=not_run
        )
        write_record(arguments.json, record)
    return 0 if rows and not not_run and all(row.is_whole for row in rows) else 1


def _models(arguments: argparse.Namespace) -> Iterator[tuple[str, list[str]]]:
    """Yields the name of every model and what `pocketvae export` is told of it; Keras trains what is not there yet."""
    for word in arguments.runs:
        name, _, run = word.partition("=")
        yield name, [run]
    for name in filter(None, arguments.foreign.split(",")):
        home = arguments.folder / name
        home.mkdir(parents=True, exist_ok=True)
        if not (home / "encoder.keras").is_file():
            tell(f"training {name}")
            _call([sys.executable, str(_FOLDER / "int8_models.py"), str(home), name, "train"])
        yield name, ["--decoder", str(home / "decoder.keras"), "--encoder", str(home / "encoder.keras")]


def _exported(name: str, originals: list[str], bundle: Path, arguments: argparse.Namespace) -> Export:
    bundle.parent.mkdir(parents=True, exist_ok=True)
    tell(f"exporting {name}")
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    _call(
        [
            *(str(Path(sys.executable).with_name("pocketvae")), "export", *originals, "--out", str(bundle), "--force"),
            *("--components", arguments.components, "--formats", arguments.formats, "--precisions", "float32,int8"),
            *("--calibration-seeds", str(_SEEDS), "--tune", str(arguments.tune), "--time-limit", str(_LIMIT_S)),
        ]
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Export(
        model=name,
        processor_s=after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        wall_s=time.perf_counter() - start,
        load_average=os.getloadavg()[0],
    )


def _call(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT_S, check=False)
    if done.returncode:
        raise ExportError(f"{Path(command[0]).name} failed: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")


def _rows(model: str, bundle: Bundle) -> Iterator[Row]:
    sizes = {artifact.name: _network_bytes(bundle, artifact) for artifact in bundle.manifest.artifacts}
    for artifact in bundle.manifest.artifacts:
        if artifact.precision is not Precision.INT8 or artifact.search is None or artifact.integers is None:
            continue
        share, size = artifact.integers, sizes[artifact.name]
        yield Row(
            model=model,
            artifact=artifact.name,
            budget_shares=tuple(seed.error_ratio for seed in artifact.search.seeds),
            float_layers=len(share.float_layers),
            multiply_adds_in_integers=share.integer_multiply_adds / max(1, share.multiply_adds),
            operators_in_integers=share.integer_operators / max(1, share.operators),
            size_bytes=size,
            share_of_float32=size / sizes[artifact.name.replace("int8", "float32")],
            notes=artifact.notes,
        )


def _network_bytes(bundle: Bundle, artifact: ArtifactRecord) -> int:
    content = (bundle.path / artifact.name).read_bytes()
    return len(content) - metadata_bytes(content, artifact.format)


def _print(rows: Sequence[Row], export: Export) -> None:
    for row in rows:
        shares = " ".join(f"{share:4.0%}" for share in row.budget_shares)
        print(
            f"{row.model:11} {row.artifact:20} budget {shares}  float layers {row.float_layers}"
            f"  multiply-adds in integers {row.multiply_adds_in_integers:4.0%}"
            f"  {row.size_bytes / 1000:7.1f} kB, {row.share_of_float32:.3f} of float32",
        )
    print(
        f"{export.model:11} {export.processor_s:.0f} s of processor time, {export.wall_s:.0f} s on the wall,"
        f" load average {export.load_average:.1f}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
