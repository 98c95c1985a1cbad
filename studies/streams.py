"""Peak memory of training and scoring on recordings of several times the memory that they may take.

    python studies/streams.py --gigabytes 2 --kinds npy --json benchmarks/history/DATE-streams.json

writes such a recording of each kind, trains `sensor-tiny` for one epoch on it and on one of a hundredth of its size,
and records the memory that both took. Then it does the same with `pocketvae score`. Memory is what a command and its
children hold themselves: pages of files that are mapped into them belong to the system, which takes them back at will.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import psutil
from records import check_record, make_record, write_record

from pocketvae.system.environment import current_environment

_CHANNELS, _BLOCK = 16, 1 << 18
_WINDOW, _STRIDE, _RATE_HZ = 256, 1024, 100.0
# Of a value: float32, and as many characters in text with a separator.
_VALUE_BYTES = {"npy": 4, "csv": 8, "parquet": 4}
_SMALLER = 100


@dataclass(frozen=True, kw_only=True)
class _Use:
    peak_bytes: int
    elapsed_s: float


def main() -> int:
    """Measures, prints and writes the record."""
    parser = argparse.ArgumentParser(description="Measure memory on recordings larger than it.")
    parser.add_argument("--gigabytes", type=float, default=2.0, help="of a file")
    parser.add_argument("--kinds", nargs="+", choices=list(_VALUE_BYTES), default=list(_VALUE_BYTES))
    parser.add_argument("--dir", type=Path, help="for the recordings")
    parser.add_argument("--json", metavar="FILE", type=Path, help="record to write")
    arguments = parser.parse_args()
    check_record(arguments.json, force=True)
    with tempfile.TemporaryDirectory(dir=arguments.dir) as folder:
        kinds = {kind: _measured(Path(folder), kind, arguments.gigabytes) for kind in arguments.kinds}
    if arguments.json is not None:
        record = make_record(
            "streams",
            sys.argv[1:],
            config={"gigabytes": arguments.gigabytes, "channels": _CHANNELS, "window": _WINDOW, "stride": _STRIDE},
            environment=current_environment(),
            results={"kinds": kinds},
            not_run={},
        )
        write_record(arguments.json, record)
    return 0


def _measured(folder: Path, kind: str, gigabytes: float) -> dict[str, dict[str, object]]:
    steps = int(gigabytes * 1e9 / (_VALUE_BYTES[kind] * _CHANNELS))
    write = {"npy": _write_npy, "csv": _write_csv, "parquet": _write_parquet}[kind]
    sources = {name: folder / f"{name}.{kind}" for name in ("small", "large")}
    for name, path in sources.items():
        write(path, steps // (_SMALLER if name == "small" else 1))
    found: dict[str, dict[str, object]] = {name: {"bytes": path.stat().st_size} for name, path in sources.items()}
    for what, size, use in _uses(folder / kind, sources):
        found[size][what] = {"peak_bytes": use.peak_bytes, "elapsed_s": round(use.elapsed_s, 1)}
        print(f"{kind}, {what}, {size}: {use.peak_bytes / 1e6:.0f} MB, {use.elapsed_s:.0f} s", flush=True)
    for path in sources.values():
        path.unlink()
    return found


def _uses(folder: Path, sources: dict[str, Path]) -> Sequence[tuple[str, str, _Use]]:
    folder.mkdir()
    settings = {"window": _WINDOW, "stride": _STRIDE, "epochs": 1, "warmup_steps": 10, "kl_warmup_epochs": 1}
    options = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
    found = [
        ("train", name, _used(["train", "--data", path, "--preset", "sensor-tiny", *options, "--out", folder / name]))
        for name, path in sources.items()
    ]
    _used(["export", folder / "large", "--out", folder / "bundle", "--precisions", "float32", "--formats", "tflite"])
    scored = ["score", folder / "bundle", "--stride", _STRIDE, "--calibration", folder / "normal.json"]
    found.append(("calibrate", "large", _used([*scored, sources["large"], "--calibrate"])))
    found += [
        ("score", name, _used([*scored, path, "--csv", folder / f"{name}.csv"])) for name, path in sources.items()
    ]
    return found


def _write_npy(path: Path, steps: int) -> None:
    array = np.lib.format.open_memmap(path, "w+", np.float32, (steps, _CHANNELS))
    for first, block in _blocks(steps):
        array[first : first + len(block)] = block
    array.flush()


def _write_csv(path: Path, steps: int) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write(",".join(["time", *_names()]) + "\n")
        for first, block in _blocks(steps):
            times = (first + np.arange(len(block)))[:, None] / _RATE_HZ
            np.savetxt(file, np.hstack([times, block]), fmt=["%.2f", *["%.4f"] * _CHANNELS], delimiter=",")


def _write_parquet(path: Path, steps: int) -> None:
    import pyarrow
    import pyarrow.parquet

    schema = pyarrow.schema([("time", pyarrow.float64()), *((name, pyarrow.float32()) for name in _names())])
    with pyarrow.parquet.ParquetWriter(path, schema, use_dictionary=False) as writer:
        for first, block in _blocks(steps):
            times = (first + np.arange(len(block))) / _RATE_HZ
            columns = [pyarrow.array(times), *(pyarrow.array(np.ascontiguousarray(column)) for column in block.T)]
            writer.write_table(pyarrow.table(columns, schema=schema))


def _names() -> list[str]:
    return [f"c{index}" for index in range(_CHANNELS)]


def _blocks(steps: int) -> Iterator[tuple[int, npt.NDArray[np.float32]]]:
    """Yields sines of some frequencies with noise, each block with its first time step."""
    rng, waves = np.random.default_rng(0), 0.01 * np.arange(1, _CHANNELS + 1)
    for first in range(0, steps, _BLOCK):
        at = np.arange(first, min(first + _BLOCK, steps))[:, None]
        noise = 0.1 * rng.standard_normal((len(at), _CHANNELS), np.float32)
        yield first, (np.sin(at * waves) + noise).astype(np.float32)


def _used(arguments: Sequence[object]) -> _Use:
    """Runs a command; returns the largest memory of it and its children, and how many seconds it took."""
    started, most = time.perf_counter(), 0
    program = Path(sys.executable).with_name("pocketvae")
    with tempfile.TemporaryFile() as said:
        process = psutil.Popen([program, *map(str, arguments)], stdout=said, stderr=said)
        while process.poll() is None:
            most = max(most, sum(_held(item) for item in (process, *process.children(recursive=True))))
            time.sleep(0.05)
        said.seek(0)
        if process.returncode:
            raise SystemExit(said.read().decode())
    return _Use(peak_bytes=most, elapsed_s=time.perf_counter() - started)


def _held(process: psutil.Process) -> int:
    """Returns what a process holds itself, without pages of files."""
    try:
        memory = process.memory_info()
    except psutil.Error:
        return 0
    return int(memory.rss - memory.shared)


if __name__ == "__main__":
    raise SystemExit(main())
