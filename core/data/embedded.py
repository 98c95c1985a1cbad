"""Data inside the package, by name."""

from __future__ import annotations

from pathlib import Path

import pocketvae

MNIST = "mnist"
# An electrocardiogram with one early beat, see `signals/README.md`: the file, and its column of anomalies.
ECG, ECG_TRUTH = "ecg", "early_beat"


def located(source: str) -> Path:
    """Returns the path of a source; that of the embedded recording for its name, unless there is such a file."""
    path = Path(source)
    if source == ECG and not path.exists():
        return Path(pocketvae.__file__).parent / "signals" / "ecg.csv"
    return path
