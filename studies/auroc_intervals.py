"""Measures how often the intervals of `score` hold the area of many more items, by simulation.

    .venv/bin/python studies/auroc_intervals.py

200 normal items have scores N(0, 1). Anomalies are of one kind, farther away or more spread, or of two: most far away,
the others like normal items, which few anomalies may not show. It prints the table of docs/anomalies.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from pocketvae.apps.anomaly.features import Doubles
from pocketvae.apps.anomaly.separation import estimates

_NORMAL = 200
_MANY = 400_000
Draw = Callable[[np.random.Generator, int], Doubles]


def _hidden(share: float) -> Draw:
    return lambda rng, count: rng.normal(size=count) + 6.0 * (rng.random(count) >= share)


_ANOMALIES: dict[str, Draw] = {
    "N(1, 1)": lambda rng, count: rng.normal(1.0, 1.0, count),
    "N(2.5, 1)": lambda rng, count: rng.normal(2.5, 1.0, count),
    "N(2, 3)": lambda rng, count: rng.normal(2.0, 3.0, count),
    "exponential, mean 3": lambda rng, count: rng.exponential(3.0, count),
    "N(6, 1), 30 % N(0, 1)": _hidden(0.3),
    "N(6, 1), 10 % N(0, 1)": _hidden(0.1),
    "N(1.5, 1), all scores whole": lambda rng, count: rng.normal(1.5, 1.0, count),
}


def _rounded(name: str, values: Doubles) -> Doubles:
    return np.round(values) if "whole" in name else values


def true_areas(name: str, prevalence: float) -> tuple[float, float, float]:
    """Returns AUROC, average precision and partial AUROC of very many items.

    Args:
        name: Of the anomalies.
        prevalence: Share of anomalies, which the average precision depends on.
    """
    rng = np.random.default_rng(0)
    normal, strange = (_rounded(name, values) for values in (rng.normal(size=_MANY), _ANOMALIES[name](rng, _MANY)))
    thresholds = np.unique(np.concatenate([normal, strange]))[::-1]
    false, true = (1 - np.searchsorted(np.sort(v), thresholds, "left") / _MANY for v in (normal, strange))
    precision = prevalence * true / (prevalence * true + (1 - prevalence) * false)
    x, y = np.append(0.0, false), np.append(0.0, true)
    grid = np.append(x[x < 0.1], 0.1)
    part = float(np.trapezoid(np.interp(grid, x, y), grid))
    return (
        float(np.trapezoid(y, x)),
        float((np.diff(true, prepend=0.0) * precision).sum()),
        0.5 * (1 + (part - 0.005) / (0.1 - 0.005)),
    )


def measured(name: str, count: int, trials: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Returns the share of intervals that hold each area, and their mean width, `[3]` each."""
    truth = np.array(true_areas(name, count / (count + _NORMAL)))
    held, width = np.zeros(3), np.zeros(3)
    anomalous = np.arange(_NORMAL + count) >= _NORMAL
    for trial in range(trials):
        rng = np.random.default_rng([trial, count])
        values = _rounded(name, np.concatenate([rng.normal(size=_NORMAL), _ANOMALIES[name](rng, count)]))
        found = estimates(values, anomalous, np.arange(len(values)), overlap=False)
        low, high = np.array([[one.low, one.high] for one in found]).T
        held += (low <= truth) & (truth <= high)
        width += high - low
    return held / trials, width / trials


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=400)
    parser.add_argument("--counts", type=int, nargs="+", default=[3, 10, 30], help="numbers of anomalies")
    arguments = parser.parse_args()
    print("| anomalies | number | AUROC | held | mean width | AUPRC held | partial AUROC held |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name in _ANOMALIES:
        for count in arguments.counts:
            held, width = measured(name, count, arguments.trials)
            area = true_areas(name, 0.5)[0]
            shares = " | ".join(f"{100 * share:.1f} %" for share in held[1:])
            print(f"| {name} | {count} | {area:.3f} | {100 * held[0]:.1f} % | {width[0]:.2f} | {shares} |", flush=True)


if __name__ == "__main__":
    main()
