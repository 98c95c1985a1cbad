"""Small signals and tables made from physics: a machine whose unbalanced shaft shakes its damped frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np

RATE_HZ = 100.0
_STIFFNESS_PER_KG, _DAMPING_PER_KG = 4000.0, 12.0  # of the frame: resonance at 10 Hz
_UNBALANCE_M = 2e-5


def machine(seconds: float, seed: int = 0, *, worn: float = 1.0) -> np.ndarray:
    """Returns acceleration in m/s^2, current in A and temperature in deg C, `[T, 3]`, at 100 Hz.

    The load wanders, and with it the speed, 4 to 8 turns a second. The force of the unbalance grows with the square of
    the speed and drives an oscillator, integrated in 10 steps of each sample; current follows the load, temperature the
    current with a time constant of 20 s. All have the noise of their sensor. `worn` multiplies the unbalance.
    """
    rng = np.random.default_rng(seed)
    count, fine = int(seconds * RATE_HZ), 10
    load = np.clip(np.interp(np.arange(count), *_wander(count, rng)), 0, 1)
    angle = x = v = 0.0
    temperature, step_s = 30 + 6 * (2 + 3 * load[0]), 1 / (RATE_HZ * fine)
    found = np.empty((count, 3))
    for index in range(count):
        speed = 2 * np.pi * (8 - 4 * load[index])
        for _ in range(fine):
            angle += speed * step_s
            force = worn * _UNBALANCE_M * 500 * speed**2 * np.sin(angle)
            acceleration = force - _STIFFNESS_PER_KG * x - _DAMPING_PER_KG * v
            v += acceleration * step_s
            x += v * step_s
        current = 2 + 3 * load[index]
        temperature += (30 + 6 * current - temperature) / (20 * RATE_HZ)
        found[index] = acceleration, current, temperature
    return (found + rng.normal(size=found.shape) * (0.2, 0.05, 0.1)).astype(np.float32)


def _wander(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    at = np.arange(0, count + 200, 200)
    return at, np.cumsum(rng.normal(0, 0.25, len(at))) % 2 - 0.5


def write_recording(path: Path, values: np.ndarray, rate_hz: float = RATE_HZ) -> Path:
    """Writes a table of time steps."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["time_s,acceleration,current,temperature"]
    for index, row in enumerate(values):
        lines.append(",".join([f"{index / rate_hz:.3f}", *(f"{value:.4f}" for value in row)]))
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def write_recordings(folder: Path, count: int, seconds: float) -> Path:
    """Writes a folder of recordings, each of another day."""
    for index in range(count):
        write_recording(folder / f"day{index}.csv", machine(seconds, seed=index))
    return folder


def write_parts_table(path: Path, count: int = 400, seed: int = 0) -> Path:
    """Writes a table with one row a measured part: length and mass, which belong together, material and a flag."""
    rng = np.random.default_rng(seed)
    density = {"steel": 7.85, "brass": 8.5, "aluminium": 2.7}
    lines = ["length_mm,mass_g,material,coated"]
    for _ in range(count):
        material = str(rng.choice(list(density)))
        length = rng.normal(50, 5)
        mass = length * density[material] * (1 + rng.normal(0, 0.01))
        coated = int(rng.random() < (0.9 if material == "steel" else 0.1))
        lines.append(f"{length:.3f},{mass:.3f},{material},{coated}")
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path
