"""Peak memory of training and scoring on a recording of several times the memory that they may take.

    python studies/streams.py --gigabytes 2

writes such a recording, trains `sensor-tiny` for one epoch on it and on a hundredth of it, and prints the memory that
both took. Then it does the same with `pocketvae score`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import psutil

_CHANNELS, _BLOCK = 16, 1 << 18
_WINDOW, _STRIDE = 256, 1024


def main() -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=2.0)
    parser.add_argument("--dir", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.dir) as folder:
        _measure(Path(folder), arguments.gigabytes)
    return 0


def _measure(folder: Path, gigabytes: float) -> None:
    steps = int(gigabytes * 1e9 / (4 * _CHANNELS))
    sources = {"small": _write(folder / "small.npy", steps // 100), "large": _write(folder / "large.npy", steps)}
    settings = {"window": _WINDOW, "stride": _STRIDE, "epochs": 1, "warmup_steps": 10, "kl_warmup_epochs": 1}
    options = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
    for name, source in sources.items():
        made = ["train", "--data", source, "--preset", "sensor-tiny", *options, "--out", folder / f"run-{name}"]
        _print(f"train, {name}", *_peak(made))
    _peak(
        ["export", folder / "run-large", "--out", folder / "bundle", "--precisions", "float32", "--formats", "tflite"]
    )
    stride = ["--stride", str(_STRIDE)]
    calibration = ["--calibration", folder / "normal.json"]
    _print(
        "score --calibrate, large",
        *_peak(["score", folder / "bundle", sources["large"], *stride, *calibration, "--calibrate"]),
    )
    for name, source in sources.items():
        made = ["score", folder / "bundle", source, *stride, *calibration, "--csv", folder / f"{name}.csv"]
        _print(f"score, {name}", *_peak(made))


def _write(path: Path, steps: int) -> Path:
    """Writes sines of some frequencies with noise."""
    array = np.lib.format.open_memmap(path, "w+", np.float32, (steps, _CHANNELS))
    rng, waves = np.random.default_rng(0), 0.01 * np.arange(1, _CHANNELS + 1)
    for first in range(0, steps, _BLOCK):
        at = np.arange(first, min(first + _BLOCK, steps))[:, None]
        array[first : first + len(at)] = np.sin(at * waves) + 0.1 * rng.standard_normal(
            (len(at), _CHANNELS), np.float32
        )
    array.flush()
    return path


def _peak(arguments: Sequence[object]) -> tuple[int, float]:
    """Returns the largest resident memory of a command and its children, and how many seconds it took."""
    started, most = time.perf_counter(), 0
    program = Path(sys.executable).with_name("pocketvae")
    with tempfile.TemporaryFile() as said:
        process = psutil.Popen([program, *map(str, arguments)], stdout=said, stderr=said)
        while process.poll() is None:
            most = max(most, sum(_resident(item) for item in (process, *process.children(recursive=True))))
            time.sleep(0.05)
        said.seek(0)
        if process.returncode:
            raise SystemExit(said.read().decode())
    return most, time.perf_counter() - started


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def _print(what: str, peak_bytes: int, seconds: float) -> None:
    print(f"{what}: {peak_bytes / 1e6:.0f} MB, {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
