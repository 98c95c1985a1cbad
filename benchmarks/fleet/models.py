"""What the devices of one model have in common: their worst case of parity, and how their latencies are distributed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

from pocketvae.benchmarks.devices import ModelLatency, ModelParity
from pocketvae.benchmarks.fleet.outliers import outliers_of
from pocketvae.benchmarks.latency.results import TargetRow
from pocketvae.benchmarks.parity.results import Check
from pocketvae.benchmarks.parity.tables import worst_check


def parity_of_models(checks: Sequence[Check], models: Mapping[str, str]) -> tuple[ModelParity, ...]:
    """Returns the worst case of each artifact by model, in the order of models.

    Args:
        checks: Of all devices.
        models: Of each device by its name.
    """
    groups: dict[tuple[str, str], list[Check]] = {}
    for check in checks:
        groups.setdefault((models[check.target], check.artifact), []).append(check)
    order = list(dict.fromkeys(models.values()))
    return tuple(
        _parity(*key, found) for key, found in sorted(groups.items(), key=lambda item: order.index(item[0][0]))
    )


def _parity(model: str, artifact: str, checks: list[Check]) -> ModelParity:
    worst = worst_check(checks)
    return ModelParity(
        model=model,
        artifact=artifact,
        devices=len({check.target for check in checks}),
        failed=tuple(dict.fromkeys(check.target for check in checks if not check.passed)),
        device=worst.target,
        output=worst.output,
        metric=worst.metric,
        value=worst.value,
        limit=worst.limit,
    )


def latency_of_models(rows: Sequence[TargetRow], models: Mapping[str, str]) -> tuple[ModelLatency, ...]:
    """Returns the latency of each artifact by model, in the order of models, with the devices that are apart.

    Args:
        rows: Of all devices.
        models: Of each device by its name.
    """
    groups: dict[tuple[str, str, int], dict[str, float]] = {}
    for row in rows:
        groups.setdefault((models[row.target], row.artifact, row.threads), {})[row.target] = row.median_s
    order = list(dict.fromkeys(models.values()))
    return tuple(
        ModelLatency(
            model=model,
            artifact=artifact,
            threads=threads,
            medians_s=medians_s,
            median_s=median(medians_s.values()),
            outliers=outliers_of(medians_s),
        )
        for (model, artifact, threads), medians_s in sorted(groups.items(), key=lambda item: order.index(item[0][0]))
    )
